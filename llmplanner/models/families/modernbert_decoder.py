"""ModernBERT trained as a decoder (Ettin).

Defaults: Transformers 5.23.0 class defaults. Tensor names: the published checkpoints.
"""

from collections.abc import Mapping
from dataclasses import replace

from llmplanner.core.model import Head, Layer, Linear, Model, Norm, NormKind
from llmplanner.models.entries import Entries
from llmplanner.models.families.decoder import build
from llmplanner.models.families.defaults import class_defaults, decoder
from llmplanner.models.families.dialect import Part
from llmplanner.models.families.gpt import GPT2
from llmplanner.models.families.windows import leading_window


def _modernbert_window(entries: Entries) -> Mapping[str, object]:
    """local_attention counts both sides of a token; a decoder sees one."""
    if entries.stated("sliding_window"):
        return {}
    return {"sliding_window": entries.size("local_attention") // 2}


def _first(_entries: Entries, index: int) -> Mapping[str, object]:
    return {"is_first": index == 0}


def _first_unnormed(entries: Entries, layer: Layer) -> Layer:
    """ModernBERT: the first layer reads the embeddings, which are normed already."""
    return replace(layer, attention_norm=None) if entries.flag("is_first") else layer


MODERNBERT = replace(
    GPT2,
    body="model.",
    embedding="embeddings.tok_embeddings",
    embedding_norm="embeddings.norm",
    positions=None,
    layer="layers.{layer}.",
    attention_inputs=("attn.q_proj", "attn.k_proj", "attn.v_proj"),
    attention_output="attn.Wo",
    feed_forward_inputs=("mlp.Wi",),
    feed_forward_output="mlp.Wo",
    attention_norm="attn_norm",
    feed_forward_norm="mlp_norm",
    final_norm="final_norm",
    activation="hidden_activation",
    gated=True,
    norm_bias="norm_bias",
    input_bias="attention_bias",
    output_bias="attention_bias",
    feed_forward_bias="mlp_bias",
    head="decoder",
    head_bias="decoder_bias",
    rotary="",
    transposed=False,
    softmax_fp32=True,
    windows=leading_window,
    derived=_modernbert_window,
    per_layer=_first,
    finish=_first_unnormed,
    dropouts=("mlp_dropout", "attention_dropout", "embedding_dropout"),
    refused=(),
)


def _build_modernbert(entries: Entries, part: Part) -> Model:
    """The head of a masked language model on a decoder: a matrix and a norm before the output matrix."""
    model = build(MODERNBERT, entries, part)
    hidden, head = model.hidden_size, model.head
    if head.linear is None:
        return model
    dense = Linear("lm_head.dense", hidden, hidden, entries.flag("classifier_bias"))
    norm = Norm("lm_head.norm", NormKind.LAYER, hidden, bias=entries.flag("norm_bias"))
    return replace(model, head=Head(head.linear, head.tied, transform=dense, norm=norm))


DIALECTS = (
    replace(
        decoder(
            "modernbert-decoder",
            "ModernBertDecoder",
            MODERNBERT,
            {
                **class_defaults((22, 768, 12, 1152, 50368), None, 8192),
                "tie_word_embeddings": True,
                "hidden_activation": "gelu",
                "decoder_bias": True,
                "local_attention": 128,
                "sliding_window_pattern": 3,
            },
            sliding_window_pattern=("global_attn_every_n_layers",),
        ),
        build=_build_modernbert,
    ),
)
