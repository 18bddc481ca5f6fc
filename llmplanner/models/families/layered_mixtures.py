"""Mixtures of experts whose attention differs by layer: heads, sinks, gates, indexers.

Tensor names: the published checkpoints of each family.
"""

from collections.abc import Mapping
from dataclasses import replace

from llmplanner.core.model import Attention, Layer, Linear, Norm, NormKind, Parameter
from llmplanner.models.entries import MOST_LAYERS, Entries
from llmplanner.models.families.experts import after, all_but_first, everywhere, stepped, typed
from llmplanner.models.families.llama import LLAMA, QWEN3
from llmplanner.models.families.mixtures import (
    BLOCK,
    EXAONE_MOE,
    GATED,
    MIXTURE,
    SIGMOID,
    matrices,
    with_sinks,
)
from llmplanner.models.families.windows import ruled_window, stated_kinds

FULL, SLIDING = "full_attention", "sliding_attention"
SHARED_WIDTH = replace(
    MIXTURE, shared=matrices("mlp.shared_experts"), shared_width="shared_expert_intermediate_size"
)


def _everything(_entries: Entries, _index: int) -> bool:
    """No layer slides where the file does not say so."""
    return True


def _layer_types(entries: Entries, full: tuple[bool, ...], other: str = SLIDING) -> tuple[str, ...]:
    """What the file says of each layer's attention; where it says nothing, by a rule."""
    stated = stated_kinds(entries, "layer_types", len(full), (FULL, other))
    return stated or tuple(FULL if whole else other for whole in full)


def _kind(entries: Entries, index: int) -> object:
    """What kind of attention a layer has, of the list that `_layer_types` made."""
    types = entries.values["layer_types"]
    return types[index] if isinstance(types, tuple) else FULL


def _count(entries: Entries) -> int:
    return entries.size("num_hidden_layers", MOST_LAYERS)


def _mimo_layers(entries: Entries) -> Mapping[str, object]:
    """The first layer and every sixth see everything. Early files leave the token out of its window."""
    full = tuple(index == 0 or (index + 1) % 6 == 0 for index in range(_count(entries)))
    size = entries.optional_size("sliding_window_size")
    window = {} if size is None else {"sliding_window": size + 1}
    return {"layer_types": _layer_types(entries, full), **window}


def _mimo_layer(entries: Entries, index: int) -> Mapping[str, object]:
    """Sliding layers have twice the key/value heads, and sinks."""
    if _kind(entries, index) == FULL:
        return {}
    return {"sinks": True, "num_key_value_heads": 2 * entries.size("num_key_value_heads")}


def _mimo(entries: Entries, layer: Layer) -> Layer:
    """Values narrower than keys."""
    attention = layer.attention
    if not isinstance(attention, Attention):
        return layer
    dim = entries.size("v_head_dim")
    query, key, value = attention.inputs
    attention = replace(
        attention,
        inputs=(query, key, replace(value, outputs=attention.kv_heads * dim)),
        output=replace(attention.output, inputs=attention.heads * dim),
        value_dim=dim,
    )
    layer = replace(layer, attention=attention)
    return with_sinks(entries, layer) if entries.flag("sinks") else layer


MIMO = replace(
    LLAMA,
    softmax_fp32=False,
    feed_forward_bias=False,
    output_bias=False,
    derived=_mimo_layers,
    per_layer=_mimo_layer,
    finish=_mimo,
    windows=ruled_window(_everything),
    mixture=replace(MIXTURE, sparse=typed(all_but_first), router_fp32=True),
)


def _gated(entries: Entries, layer: Layer) -> Layer:
    """A gate of the attention's output: one number a head, or one an element."""
    attention = layer.attention
    if not isinstance(attention, Attention):
        return layer
    stated = entries.raw("gating")
    if not isinstance(stated, bool | str):
        raise entries.refuse("gating", 'must be true, false, "per-head" or "per-element"')
    by_head = stated is True or stated == "per-head"
    width = attention.heads if by_head else attention.output.inputs
    gate = Linear("self_attn.g_proj", entries.size("hidden_size"), width)
    return replace(layer, attention=replace(attention, gated=True, extras=(gate, *attention.extras)))


def _laguna_heads(entries: Entries) -> Mapping[str, object]:
    count = _count(entries)
    heads = entries.indices("num_attention_heads_per_layer")
    if heads and len(heads) != count:
        raise entries.refuse("num_attention_heads_per_layer", f"has {len(heads):,} entries, not {count:,}")
    return {"num_attention_heads_per_layer": heads} if heads else {}


