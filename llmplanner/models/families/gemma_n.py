"""Gemma 3n and Gemma 4: embeddings for every layer, keys and values of earlier layers, heads of two sizes.

Defaults: Transformers 5.23.0 class defaults. Tensor names: the published checkpoints.
"""

from collections.abc import Mapping
from dataclasses import replace

from llmplanner.core.model import (
    Attention,
    Embedding,
    Experts,
    FeedForward,
    Layer,
    Linear,
    Model,
    Module,
    Norm,
    NormKind,
    Parameter,
)
from llmplanner.models.entries import MOST_ROWS, Entries
from llmplanner.models.families.decoder import DecoderData, build
from llmplanner.models.families.defaults import class_defaults, decoder
from llmplanner.models.families.dialect import Dialect, Part, activation
from llmplanner.models.families.experts import counts, gated
from llmplanner.models.families.llama import LLAMA
from llmplanner.models.families.mixers import ATTENTION, Rule, kind_of, listed, mixed

SLIDING = "sliding_attention"
_SHARES = "keys and values of an earlier layer"  # what a layer's own entries say of it


def _norm(name: str, width: int) -> Norm:
    return Norm(name, NormKind.RMS_WIDE, width)


def _shared_from(entries: Entries) -> int:
    """The first layer that computes no keys and values of its own."""
    count, shared = entries.size("num_hidden_layers"), entries.size("num_kv_shared_layers", least=0)
    if shared >= count:
        raise entries.refuse(
            "num_kv_shared_layers",
            f"is {shared:,}, but some of the {count:,} layers must make keys and values; correct one",
        )
    return count - shared


def _period(every: int) -> Rule:
    return lambda _entries, index: SLIDING if (index + 1) % every else ATTENTION


def _share(entries: Entries, attention: Attention) -> Attention:
    """Without matrices and norms for keys and values, where they are another layer's."""
    if not entries.flag(_SHARES):
        return attention
    return replace(attention, inputs=attention.inputs[:1], key_norm=None, shares_cache=True)


def _layer_input(entries: Entries) -> tuple[Module, ...]:
    """How a layer takes in its own embedding of the token."""
    hidden, narrow = entries.size("hidden_size"), entries.size("hidden_size_per_layer_input", least=0)
    if not narrow:
        return ()
    return (
        Linear("per_layer_input_gate", hidden, narrow),
        Linear("per_layer_projection", narrow, hidden),
        _norm("post_per_layer_input_norm", hidden),
    )


def _with_layer_inputs(model: Model, entries: Entries, prefix: str, extras: tuple[Module, ...]) -> Model:
    """The model with a table that embeds each token once more for every layer."""
    narrow = entries.size("hidden_size_per_layer_input", least=0)
    if not narrow:
        return replace(model, extras=extras)
    wide = narrow * entries.size("num_hidden_layers")
    rows = entries.size("vocab_size_per_layer_input", MOST_ROWS)
    around = (
        Linear(f"{prefix}per_layer_model_projection", model.hidden_size, wide),
        _norm(f"{prefix}per_layer_projection_norm", narrow),
    )
    table = Embedding(f"{prefix}embed_tokens_per_layer", rows, wide)
    return replace(model, embeddings=(table,), extras=(*around, *extras))


def _slide(entries: Entries, attention: Attention) -> Attention:
    """With a window, in a sliding layer."""
    if kind_of(entries) != SLIDING:
        return attention
    return replace(attention, window=entries.size("sliding_window", MOST_ROWS))


def _own_3n(entries: Entries, index: int) -> Mapping[str, object]:
    """A layer's own width, and whose keys and values it uses."""
    widths, count = entries.raw("intermediate_size"), entries.size("num_hidden_layers")
    shares = {_SHARES: index >= _shared_from(entries)}
    if not isinstance(widths, list):
        return shares
    if len(widths) != count:
        raise entries.refuse(
            "intermediate_size",
            f"has {len(widths):,} entries, but num_hidden_layers is {count:,}; correct one",
        )
    return {**shares, "intermediate_size": widths[index]}


