"""Builds an encoder-decoder of BART's form; its kin differ in norms, positions and names alone.

Tensor names: the published checkpoints of each family.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from llmplanner.core.model import (
    Attention,
    Embedding,
    Head,
    Kind,
    Layer,
    LayerGroup,
    Linear,
    Model,
    Module,
    Norm,
    NormKind,
    Stack,
)
from llmplanner.models.entries import MOST_LAYERS, MOST_ROWS, Entries
from llmplanner.models.families.assemble import grouped
from llmplanner.models.families.blocks import Widths, attention, feed_forward
from llmplanner.models.families.dialect import Part, activation, dropout, dtype

TOWERS = (Kind.ENCODER, Kind.DECODER)
Names = tuple[str, str, str, str]


def projections(block: str) -> Names:
    """Names of an attention's query, key, value and output."""
    return f"{block}.q_proj", f"{block}.k_proj", f"{block}.v_proj", f"{block}.out_proj"


SELF = projections("self_attn")


def _as_built(_entries: Entries, _role: Kind, _index: int, layer: Layer) -> Layer:
    return layer


@dataclass(frozen=True, slots=True)
class Seq2SeqData:
    """One family as data. Names are relative to `body`, to the tower or to the layer; whole in the head."""

    body: str = "model."
    shared: str | None = "shared"  # the table of both towers; None: each has its own
    target: str = "vocab_size"  # the entry for the decoder's vocabulary, where it may be another
    lone_table: bool = False  # Whisper: the encoder reads sound, so one table is all there is
    split: str | None = None  # Marian: the entry that says whether the towers share one table
    positions: tuple[str, str] | None = ("max_position_embeddings", "max_position_embeddings")  # entries
    position_offset: int = 2  # rows of the tables that are not positions
    embedding_norm: str | None = "layernorm_embedding"
    final_norm: str | None = None
    post_norm: bool = True
    attention_bias: bool | str = True  # or the entry that says so
    key_bias: bool = True
    refused: tuple[str, ...] = ()  # flags that add what is not described
    encoder_attention: Names = SELF
    cross_attention: str = "encoder_attn"
    feed_forward: tuple[str, str] = ("fc1", "fc2")
    feed_forward_norm: str = "final_layer_norm"
    head: str = "lm_head"
    kinds: Callable[[Entries, Kind, int], int] = lambda _entries, _role, _index: 0  # 1: a layer of experts
    finish: Callable[[Entries, Kind, int, Layer], Layer] = _as_built  # by tower and kind of layer
    tables: Callable[[Entries, str], tuple[Embedding, ...]] = lambda _entries, _body: ()
    extras: Callable[[Entries, str], tuple[Module, ...]] = lambda _entries, _body: ()


def build(data: Seq2SeqData, entries: Entries, part: Part) -> Model:
    """An encoder-decoder. Untied, each tower looks up a table of its own. Raises BadInput."""
    for name in data.refused:
        if entries.flag(name):
            raise entries.refuse(name, "is true, which is not supported; open the model's weights")
    hidden = entries.size("d_model")
    vocabulary, target = _vocabularies(data, entries)
    body = data.body if part is Part.LANGUAGE_MODEL else ""
    tokens, *others = _tokens(data, entries, body)
    head = Linear(data.head, hidden, target) if part is Part.LANGUAGE_MODEL else None
    final = data.final_norm
    return Model(
        kind=Kind.ENCODER_DECODER,
        hidden_size=hidden,
        vocab_size=vocabulary,
        context_length=entries.size((data.positions or ("max_position_embeddings",))[0], MOST_ROWS),
        dtype=dtype(entries),
        token_embedding=tokens,
        embeddings=(*_positions(data, entries, body), *others, *data.tables(entries, body)),
        stacks=tuple(_stack(data, entries, body, tower, final) for tower in TOWERS),
        head=Head(head, tied=head is not None and entries.flag("tie_word_embeddings"), loss_fp32=False),
        embedding_norms_by_stack=tuple(
            _norm(f"{body}{tower.value}.{data.embedding_norm}", hidden)
            for tower in TOWERS
            if data.embedding_norm
        ),
        extras=data.extras(entries, body),
        dropout=dropout(entries, "dropout", "attention_dropout", "dropout"),
    )