def _laguna_layer(entries: Entries, index: int) -> Mapping[str, object]:
    heads = entries.values.get("num_attention_heads_per_layer")
    return {"num_attention_heads": heads[index]} if isinstance(heads, tuple) else {}


LAGUNA = replace(
    QWEN3,
    derived=_laguna_heads,
    per_layer=_laguna_layer,
    finish=_gated,
    windows=ruled_window(_everything),
    mixture=replace(SHARED_WIDTH, sparse=typed(all_but_first), correction="mlp.gate.e_score_correction_bias"),
)
MELLUM = replace(QWEN3, windows=ruled_window(_everything), mixture=replace(MIXTURE, sparse=typed(everywhere)))


def _flint_layers(entries: Entries) -> Mapping[str, object]:
    """Four layers see everything for certain, and every fourth between; the first two are dense."""
    last = _count(entries) - 1
    full = tuple(index < 2 or index % 4 == 1 or index == last for index in range(last + 1))  # noqa: PLR2004 - its two first layers
    dense = {} if entries.raw("mlp_only_layers") is not None else {"mlp_only_layers": [0, 1]}
    return {"layer_types": _layer_types(entries, full), **dense}


FLINT = replace(
    QWEN3,
    norm=NormKind.RMS_WIDE,
    derived=_flint_layers,
    finish=with_sinks,
    windows=ruled_window(_everything),
    mixture=replace(SHARED_WIDTH, shared=matrices("mlp.shared_expert"), sparse=stepped),
)
KOLIBRI = replace(
    EXAONE_MOE,
    output_norms=("post_self_attn_layernorm", "post_mlp_layernorm"),
    windows=ruled_window(lambda _entries, index: (index + 1) % 5 == 0),
    mixture=replace(SHARED_WIDTH, router_fp32=True),
)


def _beam_layers(entries: Entries) -> Mapping[str, object]:
    """Every sixth layer and the last see everything; the first three are dense."""
    count = _count(entries)
    full = tuple((index + 1) % 6 == 0 or index == count - 1 for index in range(count))
    kinds = stated_kinds(entries, "mlp_layer_types", count, ("dense", "sparse"))
    dense = tuple("dense" if index < 3 else "sparse" for index in range(count))  # noqa: PLR2004 - its three first layers
    return {"layer_types": _layer_types(entries, full), "mlp_layer_types": kinds or dense}


def _beam(_entries: Entries, layer: Layer) -> Layer:
    """A gate of the attention's output by a matrix of its own, with a bias a head."""
    attention = layer.attention
    if not isinstance(attention, Attention):
        return layer
    gate = Linear("self_attn.gate_proj", attention.output.outputs, attention.output.inputs)
    bias = Parameter("self_attn.gate_bias", (attention.heads,))
    return replace(layer, attention=replace(attention, gated=True, extras=(gate, bias)))


BEAM = replace(
    QWEN3,
    norm=NormKind.RMS_WIDE,
    feed_forward_norm="pre_feedforward_layernorm",
    output_norms=("post_attention_layernorm", "post_feedforward_layernorm"),
    derived=_beam_layers,
    finish=_beam,
    windows=ruled_window(_everything),
    mixture=replace(MIXTURE, sparse=typed(everywhere), router_fp32=True),
)


def _cohere_layers(entries: Entries) -> Mapping[str, object]:
    """Dense layers come first, with a width and a pattern of windows of their own."""
    count = _count(entries)
    first = min(entries.size("first_k_dense_replace", MOST_LAYERS, least=0), count)
    before = entries.size("prefix_dense_sliding_window_pattern", MOST_LAYERS)
    period = entries.size("sliding_window_pattern", MOST_LAYERS)
    full = tuple((index + 1) % before == 0 for index in range(first))
    full += tuple((index + 1) % period == 0 for index in range(count - first))
    width = entries.optional_size("prefix_dense_intermediate_size") or entries.size("intermediate_size")
    return {"layer_types": _layer_types(entries, full), "dense_width": width}


COHERE_MOE = replace(
    LLAMA,
    feed_forward_bias=False,
    feed_forward_norm=None,
    feed_forward_width="dense_width",
    norm=NormKind.LAYER,
    norm_bias=False,
    parallel=True,
    derived=_cohere_layers,
    windows=ruled_window(_everything),
    mixture=replace(
        SIGMOID, width="intermediate_size", sparse=typed(after("first_k_dense_replace")), router_fp32=False
    ),
)


