"""Decoders that mix Mamba with attention: Bamba, Jamba, Falcon-H1, Granite 4 and Nemotron-H.

Defaults: Transformers 5.23.0 class defaults. Tensor names: the published checkpoints.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from llmplanner.core.model import (
    Attention,
    Experts,
    FeedForward,
    Layer,
    Linear,
    Model,
    Norm,
    NormKind,
    Recurrent,
)
from llmplanner.models.entries import MOST_LAYERS, Entries
from llmplanner.models.families.assemble import Frame, assemble, grouped
from llmplanner.models.families.decoder import Flag
from llmplanner.models.families.defaults import class_defaults, decoder
from llmplanner.models.families.dialect import Dialect, Part, activation
from llmplanner.models.families.experts import MixtureKeys
from llmplanner.models.families.llama import LLAMA
from llmplanner.models.families.mamba import channels, head_size, step_rank
from llmplanner.models.families.mixers import (
    ALIASES,
    ATTENTION,
    RECURRENT,
    Mamba2Sizes,
    MambaSizes,
    every,
    listed,
    mamba,
    mamba2,
    mixed,
    ruled,
)
from llmplanner.models.families.predictors import with_predictors


def _mamba2(entries: Entries, inner: int | None = None) -> Mamba2Sizes:
    """The sizes under the names that hybrids give them."""
    inner = inner or channels(entries, "mamba_expand")
    bias = entries.flag("mamba_proj_bias")
    return Mamba2Sizes(
        hidden=entries.size("hidden_size"),
        heads=entries.size("mamba_n_heads"),
        head_dim=head_size(entries, "mamba_n_heads", "mamba_d_head", inner),
        groups=entries.size("mamba_n_groups"),
        state=entries.size("mamba_d_state"),
        kernel=entries.size("mamba_d_conv"),
        bias=bias,
        conv_bias=entries.flag("mamba_conv_bias"),
        output_bias=bias,
    )


def _bamba_kinds(entries: Entries, count: int) -> tuple[str, ...]:
    attending = set(entries.indices("attn_layer_indices"))
    return tuple(ATTENTION if index in attending else RECURRENT for index in range(count))


_NORMED = replace(
    LLAMA,
    feed_forward_inputs=("feed_forward.gate_proj", "feed_forward.up_proj"),
    feed_forward_output="feed_forward.down_proj",
    feed_forward_norm="pre_ff_layernorm",
    final_norm="final_layernorm",
)
BAMBA = mixed(
    replace(_NORMED, rotary="partial_rotary_factor"),
    _bamba_kinds,
    {RECURRENT: lambda entries: mamba2("mamba.", _mamba2(entries))},
)


def _jamba(entries: Entries) -> Recurrent:
    hidden, state = entries.size("hidden_size"), entries.size("mamba_d_state")
    sizes = MambaSizes(
        hidden=hidden,
        inner=channels(entries, "mamba_expand"),
        state=state,
        rank=step_rank(entries, "mamba_dt_rank"),
        kernel=entries.size("mamba_d_conv"),
        bias=entries.flag("mamba_proj_bias"),
        conv_bias=entries.flag("mamba_conv_bias"),
    )
    widths = {"dt": sizes.rank, "b": state, "c": state}
    norms = tuple(Norm(f"mamba.{name}_layernorm", NormKind.RMS, wide) for name, wide in widths.items())
    return mamba("mamba.", sizes, norms)


def _jamba_sparse(entries: Entries, count: int) -> tuple[bool, ...]:
    period, offset = entries.size("expert_layer_period"), entries.size("expert_layer_offset", least=0)
    several = entries.size("num_experts") > 1
    return tuple(several and index % period == offset for index in range(count))


JAMBA = mixed(
    replace(
        _NORMED,
        input_bias=False,
        output_bias=False,
        feed_forward_bias=False,
        rotary=None,
        mixture=MixtureKeys(
            count="num_experts",
            width="intermediate_size",
            router="feed_forward.router",
            expert=(
                "feed_forward.experts.{expert}.gate_proj",
                "feed_forward.experts.{expert}.up_proj",
                "feed_forward.experts.{expert}.down_proj",
            ),
            sparse=_jamba_sparse,
        ),
    ),
    ruled(every("attn_layer_period", "attn_layer_offset")),
    {RECURRENT: _jamba},
)


def _beside_attention(entries: Entries, layer: Layer) -> Layer:
    """Falcon-H1: every layer attends and recurs, both on the same input."""
    sizes = replace(
        _mamba2(entries, entries.optional_size("mamba_d_ssm")),
        output_bias=entries.flag("projectors_bias"),
        norm=entries.flag("mamba_rms_norm"),
    )
    return replace(layer, recurrent=mamba2("mamba.", sizes))


FALCON_H1 = replace(_NORMED, finish=_beside_attention)


def _granite_sparse(entries: Entries, count: int) -> tuple[bool, ...]:
    return (entries.size("num_experts", least=0) > 0,) * count


def _granite_positions(entries: Entries, layer: Layer) -> Layer:
    """Positions are rotary where the file says so, and none otherwise."""
    if not isinstance(layer.attention, Attention) or entries.raw("position_embedding_type") == "rope":
        return layer
    return replace(layer, attention=replace(layer.attention, rotary_dim=0))


_SHARED = ("shared_mlp.input_linear", "shared_mlp.output_linear")
GRANITE = mixed(
    replace(
        LLAMA,
        feed_forward_inputs=_SHARED[:1],  # where there are no experts
        feed_forward_output=_SHARED[1],
        feed_forward_width="shared_intermediate_size",
        feed_forward_bias=False,
        mixture=MixtureKeys(
            count="num_experts",
            width="intermediate_size",
            router="block_sparse_moe.router.layer",
            expert=("block_sparse_moe.input_linear", "block_sparse_moe.output_linear"),
            sparse=_granite_sparse,
            shared=_SHARED,
            shared_width="shared_intermediate_size",
        ),
        finish=_granite_positions,
    ),
    listed("layer_types", lambda _entries, _index: RECURRENT),
    {RECURRENT: lambda entries: mamba2("mamba.", _mamba2(entries))},
)

_PATTERN = {"M": RECURRENT, "E": "moe", "*": ATTENTION, "-": "mlp"}
_FRAME = Frame(
    body="backbone.",
    embedding="embeddings",
    final_norm="norm_f",
    norm=NormKind.RMS_WIDE,
    attention_dropout="attention_dropout",
)


def _nemotron(entries: Entries, part: Part) -> Model:
    """Nemotron-H: each layer is one of mixer, attention, feed-forward or experts."""
    entries = entries.with_values({"tie_word_embeddings": False})  # whatever the file says
    return assemble(
        _FRAME, entries, part, grouped(_nemotron_kinds(entries), partial(_nemotron_layer, entries))
    )


def _nemotron_kinds(entries: Entries) -> tuple[str, ...]:
    """What each layer is: a list of words, or in early files a letter each."""
    name = "layers_block_type" if entries.stated("layers_block_type") else "hybrid_override_pattern"
    if name == "layers_block_type":
        kinds = tuple(ALIASES.get(kind, kind) for kind in entries.texts(name))
    else:
        kinds = tuple(_PATTERN.get(letter, letter) for letter in entries.text(name))
    unknown = set(kinds) - set(_PATTERN.values())
    if unknown or not kinds:
        problem = f'names "{min(unknown)[:40]}"' if unknown else "is empty"
        raise entries.refuse(name, f"{problem}; the known kinds are {', '.join(_PATTERN.values())}")
    if len(kinds) > MOST_LAYERS:
        raise entries.refuse(name, f"names {len(kinds):,} layers; the most is {MOST_LAYERS:,}")
    return kinds


def _nemotron_layer(entries: Entries, kind: str) -> Layer:
    hidden = entries.size("hidden_size")
    norm = Norm("norm", NormKind.RMS_WIDE, hidden)
    mixes = kind in {RECURRENT, ATTENTION}
    block: FeedForward | Experts | None = None
    if kind == "moe":
        block = _nemotron_experts(entries)
    elif kind == "mlp":
        block = _plain(entries, "mixer.", hidden, entries.size("intermediate_size"), bias="mlp_bias")
    return Layer(
        attention=_nemotron_attention(entries) if kind == ATTENTION else None,
        feed_forward=block,
        attention_norm=norm if mixes else None,
        feed_forward_norm=None if mixes else norm,
        recurrent=_nemotron_mixer(entries) if kind == RECURRENT else None,
    )


def _plain(entries: Entries, prefix: str, inputs: int, width: int, bias: Flag = False) -> FeedForward:
    """A feed-forward without a gate."""
    biased = entries.flag(bias) if isinstance(bias, str) else bias
    return FeedForward(
        inputs=(Linear(f"{prefix}up_proj", inputs, width, biased),),
        output=Linear(f"{prefix}down_proj", width, inputs, biased),
        width=width,
        activation=activation(entries, "mlp_hidden_act"),
        gated=False,
    )


def _nemotron_experts(entries: Entries) -> Experts:
    """Experts without gates; in the larger models they work in a narrower space."""
    hidden, latent = entries.size("hidden_size"), entries.optional_size("moe_latent_size")
    count, top_k = entries.size("n_routed_experts"), entries.size("num_experts_per_tok")
    if top_k > count:
        raise entries.refuse(
            "num_experts_per_tok", f"is {top_k:,}, more than the {count:,} experts there are; correct one"
        )
    bias = entries.flag("mlp_bias")
    around = (
        (
            Linear("mixer.fc1_latent_proj", hidden, latent, bias),
            Linear("mixer.fc2_latent_proj", latent, hidden, bias),
        )
        if latent
        else ()
    )
    shared = entries.size("moe_shared_expert_intermediate_size")
    return Experts(
        router=Linear("mixer.gate", hidden, count),
        count=count,
        top_k=top_k,
        expert=_plain(
            entries, "mixer.experts.{expert}.", latent or hidden, entries.size("moe_intermediate_size")
        ),
        shared=_plain(entries, "mixer.shared_experts.", hidden, shared, bias="mlp_bias"),
        correction_bias=True,
        extras=around,
    )


def _nemotron_attention(entries: Entries) -> Attention:
    """Attention without positions."""
    hidden, heads, dim = (entries.size(name) for name in ("hidden_size", "num_attention_heads", "head_dim"))
    kv_heads = entries.optional_size("num_key_value_heads") or heads
    if heads % kv_heads:
        raise entries.refuse("num_key_value_heads", f"is {kv_heads:,} and must divide the {heads:,} heads")
    widths = {"q_proj": heads * dim, "k_proj": kv_heads * dim, "v_proj": kv_heads * dim}
    return Attention(
        inputs=tuple(Linear(f"mixer.{name}", hidden, wide) for name, wide in widths.items()),
        output=Linear("mixer.o_proj", heads * dim, hidden),
        heads=heads,
        kv_heads=kv_heads,
        key_dim=dim,
        value_dim=dim,
    )


def _nemotron_mixer(entries: Entries) -> Recurrent:
    bias = entries.flag("use_bias")
    sizes = Mamba2Sizes(
        hidden=entries.size("hidden_size"),
        heads=entries.size("mamba_num_heads"),
        head_dim=entries.size("mamba_head_dim"),
        groups=entries.size("n_groups"),
        state=entries.size("ssm_state_size"),
        kernel=entries.size("conv_kernel"),
        bias=bias,
        conv_bias=entries.flag("use_conv_bias"),
        output_bias=bias,
    )
    return mamba2("mixer.", sizes)


_MAMBA_SIZES: Mapping[str, object] = {
    "mamba_n_heads": 128,
    "mamba_d_head": "auto",
    "mamba_n_groups": 1,
    "mamba_d_state": 256,
    "mamba_d_conv": 4,
    "mamba_expand": 2,
    "mamba_conv_bias": True,
    "mamba_proj_bias": False,
}

DIALECTS = with_predictors(
    (
        decoder(
            "bamba",
            ("BambaForCausalLM", "BambaModel"),
            BAMBA,
            class_defaults(
                (32, 4096, 32, 14336, 128000), 8, 262144, **_MAMBA_SIZES, partial_rotary_factor=0.5
            ),
        ),
        decoder(
            "jamba",
            ("JambaForCausalLM", "JambaModel"),
            JAMBA,
            class_defaults(
                (32, 4096, 32, 14336, 65536),
                8,
                262144,
                num_experts=16,
                num_experts_per_tok=2,
                expert_layer_period=2,
                expert_layer_offset=1,
                attn_layer_period=8,
                attn_layer_offset=4,
                mamba_d_state=16,
                mamba_d_conv=4,
                mamba_expand=2,
                mamba_dt_rank="auto",
                mamba_conv_bias=True,
                mamba_proj_bias=False,
            ),
            num_experts=("num_experts", "num_local_experts"),
        ),
        decoder(
            "falcon_h1",
            ("FalconH1ForCausalLM", "FalconH1Model"),
            FALCON_H1,
            class_defaults(
                (32, 4096, 32, 14336, 128000),
                8,
                8192,
                **_MAMBA_SIZES,
                mamba_d_ssm=1024,
                mamba_rms_norm=False,
                projectors_bias=False,
            ),
        ),
        decoder(
            "granitemoehybrid",
            ("GraniteMoeHybridForCausalLM", "GraniteMoeHybridModel"),
            GRANITE,
            class_defaults(
                (32, 4096, 32, 11008, 32000),
                None,
                2048,
                **_MAMBA_SIZES,
                num_local_experts=8,
                num_experts_per_tok=2,
                shared_intermediate_size=1024,
            ),
            num_experts=("num_local_experts", "num_experts"),
            layer_types=("layer_types", "layers_block_type"),
        ),
        Dialect(
            "nemotron_h",
            {
                "vocab_size": 131072,
                "hidden_size": 4096,
                "hybrid_override_pattern": "ME*-",
                "tie_word_embeddings": False,
                "num_attention_heads": 32,
                "num_key_value_heads": 8,
                "head_dim": 128,
                "attention_dropout": 0.0,
                "intermediate_size": 21504,
                "mlp_hidden_act": "relu2",
                "mlp_bias": False,
                "use_bias": False,
                "mamba_num_heads": 128,
                "mamba_head_dim": 64,
                "n_groups": 8,
                "ssm_state_size": 128,
                "conv_kernel": 4,
                "use_conv_bias": True,
                "n_routed_experts": 8,
                "num_experts_per_tok": 2,
                "moe_intermediate_size": 7688,
                "moe_shared_expert_intermediate_size": 7688,
            },
            ("hidden_size", "num_attention_heads", "intermediate_size", "vocab_size"),
            {"NemotronHForCausalLM": Part.LANGUAGE_MODEL, "NemotronHModel": Part.BODY},
            _nemotron,
            {
                "layers_block_type": ("layers_block_type", "layer_types"),
                "n_routed_experts": ("n_routed_experts", "num_local_experts"),
                "n_groups": ("n_groups", "mamba_n_groups"),
                "head_dim": ("head_dim", "attention_head_dim"),
                "conv_kernel": ("conv_kernel", "mamba_d_conv"),
                "use_conv_bias": ("use_conv_bias", "mamba_conv_bias"),
            },
        ),
    )
)
