"""Attention: eager, through PyTorch's fused kernels, and with latent keys and values."""

from collections.abc import Iterable
from dataclasses import dataclass

from llmplanner.core.autograd.pieces import linear, multiply, norm
from llmplanner.core.autograd.tape import FP32, INT64, Cause, Unit, Value
from llmplanner.core.autograd.walk import Walk, cast, drop, own
from llmplanner.core.engine import AttentionKernel
from llmplanner.core.model import Attention, LatentAttention, Linear


@dataclass(frozen=True, slots=True)
class Heads:
    """What the product of query, key and value needs to know of an attention."""

    heads: int
    kv_heads: int
    value_dim: int
    softcap: bool = False
    softmax_fp32: bool = True
    position_bias: bool = False
    crossed: bool = False  # keys and values of the encoder's tokens
    causal: bool = True
    windowed: bool = False
    padded: bool = False  # a mask of padding: no flash kernel, and keys and values repeated before it
    sinks: bool = False  # a column more in the softmax, which PyTorch's kernels do not take
    sinks_scale: bool = False  # or what scales the output
    cut: bool = False
    differential: bool = False  # over two halves of the values, one output subtracted from the other
    head_first: bool = False  # the query is concatenated head by head; a fused kernel's output follows


def attention(walk: Walk, piece: Attention | LatentAttention, x: Value, memory: Value | None = None) -> Value:
    """Attention over x, or from x over the encoder's output `memory`, and the output projection."""
    if isinstance(piece, LatentAttention):
        query, key, value = _latent(walk, piece, x)
        gate = None
        heads = Heads(piece.heads, piece.heads, piece.value_dim, padded=walk.padded, head_first=True)
    else:
        query, key, value, gate = _projected(walk, piece, x, x if memory is None else memory)
        heads = Heads(
            piece.heads,
            piece.kv_heads,
            piece.value_dim,
            piece.softcap,
            piece.softmax_fp32,
            piece.position_bias,
            crossed=memory is not None,
            causal=walk.causal,
            windowed=piece.window is not None and walk.kernel is AttentionKernel.SDPA and not walk.padded,
            padded=walk.padded and (memory is not None or walk.reads_padding),
            sinks=piece.sinks is not None,
            sinks_scale=piece.sinks_scale,
            cut=piece.cut,
            differential=piece.differential,
            head_first=piece.rotary_joined or 0 < piece.rotary_dim < piece.key_dim,
        )
    whole = _differential if heads.differential else _core
    out = whole(walk, heads, query, key, value)
    own(walk, piece.extras[piece.gated :])
    if piece.gated and isinstance(piece.extras[0], Linear):
        gate = linear(walk, piece.extras[0], x, Cause.ATTENTION)
    if gate is not None:  # its sigmoid times the output: both factors, and the sigmoid's own output
        out = multiply(
            walk, out, walk.tape.op(Value(gate.width, gate.size, gate.unit), (gate,)), Cause.ATTENTION
        )
    if isinstance(piece, Attention):
        out = norm(walk, piece.inner_norm, out)
    return linear(walk, piece.output, out, Cause.ATTENTION)


def _core(walk: Walk, heads: Heads, query: Value, key: Value, value: Value) -> Value:
    """The scores, their softmax and what it weights; computed again from query, key and value where asked."""
    if not walk.core_again:
        return _kernel(walk, heads, query, key, value)
    walk.tape.save(Cause.ATTENTION, query, key, value)
    since = len(walk.tape.saved)
    out = _kernel(walk, heads, query, key, value)
    walk.tape.recompute(since, out)
    return out


