"""Liquid's decoders, which mix short convolutions with attention: LFM2, its mixture of experts, LFM3.

Defaults: Transformers 5.23.0 class defaults. Tensor names: the published checkpoints.
"""

from collections.abc import Mapping
from dataclasses import replace

from llmplanner.core.model import Attention, Layer, Linear, Norm, NormKind, Recurrent
from llmplanner.models.entries import MOST_ROWS, Entries
from llmplanner.models.families.defaults import class_defaults, decoder
from llmplanner.models.families.experts import MixtureKeys, after
from llmplanner.models.families.llama import LLAMA
from llmplanner.models.families.mixers import ATTENTION, kind_of, listed, mixed, short_convolution

CONVOLUTION, SLIDING = "conv", "sliding_attention"
_TYPES = (CONVOLUTION, ATTENTION)


def _convolution(entries: Entries) -> Recurrent:
    hidden, kernel = entries.size("hidden_size"), entries.size("conv_L_cache")
    return short_convolution("conv.", hidden, kernel, bias=entries.flag("conv_bias"))


def _lfm2_width(entries: Entries) -> Mapping[str, object]:
    """The feed-forward's width: two thirds of what is stated, multiplied, and rounded up."""
    width = entries.size("intermediate_size")
    if entries.flag("block_auto_adjust_ff_dim"):
        width = 2 * width // 3
        if entries.raw("block_ffn_dim_multiplier") is not None:
            multiple = entries.size("block_multiple_of")
            width = int(entries.factor("block_ffn_dim_multiplier") * width)
            width = multiple * -(-width // multiple)
    return {"intermediate_size": width}


def _lfm2_kinds(entries: Entries, count: int) -> tuple[str, ...]:
    """As layer_types says, or else the list of attention layers; without either, every layer attends."""
    if entries.raw("layer_types") is not None:
        return listed("layer_types", known=_TYPES)(entries, count)
    attending = set(entries.indices("full_attn_idxs"))
    every = entries.raw("full_attn_idxs") is None
    return tuple(ATTENTION if every or index in attending else CONVOLUTION for index in range(count))


def _lfm3_kind(_entries: Entries, index: int) -> str:
    """Every second layer is a convolution; of the others, every second slides."""
    if index % 2 or not index:
        return CONVOLUTION
    return SLIDING if index % 4 == 0 else ATTENTION


def _lfm3_layer(entries: Entries, layer: Layer) -> Layer:
    """Norms behind both branches, a window in some layers, a gate for each head."""
    hidden, attention = entries.size("hidden_size"), layer.attention
    if entries.flag("use_sandwich_norm"):
        layer = replace(
            layer,
            attention_output_norm=Norm("post_operator_norm", NormKind.RMS, hidden),
            feed_forward_output_norm=Norm("post_ffn_norm", NormKind.RMS, hidden),
        )
    if not isinstance(attention, Attention):
        return layer
    if kind_of(entries) == SLIDING:
        attention = replace(attention, window=entries.optional_size("sliding_window", MOST_ROWS))
    if entries.flag("use_attention_gate"):
        gate = Linear("self_attn.gate_proj", hidden, attention.heads)
        attention = replace(attention, gated=True, extras=(gate,))
    return replace(layer, attention=attention)


_LIQUID = replace(
    LLAMA,
    feed_forward_inputs=("feed_forward.w1", "feed_forward.w3"),
    feed_forward_output="feed_forward.w2",
    feed_forward_bias=False,
    attention_norm="operator_norm",
    feed_forward_norm="ffn_norm",
    final_norm="embedding_norm",
)
_LIQUID2 = replace(
    _LIQUID,
    input_bias=False,
    output_bias=False,
    attention_output="self_attn.out_proj",
    query_key_norm=("self_attn.q_layernorm", "self_attn.k_layernorm"),
)
LFM2 = mixed(
    replace(_LIQUID2, derived=_lfm2_width),
    _lfm2_kinds,
    {CONVOLUTION: _convolution},
)
LFM2_MOE = mixed(
    replace(
        _LIQUID2,
        mixture=MixtureKeys(
            count="num_experts",
            width="moe_intermediate_size",
            router="feed_forward.gate",
            expert=(
                "feed_forward.experts.{expert}.w1",
                "feed_forward.experts.{expert}.w3",
                "feed_forward.experts.{expert}.w2",
            ),
            sparse=after("num_dense_layers"),
        ),
    ),
    listed("layer_types", known=_TYPES),
    {CONVOLUTION: _convolution},
)
LFM3 = mixed(
    replace(_LIQUID, query_key_norm=("self_attn.q_norm", "self_attn.k_norm"), finish=_lfm3_layer),
    listed("layer_types", _lfm3_kind, (CONVOLUTION, ATTENTION, SLIDING)),
    {CONVOLUTION: _convolution},
)

DIALECTS = (
    decoder(
        "lfm2",
        "Lfm2",
        LFM2,
        class_defaults(
            (32, 2560, 32, 12288, 65536),
            8,
            128_000,
            tie_word_embeddings=True,
            conv_bias=False,
            conv_L_cache=3,
            block_multiple_of=256,
            block_ffn_dim_multiplier=1.0,
            block_auto_adjust_ff_dim=True,
        ),
        tie_word_embeddings=("tie_word_embeddings", "tie_embedding"),
        intermediate_size=("intermediate_size", "block_ff_dim"),
    ),
    decoder(
        "lfm2_moe",
        "Lfm2Moe",
        LFM2_MOE,
        class_defaults(
            (32, 2048, 32, 7168, 65536),
            8,
            128_000,
            tie_word_embeddings=True,
            conv_bias=False,
            conv_L_cache=3,
            num_dense_layers=2,
            moe_intermediate_size=1792,
            num_experts=32,
            num_experts_per_tok=4,
        ),
        tie_word_embeddings=("tie_word_embeddings", "tie_embedding"),
    ),
    decoder(
        "lfm3",
        "Lfm3",
        LFM3,
        class_defaults(
            (24, 2048, 16, 7680, 128_000),
            4,
            128_000,
            tie_word_embeddings=True,
            head_dim=128,
            conv_bias=False,
            conv_L_cache=7,
            sliding_window=256,
            use_sandwich_norm=True,
            use_attention_gate=True,
        ),
    ),
)
