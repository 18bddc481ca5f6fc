"""Builds a decoder from its family's data: which matrices there are, their names, what is optional."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from llmplanner.core.model import (
    Attention,
    Embedding,
    FeedForward,
    Head,
    Kind,
    LatentAttention,
    Layer,
    LayerGroup,
    Linear,
    Model,
    Norm,
    NormKind,
    Stack,
)
from llmplanner.models.entries import MOST_LAYERS, MOST_ROWS, Entries
from llmplanner.models.families.dialect import Part, activation, dropout, dtype
from llmplanner.models.families.experts import MixtureKeys, experts

Flag = bool | str  # settled by the class, or the name of the entry that settles it
Overlay = tuple[tuple[str, object], ...]  # entries as one layer sees them


@dataclass(frozen=True, slots=True)
class DecoderData:
    """One family of decoders as data. Tensor names are relative to the layer, or to `body` outside layers."""

    body: str  # prefix of all but the head, absent where the body alone is built: "model."
    embedding: str
    layer: str  # "layers.{layer}."
    attention_inputs: tuple[str, ...]  # three, or one fused
    attention_output: str
    feed_forward_inputs: tuple[str, ...]  # gate and up; one where fused or not gated
    feed_forward_output: str
    attention_norm: str | None  # None in OLMo 2, which norms the branches' outputs alone
    feed_forward_norm: str | None  # None in a parallel layer: both branches read the other norm's output
    final_norm: str | None
    norm: NormKind
    activation: str  # the entry's name
    gated: bool
    feed_forward_width: str | None = "intermediate_size"  # the entry; without one, 4 x hidden
    head: str = "lm_head"
    input_bias: Flag = False
    output_bias: Flag = False
    feed_forward_bias: Flag = False
    norm_affine: Flag = True  # weight and, in LayerNorm, bias; or neither
    norm_bias: Flag = True  # LayerNorm's
    head_bias: Flag = False
    transposed: bool = False  # GPT-2 stores inputs x outputs
    positions: str | None = None
    position_offset: int = 0
    rotary: str | None = None  # the entry for the rotated share; "" where the whole head is rotated
    rotary_size: str | None = None  # GPT-J: the entry for the rotated dimensions themselves
    head_dim: bool = False  # the file may state it
    grouped: bool = False  # the file may state key/value heads
    query_key_norm: tuple[str, str] | None = None
    query_key_normed: Flag = True
    query_key_whole: bool = False  # OLMo 2: each norm spans all heads
    output_norms: tuple[str, str] | None = None  # Gemma 2, 3: after attention and feed-forward
    softcaps: tuple[str, str] | None = None  # entries: on the scores, on the logits
    softmax_fp32: bool = True
    alibi: Flag = False
    windows: Callable[[Entries, int], tuple[int | None, ...]] | None = None
    mixture: MixtureKeys | None = None
    attention: Callable[[Entries], LatentAttention] | None = None  # in place of the plain one
    parallel: Flag = False
    embedding_norm: str | None = None
    dropouts: tuple[str | None, str | None, str | None] = (None, "attention_dropout", None)
    refused: tuple[tuple[str, str], ...] = ()  # entries that, where true, make another model
    pre_norm: Flag = True  # OPT, GPT: where false, norms stand after the sums and none after the last layer
    projection: str | None = None  # OPT: the embedding's width, with projections where it differs
    unnormed: str | None = None  # OPT: the entry that, where true, takes the final norm away
    derived: Callable[[Entries], Mapping[str, object]] | None = None  # entries that follow from others
    per_layer: Callable[[Entries, int], Mapping[str, object]] | None = None  # entries that differ by layer
    buffers: Callable[[Entries], int] | None = None  # bytes of them all
    cast_buffers: Callable[[Entries], int] | None = None  # elements of those in the weights' format
    finish: Callable[[Entries, Layer], Layer] | None = None  # parameters of a layer that no field tells of


def build(data: DecoderData, entries: Entries, part: Part) -> Model:
    """A decoder. Raises BadInput."""
    for name, meaning in data.refused:
        if entries.flag(name):
            raise entries.refuse(name, f"is true; a decoder {meaning} is not supported")
    if data.derived is not None:
        entries = entries.with_values(data.derived(entries))
    hidden = entries.size("hidden_size")
    vocabulary = entries.size("vocab_size", MOST_ROWS)
    width = hidden if data.projection is None else entries.optional_size(data.projection) or hidden
    body = data.body if part is Part.LANGUAGE_MODEL else ""
    post_norm = not _flag(entries, data.pre_norm)
    bare = post_norm or (data.unnormed is not None and entries.flag(data.unnormed))
    final_norm = None if bare else _norm(data, entries, data.final_norm, hidden, body)
    context, positions = _positions(data, entries, body)
    return Model(
        kind=Kind.DECODER,
        hidden_size=hidden,
        vocab_size=vocabulary,
        context_length=context,
        dtype=dtype(entries),
        token_embedding=Embedding(body + data.embedding, vocabulary, width),
        embeddings=positions,
        stacks=(Stack(Kind.DECODER, body + data.layer, _groups(data, entries, post_norm), final_norm),),
        head=_head(data, entries, part, width),
        embedding_norm=_norm(data, entries, data.embedding_norm, hidden, body),
        projections=_projections(body, width, hidden),
        dropout=dropout(entries, *data.dropouts),
        buffers=data.buffers(entries) if data.buffers else 0,
        cast_buffers=data.cast_buffers(entries) if data.cast_buffers else 0,
    )


def _positions(data: DecoderData, entries: Entries, body: str) -> tuple[int | None, tuple[Embedding, ...]]:
    """The longest context, and the table of positions where they are learned."""
    if data.positions is not None:
        context = entries.size("max_position_embeddings", MOST_ROWS)
        table = Embedding(body + data.positions, context + data.position_offset, entries.size("hidden_size"))
        return context, (table,)
    if not entries.stated("max_position_embeddings"):
        return None, ()  # a class's default bounds no rotary model
    return entries.size("max_position_embeddings", MOST_ROWS), ()


def _projections(body: str, width: int, hidden: int) -> tuple[Linear, ...]:
    if width == hidden:
        return ()
    inward, outward = f"{body}decoder.project_in", f"{body}decoder.project_out"
    return (Linear(inward, width, hidden), Linear(outward, hidden, width))


def _head(data: DecoderData, entries: Entries, part: Part, width: int) -> Head:
    if part is not Part.LANGUAGE_MODEL:
        return Head(None, tied=False)
    softcap = data.softcaps is not None and entries.raw(data.softcaps[1]) is not None
    bias = _flag(entries, data.head_bias)
    linear = Linear(data.head, width, entries.size("vocab_size", MOST_ROWS), bias)
    return Head(linear, tied=entries.flag("tie_word_embeddings"), softcap=softcap)


def _groups(data: DecoderData, entries: Entries, post_norm: bool) -> tuple[LayerGroup, ...]:
    """The layers, those of the same shape together."""
    count = entries.size("num_hidden_layers", MOST_LAYERS)
    windows = data.windows(entries, count) if data.windows else (None,) * count
    sparse = data.mixture.sparse(entries, count) if data.mixture else (False,) * count
    shapes: dict[tuple[int | None, bool, Overlay], list[int]] = {}
    for index in range(count):
        own = tuple(data.per_layer(entries, index).items()) if data.per_layer else ()
        shapes.setdefault((windows[index], sparse[index], own), []).append(index)
    return tuple(
        LayerGroup(
            _layer(data, entries.with_values(dict(own)), window, mixed, post_norm),
            tuple(indices),
        )
        for (window, mixed, own), indices in shapes.items()
    )


def _layer(data: DecoderData, entries: Entries, window: int | None, sparse: bool, post_norm: bool) -> Layer:
    hidden = entries.size("hidden_size")
    after_attention, after_feed_forward = data.output_norms or (None, None)
    attention = data.attention(entries) if data.attention else _attention(data, entries, window)
    feed_forward = (
        experts(data.mixture, entries, activation(entries, data.activation))
        if sparse and data.mixture is not None
        else _feed_forward(data, entries)
    )
    layer = Layer(
        attention=attention,
        feed_forward=feed_forward,
        attention_norm=_norm(data, entries, data.attention_norm, hidden),
        feed_forward_norm=_norm(data, entries, data.feed_forward_norm, hidden),
        attention_output_norm=_norm(data, entries, after_attention, hidden),
        feed_forward_output_norm=_norm(data, entries, after_feed_forward, hidden),
        post_norm=post_norm,
        parallel=_flag(entries, data.parallel),
    )
    return data.finish(entries, layer) if data.finish else layer


def _attention(data: DecoderData, entries: Entries, window: int | None) -> Attention:
    hidden, heads = entries.size("hidden_size"), entries.size("num_attention_heads")
    kv_heads = (entries.optional_size("num_key_value_heads") or heads) if data.grouped else heads
    if heads % kv_heads:
        raise entries.refuse(
            "num_key_value_heads",
            f"is {kv_heads:,}, but {entries.own('num_attention_heads')}, {heads:,}, "
            "must be a multiple of it; correct one",
        )
    stated = entries.optional_size("head_dim") if data.head_dim else None
    dim = stated or entries.quotient("hidden_size", "num_attention_heads")
    outputs: tuple[int, ...] = (heads * dim, kv_heads * dim, kv_heads * dim)
    if len(data.attention_inputs) == 1:
        outputs = (sum(outputs),)
    bias = _flag(entries, data.input_bias)
    alibi = _flag(entries, data.alibi)
    query_norm, key_norm = _query_key_norms(data, entries, (heads, kv_heads, dim))
    return Attention(
        inputs=tuple(
            Linear(name, hidden, width, bias, data.transposed)
            for name, width in zip(data.attention_inputs, outputs, strict=True)
        ),
        output=Linear(
            data.attention_output, heads * dim, hidden, _flag(entries, data.output_bias), data.transposed
        ),
        heads=heads,
        kv_heads=kv_heads,
        key_dim=dim,
        value_dim=dim,
        window=window,
        rotary_dim=0 if alibi else _rotary(data, entries, dim),
        rotary_joined=bool(data.rotary) and not alibi,
        query_norm=query_norm,
        key_norm=key_norm,
        softcap=data.softcaps is not None and entries.raw(data.softcaps[0]) is not None,
        alibi=alibi,
        softmax_fp32=data.softmax_fp32,
    )


def _query_key_norms(
    data: DecoderData, entries: Entries, widths: tuple[int, int, int]
) -> tuple[Norm | None, Norm | None]:
    """The norms on queries and keys. `widths`: heads, key/value heads, dimensions of a head."""
    if data.query_key_norm is None or not _flag(entries, data.query_key_normed):
        return None, None
    heads, kv_heads, dim = widths
    spans = (heads * dim, kv_heads * dim) if data.query_key_whole else (dim, dim)
    query, key = (
        _norm(data, entries, name, span) for name, span in zip(data.query_key_norm, spans, strict=True)
    )
    return query, key


def _rotary(data: DecoderData, entries: Entries, dim: int) -> int:
    """Rotated dimensions per head; version 5 states the share inside rope_parameters."""
    if data.rotary_size is not None:
        return entries.optional_size(data.rotary_size) or dim
    if data.rotary is None:
        return 0
    if not data.rotary:
        return dim
    parameters = entries.values.get("rope_parameters")
    if isinstance(parameters, dict) and "partial_rotary_factor" in parameters:
        inner = Entries(entries.where, parameters, {}, {})
        return int(dim * inner.fraction("partial_rotary_factor"))
    return int(dim * entries.fraction(data.rotary))


def _feed_forward(data: DecoderData, entries: Entries) -> FeedForward:
    hidden = entries.size("hidden_size")
    stated = entries.optional_size(data.feed_forward_width) if data.feed_forward_width else None
    width = stated or 4 * hidden
    bias = _flag(entries, data.feed_forward_bias)
    fused = data.gated and len(data.feed_forward_inputs) == 1
    return FeedForward(
        inputs=tuple(
            Linear(name, hidden, 2 * width if fused else width, bias, data.transposed)
            for name in data.feed_forward_inputs
        ),
        output=Linear(data.feed_forward_output, width, hidden, bias, data.transposed),
        width=width,
        activation=activation(entries, data.activation),
        gated=data.gated,
    )


def _norm(data: DecoderData, entries: Entries, name: str | None, width: int, prefix: str = "") -> Norm | None:
    """The family's form of norm under a name; None where the family has none there."""
    if name is None:
        return None
    affine = _flag(entries, data.norm_affine)
    bias = affine and data.norm is NormKind.LAYER and _flag(entries, data.norm_bias)
    return Norm(prefix + name, data.norm, width, weight=affine, bias=bias)


def _flag(entries: Entries, flag: Flag) -> bool:
    return entries.flag(flag) if isinstance(flag, str) else flag