def _differential(walk: Walk, heads: Heads, query: Value, key: Value, value: Value) -> Value:
    """Over either half of the values' heads, twice; a share of the second output is subtracted, and normed.

    Source: Transformers 5.23, modeling_diffllama.py.
    """
    tape, outs = walk.tape, []
    for _ in range(2):
        half = tape.op(Value(value.width, value.size, value.unit), (value,))
        outs.append(_core(walk, heads, query, key, half))
    like = (outs[0].width, outs[0].size, outs[0].unit)
    both = tape.op(Value(2 * outs[0].width, *like[1:]), tuple(outs))
    tape.save(Cause.ATTENTION, both, when=walk.trained)  # for the gradient of the share
    left = tape.op(Value(*like), (both,))
    tape.save(Cause.NORMS, left, when=left.grad)
    tape.keep(Cause.NORMS, heads.heads // 2, FP32, left.unit, when=left.grad)  # reciprocal rms of a pair
    normed = tape.op(Value(*like), (left,))
    return tape.op(Value(*like), (normed,))


def _kernel(walk: Walk, heads: Heads, query: Value, key: Value, value: Value) -> Value:
    """Attention as the kernel does it that is asked for and can."""
    if walk.kernel is AttentionKernel.EAGER or (heads.sinks and walk.kernel is AttentionKernel.SDPA):
        return _eager(walk, heads, query, key, value)
    if heads.kv_heads != heads.heads and walk.arithmetic.operand == FP32 and not heads.padded:
        return _math(walk, heads, query, key, value)
    return _fused(walk, heads, query, key, value)


def _projected(
    walk: Walk, piece: Attention, x: Value, memory: Value
) -> tuple[Value, Value, Value, Value | None]:
    """Query, key, value, gate. Where one matrix makes several, they are views of its output until rotated."""
    key_width, value_width = piece.kv_heads * piece.key_dim, piece.kv_heads * piece.value_dim
    width = piece.heads * piece.key_dim
    gate = None
    if len(piece.inputs) == 1 and not piece.shares_cache:
        whole = linear(walk, piece.inputs[0], x, Cause.ATTENTION)
        query, key, value = _views(walk, whole, width, key_width, value_width)
        if piece.copied:
            key, value = (
                walk.tape.op(Value(each.width, each.size, each.unit), (whole,)) for each in (key, value)
            )
    else:
        query, *rest = (
            linear(walk, each, source, Cause.ATTENTION)
            for each, source in zip(piece.inputs, (x, *(memory for _ in piece.inputs[1:])), strict=True)
        )
        key, value = _keys_and_values(walk, rest, key_width, value_width)
    if piece.output_gate:
        query, gate = _views(walk, query, width, piece.heads * piece.value_dim)
    if piece.sinks is not None:
        own(walk, (piece.sinks,))
    query, key = norm(walk, piece.query_norm, query), norm(walk, piece.key_norm, key)
    if piece.head_norms:
        query, key = (_per_head(walk, piece, each) for each in (query, key))
        own(walk, piece.head_norms)
    if piece.rotary_dim:
        wide = walk.arithmetic.residual  # of cosines and sines, and so of what they rotate
        query, key = (walk.tape.op(Value(each.width, wide, each.unit), (each,)) for each in (query, key))
    return query, key, value, gate


def _per_head(walk: Walk, piece: Attention, x: Value) -> Value:
    """A LayerNorm for every head, whose outputs are concatenated."""
    walk.tape.save(Cause.NORMS, x, when=x.grad or walk.trained)
    walk.tape.keep(Cause.NORMS, 2 * (x.width // piece.key_dim), FP32, x.unit, when=x.grad or walk.trained)
    return walk.tape.op(Value(x.width, x.size, x.unit), (x,), trained=walk.trained)


def _views(walk: Walk, whole: Value, *widths: int) -> tuple[Value, ...]:
    """Slices of a matrix's output."""
    return tuple(walk.tape.op(Value(width, whole.size, whole.unit, whole), (whole,)) for width in widths)


def _keys_and_values(walk: Walk, made: list[Value], key_width: int, value_width: int) -> tuple[Value, Value]:
    """Keys and values of two matrices, of one, or of an earlier layer, which keeps them."""
    if len(made) >= 2:  # noqa: PLR2004 - keys and values
        return made[0], made[1]
    if not made:
        return Value(key_width, walk.arithmetic.operand), Value(value_width, walk.arithmetic.operand)
    key, value = _views(walk, made[0], key_width, value_width)
    return key, value


def _latent(walk: Walk, piece: LatentAttention, x: Value) -> tuple[Value, Value, Value]:
    """Query, key and value through low-rank latents: queries and keys are concatenated, values a view."""
    query = x
    for index, each in enumerate(piece.query):
        query = linear(walk, each, norm(walk, piece.query_norm, query) if index else query, Cause.ATTENTION)
    down = linear(walk, piece.kv_down, x, Cause.ATTENTION)
    latent = walk.tape.op(Value(piece.kv_rank, down.size, down.unit, down), (down,))
    up = linear(walk, piece.kv_up, norm(walk, piece.kv_norm, latent), Cause.ATTENTION)
    width = piece.heads * (piece.nope_dim + piece.rope_dim)
    value = walk.tape.op(Value(piece.heads * piece.value_dim, up.size, up.unit, up), (up,))
    key = walk.tape.op(Value(width, up.size, up.unit), (up, down))
    turned = walk.tape.op(Value(width, up.size, up.unit), (query,))
    if piece.index_dim:
        _indexed(walk, piece, query, up, key, turned)
    return turned, key, value


def _indexed(walk: Walk, piece: LatentAttention, *held: Value) -> None:
    """DeepSeek-V3.2's indexer has no gradient, but its scores are there for a while, beside its keys.

    Of several sequences, those are copied for every token that looks at them: torch.matmul expands them.
    """
    wide = [each.outputs for each in piece.extras[piece.gated :] if isinstance(each, Linear)]
    if not wide:  # it reads what another layer's chose
        return
    heads = max(wide) // piece.index_dim
    read = Value(max(wide), 2 * FP32, held[0].unit)  # as made and as rotated in 16 bits, and in FP32
    keys = Value(piece.index_dim, FP32, Unit.BATCHED_SCORE)
    walk.tape.pass_by(*held, read, keys, Value(heads, FP32, Unit.SCORE))
    walk.tape.pass_by(*held, Value(2 * heads, FP32, Unit.SCORE))


def _fused(walk: Walk, heads: Heads, query: Value, key: Value, value: Value) -> Value:
    """One kernel: query, key, value, output and the log-sum-exp of each row, whichever has a gradient."""
    tape, size = walk.tape, walk.arithmetic.operand
    query, key = cast(walk, query), cast(walk, key)
    out = Value(heads.heads * heads.value_dim, size, query.unit)
    if not (query.grad or key.grad or value.grad):
        return tape.op(out, (query, key, value))
    if heads.padded and walk.kernel is AttentionKernel.FLASH:
        return _unpadded(walk, heads, query, key, value)
    tape.save(Cause.ATTENTION, query)
    for each in (key, value):
        _read(walk, heads, each)
    tape.save(Cause.ATTENTION, out)
    same_dims = heads.heads * heads.value_dim == query.width
    masked = heads.padded or heads.position_bias
    if size == FP32 or masked or (walk.kernel is AttentionKernel.SDPA and not same_dims):
        # the memory-efficient kernel
        tape.remembered += [out, tape.keep(Cause.ATTENTION, heads.heads, FP32, Unit.PADDED)]
        tape.keep(Cause.ATTENTION, 2, INT64, Unit.ONCE)  # random state
        if heads.position_bias:
            _bias(walk, heads, size)
        elif heads.padded:
            tape.keep(Cause.ATTENTION, 1, size, Unit.CROSS if heads.crossed else Unit.SCORE)
        return tape.op(out, (query, key, value))
    rows = tape.keep(Cause.ATTENTION, heads.heads, FP32, Unit.OPEN if heads.windowed else query.unit)
    tape.remembered += [out, rows]
    tape.keep(Cause.ATTENTION, 3, INT64, Unit.ONCE)
    if heads.windowed:  # the memory-efficient kernel again, with the window as a mask
        tape.keep(Cause.ATTENTION, heads.heads, FP32, Unit.MASKED_PADDED)
        tape.keep(Cause.ATTENTION, 1, size, Unit.MASK)
    tape.op(out, (query, key, value))
    return tape.op(Value(out.width, size, query.unit), (out,)) if heads.head_first else out


def _unpadded(walk: Walk, heads: Heads, query: Value, key: Value, value: Value) -> Value:
    """FlashAttention over the tokens that are none of padding: taken out before it and put back behind it.

    At the worst nothing is padding. Source: Transformers 5.23, modeling_flash_attention_utils.py.
    """
    tape, size = walk.tape, walk.arithmetic.operand
    for each in (query, key, value):
        tape.keep(Cause.ATTENTION, each.width, size, each.unit)
    tape.keep(Cause.ATTENTION, 1, INT64)  # where the tokens were
    packed = tape.keep(Cause.ATTENTION, heads.heads * heads.value_dim, size, query.unit)
    tape.keep(Cause.ATTENTION, heads.heads, FP32, query.unit)
    tape.op(packed, (query, key, value))
    return tape.op(Value(packed.width, size, query.unit), (packed,))


def _read(walk: Walk, heads: Heads, value: Value) -> None:
    """Key or value as a fused kernel saves it: under a mask, grouped heads are repeated first."""
    repeated = value.width * heads.heads // heads.kv_heads
    if heads.padded and heads.kv_heads not in {1, heads.heads}:
        walk.tape.keep(Cause.ATTENTION, repeated, value.size, value.unit)
        return
    if not heads.windowed or heads.kv_heads in {1, heads.heads}:
        walk.tape.save(Cause.ATTENTION, value)
        return
    storage = value.base or value
    walk.tape.keep(Cause.ATTENTION, storage.width, storage.size, Unit.OPEN)
    walk.tape.keep(Cause.ATTENTION, repeated, value.size, Unit.MASKED)


def _bias(walk: Walk, heads: Heads, size: int) -> None:
    """A bias of positions as the kernel's mask, for each sequence where padding is added to it.

    That of cross-attention is made once, by the stack, where nothing is padded.
    """
    if heads.crossed:
        walk.tape.keep(Cause.ATTENTION, heads.heads, size, Unit.CROSS, when=heads.padded)
    else:
        walk.tape.keep(Cause.ATTENTION, heads.heads, size, Unit.SCORE if heads.padded else Unit.PAIR)
        if heads.causal:
            walk.tape.keep(Cause.ATTENTION, 1, 1, Unit.PAIR, when=walk.trained)  # where it is masked


def _math(walk: Walk, heads: Heads, query: Value, key: Value, value: Value) -> Value:
    """FP32 with grouped heads, which no fused kernel takes: PyTorch repeats them and keeps the softmax."""
    for other in (key, query):
        walk.tape.keep(Cause.ATTENTION, query.width, FP32, query.unit, when=other.grad)
    weights = _weights(walk, heads, query, key, value)
    out = Value(heads.heads * heads.value_dim, FP32, query.unit)
    walk.tape.keep(Cause.ATTENTION, out.width, FP32, query.unit, when=weights.grad)
    return walk.tape.op(out, (weights, value))


def _eager(walk: Walk, heads: Heads, query: Value, key: Value, value: Value) -> Value:
    """Two matrix products and a softmax, with key and value repeated for each query head.

    A factor is saved for the gradient of the other.
    """
    scored = query.grad or key.grad
    copied = 1 < heads.kv_heads < heads.heads  # for each query head, and no view of one matrix's output then
    bases = _bases(walk, [*([query] if key.grad else []), *([key] if query.grad and not copied else [])])
    repeated = heads.heads // heads.kv_heads
    size = FP32 if walk.scores_fp32 else walk.arithmetic.operand
    if key.grad:
        _operand(walk, query, 1, 1, size)
    if query.grad:
        _operand(walk, key, repeated, heads.kv_heads, size)
    weights = _weights(walk, heads, query, key, value)
    if scored:
        if not copied and value.base not in bases:
            _bases(walk, [value])
        _operand(walk, value, repeated, heads.kv_heads, walk.arithmetic.operand)
    out = Value(heads.heads * heads.value_dim, walk.arithmetic.operand, query.unit)
    out = walk.tape.op(out, (weights, value))
    if heads.sinks_scale:
        walk.tape.save(Cause.ATTENTION, out, when=out.grad)
        out = walk.tape.op(Value(out.width, out.size, out.unit), (out,))
    return out


def _bases(walk: Walk, views: Iterable[Value]) -> set[Value | None]:
    """Keeps what views are of in a single sequence, where they are not copied, and returns it."""
    bases = {view.base for view in views}
    for base in bases:
        if base is not None and base not in walk.tape.saved:
            walk.tape.keep(Cause.ATTENTION, base.width, base.size, Unit.SINGLE)
    return bases


def _operand(walk: Walk, value: Value, copies: int, heads: int, size: int) -> None:
    """What a batched product saves of query, key or value: in a single sequence, views are not copied."""
    single = value.width * (1 if heads == 1 else copies)  # one head is expanded, not copied
    if value.base is None and copies == 1:
        walk.tape.keep(Cause.ATTENTION, value.width, size, value.unit)
        return
    if value.base is None or single != value.width:
        walk.tape.keep(Cause.ATTENTION, single, size, Unit.SINGLE)
    walk.tape.keep(Cause.ATTENTION, value.width * copies, size, Unit.BATCHED)


def _weights(walk: Walk, heads: Heads, query: Value, key: Value, value: Value) -> Value:
    """Scores, their softmax, its cast and its dropout: what weights the values."""
    size, count, tape = walk.arithmetic.operand, heads.heads, walk.tape
    unit, flows = Unit.CROSS if heads.crossed else Unit.SCORE, query.grad or key.grad
    scores = tape.op(Value(count, size, unit), (query, key))
    if heads.softcap:
        scores = tape.op(tape.keep(Cause.ATTENTION, count, size, unit, when=flows), (scores,))
    if heads.cut:
        tape.save(Cause.ATTENTION, scores, when=flows)
        scores = tape.op(Value(count, size, unit), (scores,))
    if heads.sinks_scale:  # the sum of their exponentials, and what it makes of the sinks
        tape.save(Cause.ATTENTION, scores, when=flows)
        tape.keep(Cause.ATTENTION, 2 * count, size, query.unit, when=flows)
        tape.keep(Cause.ATTENTION, count, FP32, query.unit, when=flows)
    column = heads.sinks and not heads.sinks_scale
    narrow = not walk.scores_fp32 and (column or not heads.softmax_fp32)
    wide = size if narrow and not walk.arithmetic.autocast else FP32
    if wide != size:
        scores = tape.op(Value(count, wide, unit), (scores,))
    weights = tape.op(tape.keep(Cause.ATTENTION, count, wide, unit, when=flows), (scores,))
    if walk.arithmetic.autocast and walk.dropout.attention:  # the layer returns them as they were dropped
        tape.lasting.append(Value(count, wide, unit))
    weights = drop(walk, walk.dropout.attention, cast(walk, weights))
    tape.save(Cause.ATTENTION, weights, when=value.grad)
    return weights
