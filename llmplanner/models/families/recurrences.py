"""Recurrent Gemma, MiniMax and xLSTM: linear recurrences, with attention beside them or without.

Defaults: Transformers 5.23.0 class defaults. Tensor names: the published checkpoints.
"""

from collections.abc import Mapping
from dataclasses import replace

from llmplanner.core.model import (
    Activation,
    Layer,
    LayerGroup,
    Linear,
    Model,
    Module,
    Norm,
    NormKind,
    Parameter,
    Recurrent,
)
from llmplanner.models.entries import MOST_LAYERS, MOST_ROWS, Entries
from llmplanner.models.families.assemble import Frame, assemble
from llmplanner.models.families.decoder import DecoderData
from llmplanner.models.families.defaults import class_defaults, decoder
from llmplanner.models.families.dialect import Dialect, Part
from llmplanner.models.families.experts import MixtureKeys, everywhere, gated
from llmplanner.models.families.llama import LLAMA
from llmplanner.models.families.mixers import ALIASES, ATTENTION, RECURRENT, convolution, listed, mixed


def _rg_lru(entries: Entries) -> Recurrent:
    """The real-gated linear recurrent unit (De et al. 2024, arXiv:2402.19427) section 2.4."""
    hidden, heads = entries.size("hidden_size"), entries.size("num_attention_heads")
    width, kernel = entries.optional_size("lru_width") or hidden, entries.size("conv1d_width")
    block, name = width // heads, "temporal_block."
    gates: list[Module] = []
    for gate in ("input_gate", "recurrent_gate"):
        gates.append(Parameter(f"{name}rg_lru.{gate}_weight", (heads, block, block)))
        gates.append(Parameter(f"{name}rg_lru.{gate}_bias", (heads, block)))
    return Recurrent(
        kind="RG-LRU",
        inputs=tuple(Linear(f"{name}linear_{each}", hidden, width, bias=True) for each in "yx"),
        inner=(),
        output=Linear(f"{name}linear_out", width, hidden, bias=True),
        parameters=(
            *convolution(f"{name}conv_1d", width, kernel, bias=True),
            Parameter(f"{name}rg_lru.recurrent_param", (width,)),
            *gates,
        ),
        conv_state=width * (kernel - 1),
        state=width,
        heads=heads,
    )


def _griffin_kinds(entries: Entries, count: int) -> tuple[str, ...]:
    """The pattern of block_types, again and again."""
    pattern = tuple(ALIASES.get(kind, "") for kind in entries.texts("block_types"))
    if not pattern or not set(pattern) <= {RECURRENT, ATTENTION}:
        raise entries.refuse("block_types", "must list the words recurrent and attention")
    return tuple(pattern[index % len(pattern)] for index in range(count))


