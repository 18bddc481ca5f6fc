"""Zamba and Zamba2: Mamba layers, and every few of them one transformer block whose weights all share.

A layer with the block stands in two groups: what it shares, and what is its own.
Defaults: Transformers 5.23.0 class defaults. Tensor names: the published checkpoints.
"""

from collections.abc import Callable, Mapping

from llmplanner.core.model import (
    Attention,
    FeedForward,
    Layer,
    LayerGroup,
    Linear,
    Model,
    Module,
    Norm,
    NormKind,
    Parameter,
    Recurrent,
    Scan,
    ScanKind,
)
from llmplanner.models.entries import MOST_LAYERS, Entries
from llmplanner.models.families.assemble import Frame, assemble
from llmplanner.models.families.dialect import Dialect, Part, activation
from llmplanner.models.families.experts import gated
from llmplanner.models.families.mamba import channels, step_rank
from llmplanner.models.families.mixers import ALIASES, CHUNK, RECURRENT, Mamba2Sizes, convolution, mamba2

FRAME = Frame(final_norm="final_layernorm", attention_dropout="attention_dropout")
HYBRID = "hybrid"


def _model(
    entries: Entries,
    part: Part,
    kinds: tuple[str, ...],
    mixer: Callable[[str], Recurrent],
    blocks: tuple[Layer, ...],
) -> Model:
    """`blocks` are the shared ones, which the layers with a block take in turn."""
    hidden = entries.size("hidden_size")
    places = [index for index, kind in enumerate(kinds) if kind == HYBRID]
    plain = tuple(index for index, kind in enumerate(kinds) if kind != HYBRID)
    own = "mamba_decoder."
    shared = entries.flag("tie_word_embeddings")  # one entry ties the embeddings and the blocks
    groups = [
        LayerGroup(_mamba_layer("", mixer, hidden, ()), plain),
        LayerGroup(_mamba_layer(own, mixer, hidden, (Linear("linear", hidden, hidden),)), tuple(places)),
        *(LayerGroup(block, tuple(places[turn :: len(blocks)]), shared) for turn, block in enumerate(blocks)),
    ]
    return assemble(FRAME, entries, part, tuple(group for group in groups if group.indices))


def _mamba_layer(
    prefix: str, mixer: Callable[[str], Recurrent], hidden: int, extras: tuple[Module, ...]
) -> Layer:
    return Layer(
        attention=None,
        feed_forward=None,
        attention_norm=Norm(f"{prefix}input_layernorm", NormKind.RMS, hidden),
        feed_forward_norm=None,
        recurrent=mixer(f"{prefix}mamba."),
        extras=extras,
    )


def _kinds(entries: Entries, otherwise: Callable[[int], tuple[str, ...]]) -> tuple[str, ...]:
    count = entries.size("num_hidden_layers", MOST_LAYERS)
    kinds = tuple(ALIASES.get(kind, kind) for kind in entries.texts("layers_block_type")) or otherwise(count)
    if len(kinds) != count:
        raise entries.refuse(
            "layers_block_type",
            f"has {len(kinds):,} entries, but num_hidden_layers is {count:,}; correct one",
        )
    unknown = set(kinds) - {RECURRENT, HYBRID}
    if unknown:
        raise entries.refuse("layers_block_type", f'names "{min(unknown)[:40]}"; known are mamba and hybrid')
    return kinds


def _attention(entries: Entries, prefix: str) -> Attention:
    """Attention over the layer's input beside the embeddings: twice the hidden size."""
    hidden, heads = entries.size("hidden_size"), entries.size("num_attention_heads")
    kv_heads = entries.optional_size("num_key_value_heads") or heads
    wide = entries.optional_size("attention_hidden_size") or 2 * hidden
    dim = entries.optional_size("attention_head_dim") or 2 * hidden // heads
    if heads % kv_heads:
        raise entries.refuse("num_key_value_heads", f"is {kv_heads:,} and must divide the {heads:,} heads")
    widths = {"q_proj": heads * dim, "k_proj": kv_heads * dim, "v_proj": kv_heads * dim}
    return Attention(
        inputs=tuple(Linear(f"{prefix}self_attn.{name}", wide, out) for name, out in widths.items()),
        output=Linear(f"{prefix}self_attn.o_proj", heads * dim, hidden),
        heads=heads,
        kv_heads=kv_heads,
        key_dim=dim,
        value_dim=dim,
    )