def _layer_3n(entries: Entries, layer: Layer) -> Layer:
    """AltUp (arXiv:2301.13310), Laurel (arXiv:2411.07501) and the layer's own embedding."""
    hidden = entries.size("hidden_size")
    streams, rank = entries.size("altup_num_inputs"), entries.size("laurel_rank")
    extras = (
        Parameter("altup.correct_output_scale", (hidden,)),
        Linear("altup.correction_coefs", streams, streams),
        Linear("altup.prediction_coefs", streams, streams**2),
        Linear("altup.modality_router", hidden, streams),
        _norm("altup.router_norm", hidden),
        Linear("laurel.linear_left", hidden, rank),
        Linear("laurel.linear_right", rank, hidden),
        _norm("laurel.post_laurel_norm", hidden),
        *_layer_input(entries),
    )
    attention = layer.attention
    if isinstance(attention, Attention):
        attention = _slide(entries, _share(entries, attention))
    return replace(layer, attention=attention, extras=extras)


def _gemma3n(entries: Entries, part: Part) -> Model:
    model, prefix = build(GEMMA3N, entries, part), "model." if part is Part.LANGUAGE_MODEL else ""
    hidden, streams = model.hidden_size, entries.size("altup_num_inputs")
    entries.size("hidden_size_per_layer_input")
    altup = tuple(
        Linear(f"{prefix}altup_{name}.{index}", hidden, hidden)
        for name in ("projections", "unembed_projections")
        for index in range(streams - 1)
    )
    return _with_layer_inputs(model, entries, prefix, altup)


_SANDWICH: DecoderData = replace(
    LLAMA,
    feed_forward_bias=False,
    feed_forward_norm="pre_feedforward_layernorm",
    norm=NormKind.RMS_WIDE,
    activation="hidden_activation",
    query_key_norm=("self_attn.q_norm", "self_attn.k_norm"),
    output_norms=("post_attention_layernorm", "post_feedforward_layernorm"),
    softcaps=("attn_logit_softcapping", "final_logit_softcapping"),
)
GEMMA3N = mixed(
    replace(_SANDWICH, per_layer=_own_3n, finish=_layer_3n),
    listed("layer_types", _period(5), (SLIDING, ATTENTION)),
    {},
)


def _kinds_4(entries: Entries, count: int) -> tuple[str, ...]:
    """The last layer sees all tokens, whatever the file says."""
    kinds = listed("layer_types", _period(6), (SLIDING, ATTENTION))(entries, count)
    return (*kinds[:-1], ATTENTION)


def _own_4(entries: Entries, index: int) -> Mapping[str, object]:
    """A layer's own sizes of heads and feed-forward, and whose keys and values it uses."""
    shares = index >= _shared_from(entries)
    own: dict[str, object] = {_SHARES: shares, **_heads_4(entries, index)}
    if shares and entries.flag("use_double_wide_mlp"):
        own["intermediate_size"] = 2 * entries.size("intermediate_size")
    return own


def _heads_4(entries: Entries, index: int) -> Mapping[str, object]:
    """The heads of one layer where they differ: a list in files of version 5, else entries of their own."""
    listed_sizes = entries.values.get("per_layer_config")
    if isinstance(listed_sizes, dict):
        for name in (str(index), f"{index:02}", f"{index:03}"):
            own = listed_sizes.get(name)
            if isinstance(own, dict):
                return {key: own[key] for key in ("head_dim", "num_key_value_heads") if key in own}
        return {}
    if kind_of(entries) == SLIDING:
        return {}
    heads: dict[str, object] = {"head_dim": entries.size("global_head_dim")}
    kv_heads = entries.optional_size("num_global_key_value_heads")
    if kv_heads is not None and entries.flag("attention_k_eq_v"):
        heads["num_key_value_heads"] = kv_heads
    return heads


