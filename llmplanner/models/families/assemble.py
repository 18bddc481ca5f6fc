"""Builds a decoder whose layers are of several kinds and share nothing but the residual stream."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from llmplanner.core.model import (
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
from llmplanner.models.entries import MOST_ROWS, Entries
from llmplanner.models.families.dialect import Part, dropout, dtype

K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class Frame:
    """What stands around the layers, by tensor name: relative to `body`, but for the head."""

    body: str = "model."
    embedding: str = "embed_tokens"
    layer: str = "layers.{layer}."
    final_norm: str = "norm"
    norm: NormKind = NormKind.RMS
    norm_bias: bool = False
    head: str = "lm_head"
    attention_dropout: str | None = None


def assemble(frame: Frame, entries: Entries, part: Part, groups: tuple[LayerGroup, ...]) -> Model:
    """The model around its layers. Raises BadInput."""
    hidden, vocabulary = entries.size("hidden_size"), entries.size("vocab_size", MOST_ROWS)
    body = frame.body if part is Part.LANGUAGE_MODEL else ""
    head = Linear(frame.head, hidden, vocabulary) if part is Part.LANGUAGE_MODEL else None
    stated = entries.stated("max_position_embeddings")
    return Model(
        kind=Kind.DECODER,
        hidden_size=hidden,
        vocab_size=vocabulary,
        context_length=entries.size("max_position_embeddings", MOST_ROWS) if stated else None,
        dtype=dtype(entries),
        token_embedding=Embedding(body + frame.embedding, vocabulary, hidden),
        embeddings=(),
        stacks=(
            Stack(
                Kind.DECODER,
                body + frame.layer,
                groups,
                Norm(body + frame.final_norm, frame.norm, hidden, bias=frame.norm_bias),
            ),
        ),
        head=Head(head, tied=head is not None and entries.flag("tie_word_embeddings")),
        dropout=dropout(entries, None, frame.attention_dropout, None),
    )


def grouped(kinds: Sequence[K], layer: Callable[[K], Layer]) -> tuple[LayerGroup, ...]:
    """The layers, those of the same kind together."""
    places: dict[K, list[int]] = {}
    for index, kind in enumerate(kinds):
        places.setdefault(kind, []).append(index)
    return tuple(LayerGroup(layer(kind), tuple(indices)) for kind, indices in places.items())