def _block(
    entries: Entries, prefix: str, feed_forward: FeedForward, extras: tuple[Module, ...] = ()
) -> Layer:
    attention = _attention(entries, prefix)
    return Layer(
        attention=attention,
        feed_forward=feed_forward,
        attention_norm=Norm(f"{prefix}input_layernorm", NormKind.RMS, attention.inputs[0].inputs),
        feed_forward_norm=Norm(f"{prefix}pre_ff_layernorm", NormKind.RMS, entries.size("hidden_size")),
        extras=extras,
    )


def _zamba(entries: Entries, part: Part) -> Model:
    name = "shared_transf."
    names = tuple(f"{name}feed_forward.{each}" for each in ("gate_proj", "up_proj", "down_proj"))
    hidden, width = entries.size("hidden_size"), entries.size("intermediate_size")
    block = _block(entries, name, gated(names, hidden, width, activation(entries, "hidden_act")))

    def otherwise(count: int) -> tuple[str, ...]:
        period, offset = entries.size("attn_layer_period"), entries.size("attn_layer_offset", least=0)
        rest = (HYBRID if index % period == offset else RECURRENT for index in range(count - 3))
        return (RECURRENT, RECURRENT, HYBRID, *rest)

    return _model(entries, part, _kinds(entries, otherwise), lambda prefix: _heads(entries, prefix), (block,))


def _heads(entries: Entries, prefix: str) -> Recurrent:
    """Mamba in several heads, each with its own step sizes."""
    hidden, heads, state = (entries.size(name) for name in ("hidden_size", "n_mamba_heads", "mamba_d_state"))
    inner, rank = channels(entries, "mamba_expand"), step_rank(entries, "mamba_dt_rank")
    kernel, bias = entries.size("mamba_d_conv"), entries.flag("mamba_proj_bias")
    dim = inner // heads
    if dim * heads != inner:
        raise entries.refuse("n_mamba_heads", f"is {heads:,} and must divide the {inner:,} channels")
    return Recurrent(
        kind="Mamba",
        inputs=(Linear(f"{prefix}in_proj", hidden, 2 * inner, bias),),
        inner=(),
        output=Linear(f"{prefix}out_proj", inner, hidden, bias),
        parameters=(
            Parameter(f"{prefix}x_proj_weight", (heads, rank + 2 * state, dim)),
            Parameter(f"{prefix}dt_proj_weight", (heads, dim, rank)),
            Parameter(f"{prefix}dt_proj_bias", (heads, dim)),
            Parameter(f"{prefix}A_log", (heads, dim, state)),
            Parameter(f"{prefix}D", (heads, dim)),
            *convolution(f"{prefix}conv1d", inner, kernel, bias=entries.flag("mamba_conv_bias")),
        ),
        conv_state=inner * kernel,
        state=inner * state,
        heads=heads,
        scan=Scan(ScanKind.SELECTIVE, inner, state, 1, inner, kernel, groups=heads),
    )


def _zamba2(entries: Entries, part: Part) -> Model:
    kinds = _kinds(entries, _zamba2_kinds)
    hybrids = kinds.count(HYBRID)
    turns = min(entries.size("num_mem_blocks"), hybrids)
    blocks = tuple(_zamba2_block(entries, range(turn, hybrids, turns)) for turn in range(turns))
    sizes = _mamba2(entries)
    return _model(entries, part, kinds, lambda prefix: mamba2(prefix, sizes), blocks)


def _zamba2_kinds(_count: int) -> tuple[str, ...]:
    """The class's own order, which holds for its own number of layers."""
    sixes = (*(RECURRENT,) * 5, HYBRID) * 7
    tail = (*(RECURRENT,) * 4, HYBRID, *(RECURRENT,) * 3, HYBRID, *(RECURRENT,) * 2)
    return (RECURRENT, *sixes, *tail)


