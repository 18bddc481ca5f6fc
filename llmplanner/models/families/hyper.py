"""Decoders with hyper-connections, several residual streams side by side: DeepSeek-V4 and Hunyuan 4.

Defaults: Transformers 5.23.0 class defaults. Tensor names: its classes.
Source of the connections: Xie et al. 2025, mHC (arXiv:2512.24880).
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from llmplanner.core.model import (
    Attention,
    Compressed,
    LatentAttention,
    Layer,
    Linear,
    Model,
    Module,
    Norm,
    NormKind,
    Parameter,
)
from llmplanner.models.entries import MOST_LAYERS, Entries
from llmplanner.models.families.decoder import DecoderData, build
from llmplanner.models.families.deepseek import DEEPSEEK, V3, hunyuan_indexers, indexer_of_layer, with_indexer
from llmplanner.models.families.defaults import class_defaults, decoder
from llmplanner.models.families.dialect import Dialect, Part
from llmplanner.models.families.experts import all_but_first, everywhere, typed
from llmplanner.models.families.llama import LLAMA
from llmplanner.models.families.mixtures import ROUTED, SIGMOID
from llmplanner.models.families.predictors import with_predictors
from llmplanner.models.families.windows import stated_kinds

SLIDING, SPARSE, HEAVY = "sliding_attention", "compressed_sparse_attention", "heavily_compressed_attention"
RATES = {SPARSE: 4, HEAVY: 128}


def connections(entries: Entries, mixing: int, scales: int) -> tuple[Parameter, ...]:
    """What mixes the streams before and after a branch. `mixing`: rows for each stream."""
    streams, hidden = entries.size("hc_mult"), entries.size("hidden_size")
    rows = mixing * streams
    shapes = {"fn": (rows, streams * hidden), "base": (rows,), "scale": (scales,)}
    return tuple(
        Parameter(f"{branch}_hc.{name}", shape)
        for branch in ("attn", "ffn")
        for name, shape in shapes.items()
    )


def _with_hyper_head(data: DecoderData, entries: Entries, part: Part) -> Model:
    """The decoder, and what sums its streams after the last layer. Raises BadInput."""
    model = build(data, entries, part)
    streams = entries.size("hc_mult")
    body = data.body if part is Part.LANGUAGE_MODEL else ""
    shapes = {"fn": (streams, streams * model.hidden_size), "base": (streams,), "scale": (1,)}
    sums = tuple(Parameter(f"{body}hc_head.hc_{name}", shape) for name, shape in shapes.items())
    return replace(model, extras=(*model.extras, *sums))


def _hyper(dialect: Dialect, data: DecoderData) -> Dialect:
    return replace(dialect, build=partial(_with_hyper_head, data))


def _deepseek_layers(entries: Entries) -> Mapping[str, object]:
    """Which layers compress what lies before their window, and how far."""
    count = entries.size("num_hidden_layers", MOST_LAYERS)
    stated = stated_kinds(entries, "layer_types", count, (SLIDING, SPARSE, HEAVY))
    ratios = entries.indices("compress_ratios")
    if not stated and ratios:
        kinds = {0: SLIDING, 4: SPARSE, 128: HEAVY}
        unknown = set(ratios) - set(kinds)
        if unknown or len(ratios) < count:
            raise entries.refuse("compress_ratios", "must be a list of 0, 4 and 128, one for each layer")
        stated = tuple(kinds[ratio] for ratio in ratios[:count])
    types = stated or tuple(
        HEAVY if index < 2 or index % 2 == 0 else SPARSE  # noqa: PLR2004 - its two first layers
        for index in range(count)
    )
    return {"layer_types": types, "mlp_layer_types": None}


def _deepseek_layer(entries: Entries, index: int) -> Mapping[str, object]:
    types = entries.values["layer_types"]
    return {"layer_type": types[index]} if isinstance(types, tuple) else {}


def _deepseek(entries: Entries, layer: Layer) -> Layer:
    """One key a token that is the value too, queries and output through low ranks, compressed entries."""
    attention = layer.attention
    if not isinstance(attention, Attention):
        return layer
    hidden, dim, heads = entries.size("hidden_size"), entries.size("head_dim"), attention.heads
    rank, groups = entries.size("q_lora_rank"), entries.size("o_groups")
    between = groups * entries.size("o_lora_rank")
    extras: tuple[Module, ...] = (
        Linear("self_attn.q_a_proj", hidden, rank),
        Norm("self_attn.q_a_norm", NormKind.RMS, rank),
        Norm("self_attn.kv_norm", NormKind.RMS, dim),
        Linear("self_attn.o_a_proj", heads * dim // groups, between),
    )
    kind = entries.text("layer_type")
    compressed = None
    if kind != SLIDING:
        parts, compressed = _compressor(entries, kind)
        extras += parts
    attention = replace(
        attention,
        inputs=(
            Linear("self_attn.q_b_proj", rank, heads * dim),
            Linear("self_attn.kv_proj", hidden, dim),
        ),
        output=Linear("self_attn.o_b_proj", between, hidden),
        sinks=Parameter("self_attn.sinks", (heads,)),
        kv_heads=1,
        keys_are_values=True,
        window=entries.size("sliding_window"),
        compressed=compressed,
        extras=extras,
    )
    return replace(layer, attention=attention, extras=connections(entries, 2 + entries.size("hc_mult"), 3))


def _compressor(entries: Entries, kind: str) -> tuple[tuple[Module, ...], Compressed]:
    """What makes one entry of several tokens, and the indexer that picks among the lightly compressed."""
    table = entries.raw("compress_rates")
    rates = Entries(entries.where, table if isinstance(table, dict) else {}, RATES, {})
    early = "compress_rate_csa" if kind == SPARSE else "compress_rate_hca"
    rate = entries.optional_size(early) or rates.size(kind)
    dim, own = entries.size("head_dim"), entries.size("index_head_dim")
    name = "self_attn.compressor"
    if kind == HEAVY:
        return _pooled(entries, name, (dim, dim), rate), Compressed(rate, dim)
    heads = entries.size("index_n_heads")
    indexer = (
        *_pooled(entries, f"{name}.indexer", (2 * own, own), rate),
        Linear(f"{name}.indexer.q_b_proj", entries.size("q_lora_rank"), heads * own),
        Linear(f"{name}.indexer.scorer.weights_proj", entries.size("hidden_size"), heads),
    )
    return (*_pooled(entries, name, (2 * dim, dim), rate), *indexer), Compressed(rate, dim + own)


def _pooled(entries: Entries, name: str, widths: tuple[int, int], rate: int) -> tuple[Module, ...]:
    """Matrices that make an entry of `rate` tokens. `widths`: before the entry and of it."""
    hidden, (wide, dim) = entries.size("hidden_size"), widths
    return (
        Linear(f"{name}.kv_proj", hidden, wide),
        Linear(f"{name}.gate_proj", hidden, wide),
        Parameter(f"{name}.position_bias", (rate, wide)),
        Norm(f"{name}.kv_norm", NormKind.RMS, dim),
    )


def _hunyuan(entries: Entries, layer: Layer) -> Layer:
    """Latent attention with an indexer, sinks and a gate of the output."""
    attention = layer.attention
    if not isinstance(attention, LatentAttention):
        return layer
    gate = Linear("self_attn.gate_proj", entries.size("hidden_size"), attention.output.inputs)
    sinks = Parameter("self_attn.sinks", (attention.heads,))
    layer = replace(layer, attention=replace(attention, gated=True, extras=(gate, sinks)))
    return replace(with_indexer(entries, layer), extras=connections(entries, 2, 2))


DEEPSEEK_V4 = replace(
    LLAMA,
    input_bias=False,
    output_bias=False,
    grouped=False,
    derived=_deepseek_layers,
    per_layer=_deepseek_layer,
    finish=_deepseek,
    mixture=replace(SIGMOID, sparse=everywhere, shared_count=None, shared_bias="mlp_bias"),
)
HY_V4 = replace(
    DEEPSEEK,
    derived=hunyuan_indexers,
    per_layer=indexer_of_layer,
    finish=_hunyuan,
    mixture=replace(SIGMOID, sparse=typed(all_but_first)),
)

DIALECTS = with_predictors(
    (
        _hyper(
            decoder(
                "deepseek_v4",
                "DeepseekV4",
                DEEPSEEK_V4,
                class_defaults(
                    (43, 4096, 64, None, 129280),
                    1,
                    1048576,
                    head_dim=512,
                    q_lora_rank=1024,
                    o_groups=8,
                    o_lora_rank=1024,
                    sliding_window=128,
                    moe_intermediate_size=2048,
                    n_shared_experts=1,
                    n_routed_experts=256,
                    num_experts_per_tok=6,
                    index_head_dim=128,
                    index_n_heads=64,
                    hc_mult=4,
                ),
                moe_intermediate_size=("moe_intermediate_size", "intermediate_size"),
                **ROUTED,
            ),
            DEEPSEEK_V4,
        ),
        _hyper(
            decoder(
                "hy_v4",
                "HYV4",
                HY_V4,
                class_defaults(
                    (34, 2816, 32, 6912, 120832),
                    32,
                    262144,
                    **V3 | {"v_head_dim": 256, "qk_nope_head_dim": 192},
                    moe_intermediate_size=768,
                    n_shared_experts=1,
                    n_routed_experts=256,
                    num_experts_per_tok=8,
                    index_head_dim=128,
                    index_n_heads=16,
                    hc_mult=4,
                ),
                **ROUTED,
            ),
            HY_V4,
        ),
    )
)
