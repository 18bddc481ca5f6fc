"""Encoders made of a decoder's parts: ModernBERT (arXiv:2412.13663) and EuroBERT (arXiv:2503.05500).

Defaults: Transformers 5.23.0 class defaults. Tensor names: the published checkpoints.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from llmplanner.core.model import Head, Kind, Linear, Model, Norm, NormKind
from llmplanner.models.entries import Entries
from llmplanner.models.families import decoder
from llmplanner.models.families.decoder import DecoderData
from llmplanner.models.families.defaults import SIZES, class_defaults
from llmplanner.models.families.dialect import Dialect, Part, activation
from llmplanner.models.families.llama import LLAMA
from llmplanner.models.families.modernbert_decoder import MODERNBERT as DECODER


def _both_sides(entries: Entries) -> Mapping[str, object]:
    """A local layer sees a token and half of local_attention on each side of it."""
    if entries.stated("sliding_window"):
        return {"sliding_window": 2 * entries.size("sliding_window") + 1}
    return {"sliding_window": entries.size("local_attention") // 2 * 2 + 1}


MODERNBERT = replace(DECODER, attention_inputs=("attn.Wqkv",), derived=_both_sides)


def _encoder(data: DecoderData, entries: Entries, part: Part) -> Model:
    """The decoder's layers, where every token sees both sides."""
    model = decoder.build(data, entries, part)
    (stack,) = model.stacks
    return replace(
        model,
        kind=Kind.ENCODER,
        stacks=(replace(stack, role=Kind.ENCODER),),
    )


def _build_modernbert(entries: Entries, part: Part) -> Model:
    """The head of a masked language model: a matrix and a norm before the output matrix."""
    model = _encoder(MODERNBERT, entries, part)
    hidden, head = model.hidden_size, model.head
    return model if head.linear is None else replace(model, head=_head(entries, hidden, head))


def _head(entries: Entries, hidden: int, head: Head) -> Head:
    return replace(
        head,
        transform=Linear("head.dense", hidden, hidden, entries.flag("classifier_bias")),
        transform_activation=activation(entries, "classifier_activation"),
        norm=Norm("head.norm", NormKind.LAYER, hidden, bias=entries.flag("norm_bias")),
    )


DIALECTS = (
    Dialect(
        "modernbert",
        {
            **class_defaults((22, 768, 12, 1152, 50368), None, 8192),
            "tie_word_embeddings": True,
            "hidden_activation": "gelu",
            "classifier_activation": "gelu",
            "decoder_bias": True,
            "local_attention": 128,
            "global_attn_every_n_layers": 3,
        },
        SIZES,
        {"ModernBertForMaskedLM": Part.LANGUAGE_MODEL, "ModernBertModel": Part.BODY},
        _build_modernbert,
        {"sliding_window_pattern": ("global_attn_every_n_layers",)},
    ),
    Dialect(
        "eurobert",
        class_defaults((12, 768, 12, 3072, 128256), None, 8192),
        SIZES,
        {"EuroBertForMaskedLM": Part.LANGUAGE_MODEL, "EuroBertModel": Part.BODY},
        partial(_encoder, replace(LLAMA, head_bias="mlp_bias")),
    ),
)