def _mamba2(entries: Entries) -> Mamba2Sizes:
    inner, heads = channels(entries, "mamba_expand"), entries.size("n_mamba_heads")
    if inner % heads:
        raise entries.refuse("n_mamba_heads", f"is {heads:,} and must divide the {inner:,} channels")
    bias = entries.flag("add_bias_linear")
    return Mamba2Sizes(
        hidden=entries.size("hidden_size"),
        heads=heads,
        head_dim=inner // heads,
        groups=entries.size("mamba_ngroups"),
        state=entries.size("mamba_d_state"),
        kernel=entries.size("mamba_d_conv"),
        bias=bias,
        conv_bias=True,  # whatever use_conv_bias says
        output_bias=bias,
        chunk=entries.optional_size("chunk_size") or CHUNK,
    )


def _zamba2_block(entries: Entries, uses: range) -> Layer:
    """A shared block and the adapters of the layers that use it, which count from the first such layer."""
    name = "shared_transformer."
    hidden, bias = entries.size("hidden_size"), entries.flag("add_bias_linear")
    width = entries.optional_size("intermediate_size") or 4 * hidden
    rank = entries.size("adapter_rank")
    names = (f"{name}feed_forward.gate_up_proj", f"{name}feed_forward.down_proj")
    adapted = {f"{name}feed_forward.gate_up_proj_adapter_list": (hidden, 2 * width)}
    if entries.flag("use_shared_attention_adapter"):
        wide = 2 * hidden
        adapted |= {f"{name}self_attn.linear_{each}_adapter_list": (wide, wide) for each in "qkv"}
    adapters = tuple(
        linear
        for list_name, (inputs, outputs) in adapted.items()
        for use in uses
        for linear in (
            Linear(f"{list_name}.{use}.0", inputs, rank),
            Linear(f"{list_name}.{use}.1", rank, outputs),
        )
    )
    block = gated(names, hidden, width, activation(entries, "hidden_act"), bias=bias)
    return _block(entries, name, block, adapters)


_SIZES = ("num_hidden_layers", "hidden_size", "num_attention_heads", "intermediate_size", "vocab_size")
_NAMES: Mapping[str, tuple[str, ...]] = {
    "layers_block_type": ("layers_block_type", "layer_types"),
    "attention_head_dim": ("attention_head_dim", "head_dim"),
}
_SHARED: Mapping[str, object] = {
    "vocab_size": 32000,
    "tie_word_embeddings": True,
    "hidden_act": "gelu",
    "attention_dropout": 0.0,
    "mamba_d_conv": 4,
    "mamba_expand": 2,
}

DIALECTS = (
    Dialect(
        "zamba",
        {
            **_SHARED,
            "hidden_size": 3712,
            "intermediate_size": 14848,
            "num_hidden_layers": 76,
            "num_attention_heads": 16,
            "num_key_value_heads": 16,
            "n_mamba_heads": 2,
            "attn_layer_period": 6,
            "attn_layer_offset": 4,
            "mamba_d_state": 16,
            "mamba_dt_rank": "auto",
            "mamba_conv_bias": True,
            "mamba_proj_bias": False,
        },
        _SIZES,
        {"ZambaForCausalLM": Part.LANGUAGE_MODEL, "ZambaModel": Part.BODY},
        _zamba,
        _NAMES,
    ),
    Dialect(
        "zamba2",
        {
            **_SHARED,
            "hidden_size": 2560,
            "num_hidden_layers": 54,
            "num_attention_heads": 32,
            "n_mamba_heads": 8,
            "mamba_d_state": 64,
            "mamba_ngroups": 1,
            "add_bias_linear": False,
            "num_mem_blocks": 1,
            "use_shared_attention_adapter": False,
            "adapter_rank": 128,
        },
        ("num_hidden_layers", "hidden_size", "num_attention_heads", "vocab_size"),
        {"Zamba2ForCausalLM": Part.LANGUAGE_MODEL, "Zamba2Model": Part.BODY},
        _zamba2,
        _NAMES,
    ),
)