def _vocabularies(data: Seq2SeqData, entries: Entries) -> tuple[int, int]:
    """The encoder's and the decoder's."""
    source = entries.size("vocab_size", MOST_ROWS)
    return source, entries.optional_size(data.target, MOST_ROWS) or source


def _tokens(data: Seq2SeqData, entries: Entries, body: str) -> tuple[Embedding, ...]:
    """The tables of tokens; the head is tied to the first, or to one as large."""
    hidden = entries.size("d_model")
    split = data.split is not None and not entries.flag(data.split)
    rows = _vocabularies(data, entries)
    own = tuple(
        Embedding(f"{body}{tower.value}.embed_tokens", count, hidden)
        for tower, count in zip(TOWERS, rows, strict=True)
    )
    if data.shared is None or split:
        return own
    whole = Embedding(body + data.shared, rows[0], hidden)
    return (whole,) if data.lone_table or entries.flag("tie_word_embeddings") else (whole, *own)


def _positions(data: Seq2SeqData, entries: Entries, body: str) -> tuple[Embedding, ...]:
    if data.positions is None:
        return ()
    return tuple(
        Embedding(
            f"{body}{tower.value}.embed_positions",
            entries.size(name, MOST_ROWS) + data.position_offset,
            entries.size("d_model"),
        )
        for tower, name in zip(TOWERS, data.positions, strict=True)
    )


def _stack(data: Seq2SeqData, entries: Entries, body: str, role: Kind, final: str | None) -> Stack:
    depth = entries.size(f"{role.value}_layers", MOST_LAYERS)
    kinds = [data.kinds(entries, role, index) for index in range(depth)]
    groups: tuple[LayerGroup, ...] = grouped(
        kinds, lambda kind: data.finish(entries, role, kind, _layer(data, entries, role))
    )
    norm = _norm(f"{body}{role.value}.{final}", entries.size("d_model")) if final else None
    return Stack(role, f"{body}{role.value}.layers.{{layer}}.", groups, norm)


def _layer(data: Seq2SeqData, entries: Entries, role: Kind) -> Layer:
    hidden, heads = entries.size("d_model"), f"{role.value}_attention_heads"
    width, cross = entries.size(f"{role.value}_ffn_dim"), role is Kind.DECODER
    widths = Widths(hidden, entries.size(heads), entries.quotient("d_model", heads), width, bias=True)
    inner, outer = data.feed_forward
    names = SELF if cross else data.encoder_attention
    crossed = _attention(data, entries, projections(data.cross_attention), widths)
    return Layer(
        attention=_attention(data, entries, names, widths),
        feed_forward=feed_forward((inner,), outer, widths, activation(entries, "activation_function")),
        attention_norm=_norm("self_attn_layer_norm", hidden),
        feed_forward_norm=_norm(data.feed_forward_norm, hidden),
        cross_attention=crossed if cross else None,
        cross_norm=_norm(f"{data.cross_attention}_layer_norm", hidden) if cross else None,
        post_norm=data.post_norm,
    )


def _attention(data: Seq2SeqData, entries: Entries, names: Names, widths: Widths) -> Attention:
    bias = data.attention_bias
    whole = attention(names, replace(widths, bias=entries.flag(bias) if isinstance(bias, str) else bias))
    query, key, value = whole.inputs
    return whole if data.key_bias else replace(whole, inputs=(query, replace(key, bias=False), value))


def _norm(name: str, width: int) -> Norm:
    return Norm(name, NormKind.LAYER, width, bias=True)
