"""Falcon in its three forms, and its files from before Transformers had it (RefinedWeb).

Defaults: Transformers 5.23.0 class defaults. Tensor names: the published checkpoints.
"""

from collections.abc import Mapping
from dataclasses import replace

from llmplanner.core.model import Attention, Layer
from llmplanner.models.entries import Entries
from llmplanner.models.families.defaults import class_defaults, decoder
from llmplanner.models.families.gpt import GPT_NEOX


def _falcon_heads(entries: Entries) -> Mapping[str, object]:
    """Falcon-40B states its key/value heads, Falcon-7B has one, Falcon-RW as many as heads."""
    heads = entries.size("num_attention_heads")
    if entries.flag("new_decoder_architecture"):
        return {"num_key_value_heads": entries.optional_size("num_key_value_heads") or heads}
    return {"num_key_value_heads": 1 if entries.flag("multi_query") else heads}


def _falcon_layer(entries: Entries, layer: Layer) -> Layer:
    """A layer with the norms of its generation and, from Falcon-40B on, the cache that its class keeps."""
    if entries.flag("new_decoder_architecture") and isinstance(layer.attention, Attention):
        layer = replace(layer, attention=replace(layer.attention, repeated_cache=True))
    elif entries.flag("multi_query") and isinstance(layer.attention, Attention):
        layer = replace(layer, attention=replace(layer.attention, copied=True))
    return _falcon_norms(entries, layer)


def _falcon_norms(entries: Entries, layer: Layer) -> Layer:
    """Two norms where the branches follow each other; in parallel ones two under other names, or one."""
    first, second = layer.attention_norm, layer.feed_forward_norm
    if not layer.parallel or first is None or second is None:
        return layer
    norms = entries.optional_size("num_ln_in_parallel_attn")
    if norms is None:
        norms = 2 if entries.flag("new_decoder_architecture") else 1
    if norms != 2:  # noqa: PLR2004 - a norm for each branch
        return replace(layer, feed_forward_norm=None)
    return replace(
        layer,
        attention_norm=replace(first, name="ln_attn"),
        feed_forward_norm=replace(second, name="ln_mlp"),
    )


FALCON = replace(
    GPT_NEOX,
    body="transformer.",
    embedding="word_embeddings",
    layer="h.{layer}.",
    attention_inputs=("self_attention.query_key_value",),
    attention_output="self_attention.dense",
    final_norm="ln_f",
    activation="activation",
    input_bias="bias",
    output_bias="bias",
    feed_forward_bias="bias",
    rotary="",
    alibi="alibi",
    softmax_fp32=False,
    parallel="parallel_attn",
    grouped=True,
    derived=_falcon_heads,
    finish=_falcon_layer,
    head="lm_head",
    dropouts=("hidden_dropout", "attention_dropout", None),
)

_FALCON = {
    **class_defaults((32, 4544, 71, None, 65024), None, 2048),
    "tie_word_embeddings": True,
    "activation": "gelu",
    "alibi": False,
    "new_decoder_architecture": False,
    "multi_query": True,
    "parallel_attn": True,
    "bias": False,
}
_FALCON_NAMES = {
    "hidden_size": ("hidden_size", "n_embed"),
    "num_hidden_layers": ("num_hidden_layers", "n_layer"),
    "num_attention_heads": ("num_attention_heads", "n_head"),
    "num_key_value_heads": ("num_kv_heads", "n_head_kv"),
    "intermediate_size": ("ffn_hidden_size",),
}
_REFINED = ("RWForCausalLM", "RWModel")  # Falcon before Transformers had it

DIALECTS = (
    decoder("falcon", "Falcon", FALCON, _FALCON, _REFINED[:1], **_FALCON_NAMES),
    decoder("RefinedWebModel", _REFINED, FALCON, _FALCON, **_FALCON_NAMES),
    decoder("RefinedWeb", _REFINED, FALCON, {**_FALCON, "new_decoder_architecture": True}, **_FALCON_NAMES),
)