def _griffin_derived(entries: Entries) -> Mapping[str, object]:
    """The stated width is that of both input matrices of the feed-forward together."""
    return {"intermediate_size": entries.size("intermediate_size") // 2}


def _griffin_windows(entries: Entries, count: int) -> tuple[int | None, ...]:
    return (entries.size("attention_window_size", MOST_ROWS),) * count


GRIFFIN = mixed(
    replace(
        LLAMA,
        attention_inputs=tuple(f"temporal_block.{name}_proj" for name in "qkv"),
        attention_output="temporal_block.o_proj",
        feed_forward_inputs=("mlp_block.gate_proj", "mlp_block.up_proj"),
        feed_forward_output="mlp_block.down_proj",
        attention_norm="temporal_pre_norm",
        feed_forward_norm="channel_pre_norm",
        final_norm="final_norm",
        norm=NormKind.RMS_PLUS_ONE,
        activation="hidden_activation",
        output_bias=True,
        feed_forward_bias=True,
        rotary="partial_rotary_factor",
        softcaps=("attn_logit_softcapping", "logits_soft_cap"),
        windows=_griffin_windows,
        derived=_griffin_derived,
    ),
    _griffin_kinds,
    {RECURRENT: _rg_lru},
)


def _lightning(entries: Entries) -> Recurrent:
    """Lightning attention (MiniMax 2025, arXiv:2501.08313): keys times values, kept in the model's format."""
    hidden, heads = entries.size("hidden_size"), entries.size("num_attention_heads")
    dim = entries.optional_size("head_dim") or entries.quotient("hidden_size", "num_attention_heads")
    wide, name = heads * dim, "self_attn."
    return Recurrent(
        kind="Lightning attention",
        inputs=(Linear(f"{name}qkv_proj", hidden, 3 * wide), Linear(f"{name}output_gate", hidden, wide)),
        inner=(),
        output=Linear(f"{name}out_proj", wide, hidden),
        parameters=(Norm(f"{name}norm", NormKind.RMS, wide),),
        conv_state=wide * dim,
        state=0,
        heads=heads,
    )


_MINIMAX = replace(
    LLAMA,
    input_bias=False,
    output_bias=False,
    mixture=MixtureKeys(
        count="num_experts",
        width="intermediate_size",
        router="block_sparse_moe.gate",
        expert=tuple(f"block_sparse_moe.experts.{{expert}}.{name}" for name in ("w1", "w3", "w2")),
        sparse=everywhere,
    ),
)
MINIMAX = mixed(
    _MINIMAX,
    listed("layer_types", lambda _entries, index: RECURRENT if index % 2 else ATTENTION),
    {RECURRENT: _lightning},
)


def _own_kinds(entries: Entries, count: int) -> tuple[str, ...]:
    """In the files of MiniMax's own code, 1 for each layer that attends and 0 for the others."""
    kinds = entries.indices("attn_type_list")
    if len(kinds) != count:
        raise entries.refuse("attn_type_list", f"has {len(kinds):,} entries; it must have one for each layer")
    return tuple(ATTENTION if kind else RECURRENT for kind in kinds)


MINIMAX_OWN = mixed(_MINIMAX, _own_kinds, {RECURRENT: _lightning})


def _xlstm(entries: Entries, part: Part) -> Model:
    """XLSTM of matrix memories alone (Beck et al. 2025, arXiv:2503.13427)."""
    frame = Frame(body="backbone.", embedding="embeddings", layer="blocks.{layer}.", final_norm="out_norm")
    entries = entries.with_values({"tie_word_embeddings": False})  # whatever the file says
    hidden, bias = entries.size("hidden_size"), entries.flag("use_bias")
    wide = hidden * entries.factor("ffn_proj_factor")
    width = _rounded(wide, entries.size("ffn_round_up_to_multiple_of"))
    fused = entries.raw("weight_mode") == "fused"
    inputs = ("proj_up_gate_z",) if fused else ("proj_up_gate", "proj_up")
    names = tuple(f"ffn.{name}" for name in (*inputs, "proj_down"))
    layer = Layer(
        attention=None,
        feed_forward=gated(names, hidden, width, Activation.SILU, bias=bias),
        attention_norm=Norm("norm_mlstm", NormKind.RMS, hidden, bias=bias),
        feed_forward_norm=Norm("norm_ffn", NormKind.RMS, hidden, bias=bias),
        recurrent=_mlstm(entries, fused=fused),
    )
    indices = tuple(range(entries.size("num_hidden_layers", MOST_LAYERS)))
    return assemble(frame, entries, part, (LayerGroup(layer, indices),))


def _mlstm(entries: Entries, *, fused: bool) -> Recurrent:
    """A matrix memory a head, with its normaliser and its gate's largest exponent, in the model's format."""
    hidden, heads, bias = entries.size("hidden_size"), entries.size("num_heads"), entries.flag("use_bias")
    keys, values = (hidden * entries.factor(f"{name}_dim_factor") for name in ("qk", "v"))
    key_wide, value_wide = int(keys), int(values)
    key_dim, value_dim = _rounded(keys, 64) // heads, _rounded(values, 64) // heads
    name = "mlstm_layer."
    if fused:
        widths = {"qkv_opreact": 2 * key_wide + 2 * value_wide}
        gates = {"ifgate_preact": 2 * heads}
    else:
        widths = {"q": key_wide, "k": key_wide, "v": value_wide, "ogate_preact": value_wide}
        gates = {"igate_preact": heads, "fgate_preact": heads}
    return Recurrent(
        kind="mLSTM",
        inputs=(
            *(Linear(f"{name}{each}", hidden, wide, bias) for each, wide in widths.items()),
            *(Linear(f"{name}{each}", hidden, wide, bias=True) for each, wide in gates.items()),
        ),
        inner=(),
        output=Linear(f"{name}out_proj", value_wide, hidden, bias),
        parameters=(Norm(f"{name}multihead_norm", NormKind.RMS, value_wide, bias=bias),),
        conv_state=heads * (key_dim * value_dim + key_dim + 1),
        state=0,
        heads=heads,
    )


def _rounded(size: float, multiple: int) -> int:
    """Up to the next multiple, as the class rounds."""
    return int(((size + multiple - 1) // multiple) * multiple)


def _minimax(model_type: str, stem: str, data: DecoderData) -> Dialect:
    return decoder(
        model_type,
        stem,
        data,
        class_defaults((32, 4096, 32, 14336, 32000), 8, 131072, num_local_experts=8, num_experts_per_tok=2),
        num_experts=("num_local_experts", "num_experts"),
    )


DIALECTS = (
    decoder(
        "recurrent_gemma",
        "RecurrentGemma",
        GRIFFIN,
        class_defaults(
            (26, 2560, 10, 7680, 256000),
            None,
            8192,
            tie_word_embeddings=True,
            conv1d_width=4,
            attention_window_size=2048,
            logits_soft_cap=30.0,
            block_types=("recurrent", "recurrent", "attention"),
            partial_rotary_factor=0.5,
        ),
        attention_window_size=("attention_window_size", "sliding_window"),
    ),
    _minimax("minimax", "MiniMax", MINIMAX),
    _minimax("minimax_text_01", "MiniMaxText01", MINIMAX_OWN),
    _minimax("minimax_m1", "MiniMaxM1", MINIMAX_OWN),
    Dialect(
        "xlstm",
        {
            "vocab_size": 50304,
            "hidden_size": 4096,
            "num_hidden_layers": 32,
            "num_heads": 8,
            "use_bias": False,
            "tie_word_embeddings": False,
            "qk_dim_factor": 0.5,
            "v_dim_factor": 1.0,
            "ffn_proj_factor": 2.667,
            "ffn_round_up_to_multiple_of": 64,
            "weight_mode": "single",
        },
        ("num_hidden_layers", "hidden_size", "num_heads", "vocab_size"),
        {"xLSTMForCausalLM": Part.LANGUAGE_MODEL, "xLSTMModel": Part.BODY},
        _xlstm,
        {
            "hidden_size": ("hidden_size", "embedding_dim"),
            "num_hidden_layers": ("num_hidden_layers", "num_blocks"),
        },
    ),
)