def _layer_4(entries: Entries, layer: Layer) -> Layer:
    attention, extras = layer.attention, _layer_input(entries)
    if isinstance(attention, Attention):
        if entries.flag("attention_k_eq_v") and kind_of(entries) == ATTENTION:
            attention = replace(attention, inputs=attention.inputs[:2])  # values are the keys
        layer = replace(layer, attention=_slide(entries, _share(entries, attention)))
    dense = layer.feed_forward
    if entries.flag("enable_moe_block") and isinstance(dense, FeedForward):
        hidden = entries.size("hidden_size")
        names = (
            "post_feedforward_layernorm_1",
            "post_feedforward_layernorm_2",
            "pre_feedforward_layernorm_2",
        )
        extras = (*(_norm(name, hidden) for name in names), *extras)
        layer = replace(layer, feed_forward=_experts_4(entries, dense))
    return replace(layer, extras=extras)


def _experts_4(entries: Entries, dense: FeedForward) -> Experts:
    """Experts beside the dense feed-forward, which every token takes."""
    hidden = entries.size("hidden_size")
    count, top_k = counts(entries, "num_experts", "top_k_experts")
    return Experts(
        router=Linear("router.proj", hidden, count),
        count=count,
        top_k=top_k,
        expert=gated(
            ("experts.gate_up_proj", "experts.down_proj"),
            hidden,
            entries.size("moe_intermediate_size"),
            activation(entries, "hidden_activation"),
        ),
        shared=dense,
        extras=(Parameter("router.scale", (hidden,)), Parameter("router.per_expert_scale", (count,))),
    )


def _gemma4(entries: Entries, part: Part) -> Model:
    if entries.raw("use_bidirectional_attention") == "all":
        raise entries.refuse(
            "use_bidirectional_attention", "is all; a decoder that attends both ways is not supported"
        )
    prefix = "model." if part is Part.LANGUAGE_MODEL else ""
    return _with_layer_inputs(build(GEMMA4, entries, part), entries, prefix, ())


GEMMA4 = mixed(replace(_SANDWICH, per_layer=_own_4, finish=_layer_4), _kinds_4, {})

_SHARED: Mapping[str, object] = {
    "tie_word_embeddings": True,
    "head_dim": 256,
    "vocab_size_per_layer_input": 262144,
}


def _gemma4_dialect(name: str, stem: str, window: int, narrow: int) -> Dialect:
    """`window`: tokens that a sliding layer sees. `narrow`: the width of a layer's own embedding."""
    return replace(
        decoder(
            f"{name}_text",
            (f"{stem}ForCausalLM", f"{stem}TextModel"),
            GEMMA4,
            class_defaults(
                (30, 2304, 8, 9216, 262144),
                4,
                131072,
                **_SHARED,
                sliding_window=window,
                hidden_size_per_layer_input=narrow,
                num_kv_shared_layers=0,
                global_head_dim=512,
                attention_k_eq_v=False,
                enable_moe_block=False,
                use_double_wide_mlp=False,
            ),
        ),
        build=_gemma4,
        sizes=("num_hidden_layers", "hidden_size", "intermediate_size"),
    )


DIALECTS = (
    replace(
        decoder(
            "gemma3n_text",
            ("Gemma3nForCausalLM", "Gemma3nTextModel"),
            GEMMA3N,
            class_defaults(
                (35, 2048, 8, 16384, 262400),
                2,
                32768,
                **_SHARED,
                sliding_window=512,
                hidden_size_per_layer_input=256,
                final_logit_softcapping=30.0,
                altup_num_inputs=4,
                num_kv_shared_layers=15,
                laurel_rank=64,
            ),
        ),
        build=_gemma3n,
        sizes=("num_hidden_layers", "hidden_size", "intermediate_size"),
    ),
    _gemma4_dialect("gemma4", "Gemma4", 512, 256),
    _gemma4_dialect("gemma4_unified", "Gemma4Unified", 1024, 0),
)
