"""Builds a decoder from its family's data: which matrices there are, their names, what is optional."""

from collections.abc import Callable
from dataclasses import dataclass

from llmplanner.core.model import (
    Activation,
    Attention,
    Embedding,
    Experts,
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

Flag = bool | str  # settled by the class, or the name of the entry that settles it


@dataclass(frozen=True, slots=True)
class MixtureKeys:
    """The entries and tensor names of a mixture of experts."""

    count: str
    width: str
    router: str  # tensor names from here on, relative to the layer
    gate: str
    up: str
    down: str
    sparse: Callable[[Entries, int], bool]  # whether the layer of an index is a mixture
    shared: tuple[str, str, str] | None = None  # gate, up, down
    shared_count: str | None = None
    router_fp32: bool = False


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
    attention_norm: str
    feed_forward_norm: str
    final_norm: str
    norm: NormKind
    activation: str  # the entry's name
    gated: bool
    feed_forward_width: str | None = "intermediate_size"  # the entry; without one, 4 x hidden
    head: str = "lm_head"
    input_bias: Flag = False
    output_bias: Flag = False
    feed_forward_bias: Flag = False
    norm_affine: Flag = True  # LayerNorm: weight and bias, or neither
    transposed: bool = False  # GPT-2 stores inputs x outputs
    positions: str | None = None
    position_offset: int = 0
    rotary: str | None = None  # the entry for the rotated share; "" where the whole head is rotated
    head_dim: bool = False  # the file may state it
    grouped: bool = False  # the file may state key/value heads
    query_key_norm: tuple[str, str] | None = None
    output_norms: tuple[str, str] | None = None  # Gemma 2, 3: after attention and feed-forward
    softcaps: tuple[str, str] | None = None  # entries: on the scores, on the logits
    softmax_fp32: bool = True
    alibi: bool = False
    windows: Callable[[Entries, int], tuple[int | None, ...]] | None = None
    mixture: MixtureKeys | None = None
    attention: Callable[[Entries], LatentAttention] | None = None  # in place of the plain one
    parallel: str | None = None
    embedding_norm: str | None = None
    dropouts: tuple[str | None, str | None, str | None] = (None, "attention_dropout", None)
    refused: tuple[tuple[str, str], ...] = ()  # entries that, where true, make another model
    post_norm: str | None = None  # OPT: the entry that, where false, puts norms after the sums
    projection: str | None = None  # OPT: the embedding's width, with projections where it differs
    unnormed: str | None = None  # OPT: the entry that, where true, takes the final norm away


def build(data: DecoderData, entries: Entries, part: Part) -> Model:
    """A decoder. Raises BadInput."""
    for name, meaning in data.refused:
        if entries.flag(name):
            raise entries.refuse(name, f"is true; a decoder {meaning} is not supported")
    hidden = entries.size("hidden_size")
    vocabulary = entries.size("vocab_size", MOST_ROWS)
    width = hidden if data.projection is None else entries.optional_size(data.projection) or hidden
    body = data.body if part is Part.LANGUAGE_MODEL else ""
    post_norm = data.post_norm is not None and not entries.flag(data.post_norm)
    bare = post_norm or (data.unnormed is not None and entries.flag(data.unnormed))
    final_norm = None if bare else _norm(data, entries, body + data.final_norm, hidden)
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
        embedding_norm=_norm(data, entries, body + data.embedding_norm, hidden)
        if data.embedding_norm
        else None,
        projections=_projections(body, width, hidden),
        dropout=dropout(entries, *data.dropouts),
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
    linear = Linear(data.head, width, entries.size("vocab_size", MOST_ROWS))
    return Head(linear, tied=entries.flag("tie_word_embeddings"), softcap=softcap)


def _groups(data: DecoderData, entries: Entries, post_norm: bool) -> tuple[LayerGroup, ...]:
    """The layers, those of the same shape together."""
    count = entries.size("num_hidden_layers", MOST_LAYERS)
    windows = data.windows(entries, count) if data.windows else (None,) * count
    mixture = data.mixture
    shapes: dict[tuple[int | None, bool], list[int]] = {}
    for index in range(count):
        sparse = mixture is not None and mixture.sparse(entries, index)
        shapes.setdefault((windows[index], sparse), []).append(index)
    return tuple(
        LayerGroup(_layer(data, entries, window, sparse, post_norm), tuple(indices))
        for (window, sparse), indices in shapes.items()
    )


def _layer(data: DecoderData, entries: Entries, window: int | None, sparse: bool, post_norm: bool) -> Layer:
    hidden = entries.size("hidden_size")
    after_attention, after_feed_forward = data.output_norms or (None, None)
    attention = data.attention(entries) if data.attention else _attention(data, entries, window)
    feed_forward = (
        _experts(data.mixture, data, entries)
        if sparse and data.mixture is not None
        else _feed_forward(data, entries)
    )
    return Layer(
        attention=attention,
        feed_forward=feed_forward,
        attention_norm=_norm(data, entries, data.attention_norm, hidden),
        feed_forward_norm=_norm(data, entries, data.feed_forward_norm, hidden),
        attention_output_norm=_norm(data, entries, after_attention, hidden) if after_attention else None,
        feed_forward_output_norm=_norm(data, entries, after_feed_forward, hidden)
        if after_feed_forward
        else None,
        post_norm=post_norm,
        parallel=data.parallel is not None and entries.flag(data.parallel),
    )


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
    names = data.query_key_norm
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
        rotary_dim=_rotary(data, entries, dim),
        query_norm=Norm(names[0], data.norm, dim) if names else None,
        key_norm=Norm(names[1], data.norm, dim) if names else None,
        softcap=data.softcaps is not None and entries.raw(data.softcaps[0]) is not None,
        alibi=data.alibi,
        softmax_fp32=data.softmax_fp32,
    )


