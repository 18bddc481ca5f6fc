"""Builds an encoder of BERT's form: tables of tokens and positions, layers, perhaps a masked-LM head.

Tensor names: the published checkpoints of each family.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise

from llmplanner.core.model import (
    Activation,
    Attention,
    Embedding,
    FeedForward,
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
from llmplanner.models.families.blocks import Widths, attention, feed_forward
from llmplanner.models.families.dialect import Part, activation, dropout, dtype


@dataclass(frozen=True, slots=True)
class EncoderData:
    """One family of encoders as data. Names are relative to `body`, to the layer, or whole in the head.

    The first matrices of `feed_forward` read the layer's input, the last one writes.
    """

    body: str  # prefix of all but the head: "bert."
    transform: str | None = "cls.predictions.transform.dense"  # tensor names of the masked-LM head
    transform_norm: str | None = "cls.predictions.transform.LayerNorm"
    decoder: str = "cls.predictions.decoder"
    bias: str = "cls.predictions"
    spare_bias: bool = True  # untied, the class builds a second bias
    decoder_bias: bool = True  # untied, its own
    head_width: str | None = None  # the entry for the width of what the output matrix reads
    pair_head: str | None = "cls.seq_relationship"
    transform_activation: Activation | None = None  # None: the file's
    tokens: str = "embeddings.word_embeddings"
    positions: str | None = "embeddings.position_embeddings"
    positioned: str | None = None  # the entry that says whether there is that table
    position_offset: int = 0  # rows of the table that are not positions
    types: str | None = "embeddings.token_type_embeddings"
    embedding_norm: str | None = "embeddings.LayerNorm"
    width: str | None = None  # the entry for the embedding's width, where it may differ from the hidden size
    projection: str = ""  # from that width to the hidden size
    projected: bool = False  # also where the two are the same
    projection_bias: bool = True
    norm_after: bool = False  # the embedding's norm stands after the projection
    layer: str = "encoder.layer.{layer}."
    attention: tuple[str, str, str, str] = (
        "attention.self.query",
        "attention.self.key",
        "attention.self.value",
        "attention.output.dense",
    )
    attention_bias: bool | str = True  # or the entry that says so
    rotary: bool = False
    alibi: bool = False  # scores are biased by distance
    feed_forward: tuple[str, ...] = ("intermediate.dense", "output.dense")
    fused_gate: bool = False  # the first matrix makes the gate and what it weighs
    feed_forward_bias: tuple[bool, bool] = (True, True)  # of what reads and what writes
    attention_norm: str = "attention.output.LayerNorm"
    feed_forward_norm: str = "output.LayerNorm"
    final_norm: str | None = None  # of the families whose norms stand before the branches
    shared: str | None = None  # ALBERT: the entry for how many sets of parameters the layers share
    relative_bias: str | None = None  # MPNet: a table of buckets, beside the layers
    pooler: str | None = "pooler.dense"
    always_pooled: bool = False  # under the language model's head too
    discriminator: str | None = None  # ELECTRA: what tells replaced tokens from true ones
    tables: Callable[[Entries, str], tuple[Embedding, ...]] = lambda _entries, _body: ()
    extras: Callable[[Entries, str], tuple[Module, ...]] = lambda _entries, _body: ()
    finish: Callable[[Entries, Layer], Layer] = lambda _entries, layer: layer


def build(data: EncoderData, entries: Entries, part: Part) -> Model:
    """An encoder. Raises BadInput."""
    for name in ("is_decoder", "add_cross_attention"):
        if entries.flag(name):
            raise entries.refuse(name, "is true; this family is supported as an encoder only")
    if entries.raw("position_embedding_type") not in (None, "absolute"):
        raise entries.refuse("position_embedding_type", 'is not supported; only "absolute" is')
    hidden, vocabulary = entries.size("hidden_size"), entries.size("vocab_size", MOST_ROWS)
    rows = entries.size("max_position_embeddings", MOST_ROWS, least=1 + data.position_offset)
    body = "" if part is Part.BODY else data.body
    width = _width(data, entries)
    masked = part in {Part.LANGUAGE_MODEL, Part.PRETRAINING} and not _discriminates(data, part)
    pooled = data.pooler is not None and (data.always_pooled or part is not Part.LANGUAGE_MODEL)
    paired = part is Part.PRETRAINING and data.pair_head is not None and not _discriminates(data, part)
    return Model(
        kind=Kind.ENCODER,
        hidden_size=hidden,
        vocab_size=vocabulary,
        context_length=rows - data.position_offset,
        dtype=dtype(entries),
        token_embedding=Embedding(body + data.tokens, vocabulary, width),
        embeddings=_tables(data, entries, body, rows, width),
        stacks=(_stack(data, entries, body),),
        head=_head(data, entries) if masked else Head(None, tied=False),
        embedding_norm=(
            norm(body + data.embedding_norm, hidden if data.norm_after else width)
            if data.embedding_norm
            else None
        ),
        projections=_projections(data, body, width, hidden),
        pooler=Linear(f"{body}{data.pooler}", hidden, hidden, bias=True) if pooled else None,
        pair_head=Linear(f"{data.pair_head}", hidden, 2, bias=True) if paired else None,
        extras=(
            *_beside(data, entries, body),
            *data.extras(entries, body),
            *_discriminator(data, part, hidden),
        ),
        dropout=dropout(
            entries, "hidden_dropout_prob", "attention_probs_dropout_prob", "hidden_dropout_prob"
        ),
    )


def _width(data: EncoderData, entries: Entries) -> int:
    """The embedding's."""
    hidden = entries.size("hidden_size")
    return hidden if data.width is None else entries.optional_size(data.width) or hidden


