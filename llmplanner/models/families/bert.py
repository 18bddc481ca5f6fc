"""Encoders of BERT's form: learned positions and token types, norms after the sums, a masked-LM head.

Defaults: Transformers 5.23.0 class defaults. Tensor names: the published checkpoints of each family.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from llmplanner.core.model import (
    Activation,
    Embedding,
    Head,
    Kind,
    Layer,
    LayerGroup,
    Linear,
    Model,
    Norm,
    NormKind,
    Stack,
)
from llmplanner.models.entries import MOST_LAYERS, MOST_ROWS, Entries
from llmplanner.models.families.blocks import Widths, attention, feed_forward
from llmplanner.models.families.dialect import Dialect, Part, activation, dropout, dtype


@dataclass(frozen=True, slots=True)
class EncoderData:
    """What tells BERT and RoBERTa apart."""

    body: str  # prefix of all but the head: "bert."
    transform: str  # tensor names of the masked-LM head
    transform_norm: str
    decoder: str
    bias: str
    position_offset: int = 0  # rows of the table that are not positions
    transform_activation: Activation | None = None  # None: the file's


BERT = EncoderData(
    body="bert.",
    transform="cls.predictions.transform.dense",
    transform_norm="cls.predictions.transform.LayerNorm",
    decoder="cls.predictions.decoder",
    bias="cls.predictions",
)
ROBERTA = EncoderData(
    body="roberta.",
    transform="lm_head.dense",
    transform_norm="lm_head.layer_norm",
    decoder="lm_head.decoder",
    bias="lm_head",
    position_offset=2,
    transform_activation=Activation.GELU,
)


def build(data: EncoderData, entries: Entries, part: Part) -> Model:
    """An encoder. Raises BadInput."""
    for name in ("is_decoder", "add_cross_attention"):
        if entries.flag(name):
            raise entries.refuse(name, "is true; this family is supported as an encoder only")
    if entries.raw("position_embedding_type") not in {None, "absolute"}:
        raise entries.refuse("position_embedding_type", 'is not supported; only "absolute" is')
    hidden, vocabulary = entries.size("hidden_size"), entries.size("vocab_size", MOST_ROWS)
    rows = entries.size("max_position_embeddings", MOST_ROWS, least=1 + data.position_offset)
    body = "" if part is Part.BODY else data.body
    layers = tuple(range(entries.size("num_hidden_layers", MOST_LAYERS)))
    return Model(
        kind=Kind.ENCODER,
        hidden_size=hidden,
        vocab_size=vocabulary,
        context_length=rows - data.position_offset,
        dtype=dtype(entries),
        token_embedding=Embedding(f"{body}embeddings.word_embeddings", vocabulary, hidden),
        embeddings=(
            Embedding(f"{body}embeddings.position_embeddings", rows, hidden),
            Embedding(f"{body}embeddings.token_type_embeddings", entries.size("type_vocab_size"), hidden),
        ),
        stacks=(
            Stack(
                Kind.ENCODER, body + "encoder.layer.{layer}.", (LayerGroup(_layer(entries), layers),), None
            ),
        ),
        head=Head(None, tied=False) if part is Part.BODY else _head(data, entries),
        embedding_norm=_norm(f"{body}embeddings.LayerNorm", hidden),
        pooler=None
        if part is Part.LANGUAGE_MODEL
        else Linear(f"{body}pooler.dense", hidden, hidden, bias=True),
        pair_head=Linear("cls.seq_relationship", hidden, 2, bias=True) if part is Part.PRETRAINING else None,
        dropout=dropout(
            entries, "hidden_dropout_prob", "attention_probs_dropout_prob", "hidden_dropout_prob"
        ),
    )


def _layer(entries: Entries) -> Layer:
    hidden = entries.size("hidden_size")
    widths = Widths(
        hidden,
        entries.size("num_attention_heads"),
        entries.quotient("hidden_size", "num_attention_heads"),
        entries.size("intermediate_size"),
        bias=True,
    )
    inputs = ("attention.self.query", "attention.self.key", "attention.self.value")
    function = activation(entries, "hidden_act")
    return Layer(
        attention=attention((*inputs, "attention.output.dense"), widths),
        feed_forward=feed_forward(("intermediate.dense",), "output.dense", widths, function),
        attention_norm=_norm("attention.output.LayerNorm", hidden),
        feed_forward_norm=_norm("output.LayerNorm", hidden),
        post_norm=True,
    )


def _head(data: EncoderData, entries: Entries) -> Head:
    hidden, tied = entries.size("hidden_size"), entries.flag("tie_word_embeddings")
    name = data.bias if tied else data.decoder
    return Head(
        linear=Linear(name, hidden, entries.size("vocab_size", MOST_ROWS), bias=True),
        tied=tied,
        transform=Linear(data.transform, hidden, hidden, bias=True),
        transform_activation=data.transform_activation or activation(entries, "hidden_act"),
        norm=_norm(data.transform_norm, hidden),
        loss_fp32=False,
        spare_bias="" if tied else data.bias,
    )


def _norm(name: str, width: int) -> Norm:
    return Norm(name, NormKind.LAYER, width, bias=True)


def _dialect(model_type: str, classes: Mapping[str, Part], data: EncoderData, vocabulary: int) -> Dialect:
    defaults = {
        "vocab_size": vocabulary,
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "intermediate_size": 3072,
        "max_position_embeddings": 512,
        "type_vocab_size": 2,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "tie_word_embeddings": True,
    }
    sizes = ("num_hidden_layers", "hidden_size", "num_attention_heads", "intermediate_size", "vocab_size")
    return Dialect(model_type, defaults, sizes, classes, partial(build, data))


BERT_CLASSES = {
    "BertForMaskedLM": Part.LANGUAGE_MODEL,
    "BertModel": Part.BODY,
    "BertForPreTraining": Part.PRETRAINING,
}
ROBERTA_CLASSES = {"RobertaForMaskedLM": Part.LANGUAGE_MODEL, "RobertaModel": Part.BODY}

DIALECTS = (
    _dialect("bert", BERT_CLASSES, BERT, 30522),
    _dialect("roberta", ROBERTA_CLASSES, ROBERTA, 50265),
)