def _rotary(data: DecoderData, entries: Entries, dim: int) -> int:
    """Rotated dimensions per head; version 5 states the share inside rope_parameters."""
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


def _experts(keys: MixtureKeys, data: DecoderData, entries: Entries) -> Experts:
    hidden, width = entries.size("hidden_size"), entries.size(keys.width)
    count, top_k = entries.size(keys.count), entries.size("num_experts_per_tok")
    if top_k > count:
        raise entries.refuse(
            "num_experts_per_tok", f"is {top_k:,}, more than the {count:,} experts there are; correct one"
        )
    shared = None
    if keys.shared is not None and keys.shared_count is not None:
        times = entries.optional_size(keys.shared_count, least=0) or 0
        shared = (
            _gated(keys.shared, hidden, times * width, activation(entries, data.activation))
            if times
            else None
        )
    names = (keys.gate, keys.up, keys.down)
    return Experts(
        router=Linear(keys.router, hidden, count),
        count=count,
        top_k=top_k,
        expert=_gated(names, hidden, width, activation(entries, data.activation)),
        shared=shared,
        router_fp32=keys.router_fp32,
        correction_bias=keys.router_fp32,
    )


def _gated(names: tuple[str, str, str], hidden: int, width: int, function: Activation) -> FeedForward:
    gate, up, down = names
    inputs = (Linear(gate, hidden, width), Linear(up, hidden, width))
    return FeedForward(inputs, Linear(down, width, hidden), width, function, gated=True)


def _norm(data: DecoderData, entries: Entries, name: str, width: int) -> Norm:
    affine = _flag(entries, data.norm_affine)
    return Norm(name, data.norm, width, weight=affine, bias=affine and data.norm is NormKind.LAYER)


def _flag(entries: Entries, flag: Flag) -> bool:
    return entries.flag(flag) if isinstance(flag, str) else flag


def layer_types(entries: Entries, count: int) -> tuple[str, ...]:
    """What the file says of each layer's attention; empty where it says nothing. Raises BadInput."""
    types = entries.texts("layer_types")
    if types and len(types) != count:
        name = entries.own("num_hidden_layers")
        raise entries.refuse(
            "layer_types", f"has {len(types):,} entries, but {name} is {count:,}; correct one"
        )
    unknown = set(types) - {"full_attention", "sliding_attention"}
    if unknown:
        raise entries.refuse(
            "layer_types", f'names "{min(unknown)[:40]}", a kind of layer that is not supported'
        )
    return types


def uniform_window(entries: Entries, count: int) -> tuple[int | None, ...]:
    """Every layer slides where the file states a window (Mistral)."""
    return (entries.optional_size("sliding_window", MOST_ROWS),) * count


def switched_window(entries: Entries, count: int) -> tuple[int | None, ...]:
    """A window that is stated counts only where use_sliding_window says so (Qwen2, Qwen3)."""
    window = (
        entries.optional_size("sliding_window", MOST_ROWS) if entries.flag("use_sliding_window") else None
    )
    if window is None:
        return (None,) * count
    first = entries.size("max_window_layers", MOST_LAYERS, least=0)
    types = layer_types(entries, count) or tuple(
        "sliding_attention" if index >= first else "full_attention" for index in range(count)
    )
    return tuple(window if kind == "sliding_attention" else None for kind in types)


def alternating_window(entries: Entries, count: int) -> tuple[int | None, ...]:
    """All layers but every n-th slide (Gemma 2, Gemma 3)."""
    window = entries.optional_size("sliding_window", MOST_ROWS)
    period = entries.size("sliding_window_pattern", MOST_LAYERS)
    types = layer_types(entries, count) or tuple(
        "full_attention" if (index + 1) % period == 0 else "sliding_attention" for index in range(count)
    )
    return tuple(window if kind == "sliding_attention" else None for kind in types)


def gated_window(entries: Entries, count: int) -> tuple[int | None, ...]:
    """A window on every layer or, where use_sliding_window is off, on none (Qwen3 MoE)."""
    return uniform_window(entries, count) if entries.flag("use_sliding_window") else (None,) * count