def _tables(data: EncoderData, entries: Entries, body: str, rows: int, width: int) -> tuple[Embedding, ...]:
    placed = data.positioned is None or entries.flag(data.positioned)
    positions = (Embedding(body + data.positions, rows, width),) if data.positions and placed else ()
    kinds = entries.size("type_vocab_size", least=0) if data.types else 0
    types = (Embedding(f"{body}{data.types}", kinds, width),) if kinds else ()
    return (*positions, *types, *data.tables(entries, body))


def _projections(data: EncoderData, body: str, width: int, hidden: int) -> tuple[Linear, ...]:
    if not data.projection or (width == hidden and not data.projected):
        return ()
    return (Linear(body + data.projection, width, hidden, data.projection_bias),)


def _beside(data: EncoderData, entries: Entries, body: str) -> tuple[Module, ...]:
    """A table of relative positions that all layers use."""
    if data.relative_bias is None:
        return ()
    buckets = entries.size("relative_attention_num_buckets")
    return (Embedding(body + data.relative_bias, buckets, entries.size("num_attention_heads")),)


def _discriminates(data: EncoderData, part: Part) -> bool:
    return data.discriminator is not None and part is Part.PRETRAINING


def _discriminator(data: EncoderData, part: Part, hidden: int) -> tuple[Module, ...]:
    if not _discriminates(data, part):
        return ()
    dense = Linear(f"{data.discriminator}.dense", hidden, hidden, bias=True)
    return dense, Linear(f"{data.discriminator}.dense_prediction", hidden, 1, bias=True)


def _stack(data: EncoderData, entries: Entries, body: str) -> Stack:
    layer, depth = _layer(data, entries), entries.size("num_hidden_layers", MOST_LAYERS)
    groups: tuple[LayerGroup, ...] = (LayerGroup(layer, tuple(range(depth))),)
    if data.shared is not None:  # layer i takes set i // (depth / sets)
        sets = entries.size(data.shared, most=depth)
        bounds = [depth * one // sets for one in range(sets + 1)]
        groups = tuple(
            LayerGroup(layer, tuple(range(begin, end)), shared=True) for begin, end in pairwise(bounds)
        )
    final = norm(body + data.final_norm, entries.size("hidden_size")) if data.final_norm else None
    return Stack(Kind.ENCODER, body + data.layer, groups, final)


def _layer(data: EncoderData, entries: Entries) -> Layer:
    hidden = entries.size("hidden_size")
    widths = Widths(
        hidden,
        entries.size("num_attention_heads"),
        entries.quotient("hidden_size", "num_attention_heads"),
        entries.size("intermediate_size"),
        bias=True,
    )
    layer = Layer(
        attention=_attention(data, entries, widths),
        feed_forward=_feed_forward(data, entries, widths),
        attention_norm=norm(data.attention_norm, hidden),
        feed_forward_norm=norm(data.feed_forward_norm, hidden),
        post_norm=data.final_norm is None,
    )
    return data.finish(entries, layer)


def _attention(data: EncoderData, entries: Entries, widths: Widths) -> Attention:
    bias = data.attention_bias
    own = replace(widths, bias=entries.flag(bias) if isinstance(bias, str) else bias)
    whole = attention(data.attention, own)
    return replace(whole, rotary_dim=widths.head_dim if data.rotary else 0, alibi=data.alibi)


def _feed_forward(data: EncoderData, entries: Entries, widths: Widths) -> FeedForward:
    *inner, outer = data.feed_forward
    reads, writes = data.feed_forward_bias
    block = feed_forward(tuple(inner), outer, widths, activation(entries, "hidden_act"))
    return replace(
        block,
        inputs=tuple(
            replace(one, bias=reads, outputs=one.outputs * (2 if data.fused_gate else 1))
            for one in block.inputs
        ),
        output=replace(block.output, bias=writes),
        gated=block.gated or data.fused_gate,
    )


def _head(data: EncoderData, entries: Entries) -> Head:
    hidden, tied = entries.size("hidden_size"), entries.flag("tie_word_embeddings")
    width = _width(data, entries) if data.head_width is None else entries.size(data.head_width)
    bias = tied or data.decoder_bias
    spare = not tied and (data.spare_bias or not data.decoder_bias)
    return Head(
        linear=Linear(
            data.bias if tied else data.decoder, width, entries.size("vocab_size", MOST_ROWS), bias
        ),
        tied=tied,
        transform=Linear(data.transform, hidden, width, bias=True) if data.transform else None,
        transform_activation=data.transform_activation or activation(entries, "hidden_act"),
        norm=norm(data.transform_norm, width) if data.transform_norm else None,
        loss_fp32=False,
        spare_bias=data.bias if spare else "",
    )


def norm(name: str, width: int) -> Norm:
    """A LayerNorm with a bias."""
    return Norm(name, NormKind.LAYER, width, bias=True)