def _step_layers(entries: Entries) -> Mapping[str, object]:
    """Step 3.5: files list the layers that predict further tokens too, and the mixtures by their indices."""
    count = _count(entries)
    types, kinds = entries.texts("layer_types")[:count], entries.texts("mlp_layer_types")[:count]
    listed = entries.raw("moe_layers_enum")
    if isinstance(listed, str):
        items = (item.strip() for item in listed.split(","))
        numbers = {int(item) for item in items if item.isdecimal() and len(item) <= len(str(MOST_LAYERS))}
    else:
        numbers = set(entries.indices("moe_layers_enum")) if listed is not None else set(range(3, count))
    kinds = kinds or tuple("sparse" if index in numbers else "dense" for index in range(count))
    heads = entries.optional_size("num_sliding_attention_heads") or _step_heads(entries)
    return {
        "layer_types": types or (FULL,) * count,
        "mlp_layer_types": kinds,
        "num_sliding_attention_heads": heads,
    }


def _step_heads(entries: Entries) -> int:
    """The heads of sliding layers: early files have a table of what is other there."""
    other = entries.raw("attention_other_setting")
    if isinstance(other, dict) and other.get("num_attention_heads") is not None:
        return Entries(entries.where, other, {}, {}).size("num_attention_heads")
    return entries.size("num_attention_heads")


def _step_layer(entries: Entries, index: int) -> Mapping[str, object]:
    if _kind(entries, index) == FULL:
        return {}
    return {"num_attention_heads": entries.size("num_sliding_attention_heads")}


STEP = replace(
    QWEN3,
    feed_forward_bias="mlp_bias",
    derived=_step_layers,
    per_layer=_step_layer,
    finish=_gated,
    windows=ruled_window(_everything),
    mixture=replace(
        SIGMOID,
        sparse=typed(everywhere),
        shared=matrices("mlp.shared_experts"),
        shared_width="share_expert_dim",
        shared_bias="mlp_bias",
    ),
)


def _minimax_layers(entries: Entries) -> Mapping[str, object]:
    """Files before version 5 mark layers by 0 and 1, those that choose their tokens in a table."""
    count = _count(entries)
    table = entries.raw("sparse_attention_config")
    inner = Entries(entries.where, table if isinstance(table, dict) else {}, {}, {})
    chosen = inner.indices("sparse_attention_freq") or (0,) * count
    mixed = entries.indices("moe_layer_freq") or (1,) * count
    for name, marks in (("sparse_attention_freq", chosen), ("moe_layer_freq", mixed)):
        if len(marks) != count:
            raise entries.refuse(name, f"has {len(marks):,} entries, but there are {count:,} layers")
    kinds = stated_kinds(entries, "mlp_layer_types", count, ("dense", "sparse"))
    names = {"index_n_heads": "sparse_num_index_heads", "index_head_dim": "sparse_index_dim"}
    sizes = {own: inner.size(early) for own, early in names.items() if inner.stated(early)}
    return {
        "layer_types": _layer_types(entries, tuple(not mark for mark in chosen), "minimax_m3_sparse"),
        "mlp_layer_types": kinds or tuple("sparse" if mark else "dense" for mark in mixed),
        **sizes,
    }


def _minimax_layer(entries: Entries, index: int) -> Mapping[str, object]:
    return {} if _kind(entries, index) == FULL else {"indexed": True}


def _indexed(entries: Entries, layer: Layer) -> Layer:
    """The indexer that picks blocks of tokens to attend to."""
    attention = layer.attention
    if not isinstance(attention, Attention) or not entries.flag("indexed"):
        return layer
    hidden, dim = entries.size("hidden_size"), entries.size("index_head_dim")
    indexer = (
        Linear("self_attn.indexer.q_proj", hidden, entries.size("index_n_heads") * dim),
        Linear("self_attn.indexer.k_proj", hidden, dim),
        Norm("self_attn.indexer.q_norm", NormKind.RMS, dim),
        Norm("self_attn.indexer.k_norm", NormKind.RMS, dim),
    )
    return replace(layer, attention=replace(attention, extras=indexer, index_dim=dim))


MINIMAX_M3 = replace(
    QWEN3,
    input_bias=False,
    output_bias=False,
    feed_forward_inputs=("mlp.gate_up_proj",),
    feed_forward_width="dense_intermediate_size",
    derived=_minimax_layers,
    per_layer=_minimax_layer,
    finish=_indexed,
    windows=None,
    mixture=replace(
        BLOCK,
        router="mlp.gate",
        expert=GATED,
        sparse=typed(everywhere),
        shared=("mlp.shared_experts.gate_up_proj", "mlp.shared_experts.down_proj"),
        shared_width="shared_intermediate_size",
        router_fp32=True,
    ),
)
