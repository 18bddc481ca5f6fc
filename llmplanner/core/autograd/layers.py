"""A layer on shapes, and the two ends of a model: embeddings in front, head and loss behind."""

from llmplanner.core.autograd.attention import attention
from llmplanner.core.autograd.feed_forward import feed_forward
from llmplanner.core.autograd.pieces import Walk, activate, add, drop, linear, norm
from llmplanner.core.autograd.tape import FP32, INT64, Cause, Unit, Value
from llmplanner.core.model import Attention, Head, Layer, Linear, Model, Norm, Stack


def layer(walk: Walk, piece: Layer, x: Value, memory: Value | None = None) -> Value:
    """One layer over the residual stream x; `memory` is the encoder's output, for cross-attention."""
    probability = walk.dropout.hidden
    attended = attention(walk, piece.attention, x if piece.post_norm else norm(walk, piece.attention_norm, x))
    attended = drop(walk, probability, norm(walk, piece.attention_output_norm, attended))
    before = x
    x = _sum(walk, piece, piece.attention_norm, x, attended)
    if piece.cross_attention is not None:
        crossed = x if piece.post_norm else norm(walk, piece.cross_norm, x)
        crossed = drop(walk, probability, attention(walk, piece.cross_attention, crossed, memory))
        x = _sum(walk, piece, piece.cross_norm, x, crossed)
    source = before if piece.parallel else x
    fed = source if piece.post_norm else norm(walk, piece.feed_forward_norm, source)
    fed = feed_forward(walk, piece.feed_forward, fed)
    fed = drop(walk, probability, norm(walk, piece.feed_forward_output_norm, fed))
    return _sum(walk, piece, piece.feed_forward_norm, x, fed)


def _sum(walk: Walk, piece: Layer, after: Norm | None, x: Value, branch: Value) -> Value:
    """The residual sum and the norm that follows it in a post-norm layer."""
    total = add(walk, x, branch)
    return norm(walk, after, total) if piece.post_norm else total


def embed(walk: Walk, model: Model, stack: Stack) -> Value:
    """Embeddings, what follows them, and what all layers share: positions and their sines."""
    size = walk.arithmetic.residual
    rotary = max((_rotary(group.layer) for group in stack.groups), default=0)
    if rotary:
        walk.tape.keep(Cause.POSITIONS, 2 * rotary, size, Unit.POSITION)  # cosines and sines
    tables = (model.token_embedding, *model.embeddings) if stack is model.stacks[0] else ()
    walk.tape.parameters.extend(table.rows * table.width for table in tables)
    for table in model.embeddings[:1]:
        offset = model.context_length is not None and table.rows > model.context_length
        walk.tape.keep(Cause.POSITIONS, 1, INT64, Unit.TOKEN if offset else Unit.POSITION)
    x = Value(model.token_embedding.width, size)
    for each in model.projections[:1]:
        x = linear(walk, each, x, Cause.HEAD)
    return drop(walk, walk.dropout.embedding, norm(walk, model.embedding_norm, x))


def _rotary(piece: Layer) -> int:
    inner = piece.attention
    return inner.rotary_dim if isinstance(inner, Attention) else inner.rope_dim


def finish(walk: Walk, model: Model, stack: Stack, x: Value, *, last: bool) -> None:
    """The final norm of a stack and, after the last one, the logits and their loss."""
    x = norm(walk, stack.final_norm, x)
    for each in model.projections[1:]:
        x = linear(walk, each, x, Cause.HEAD)
    if last and model.head.linear is not None:
        _logits(walk, model.head, model.head.linear, x)


def _logits(walk: Walk, head: Head, matrix: Linear, x: Value) -> None:
    """The head and its loss: cross-entropy saves the log-softmax of every token."""
    if head.transform is not None:
        x = activate(walk, head.transform_activation, linear(walk, head.transform, x, Cause.HEAD), Cause.HEAD)
        x = norm(walk, head.norm, x)
    logits = linear(walk, matrix, x, Cause.HEAD)
    if head.tied:  # counted as the token embedding
        walk.tape.parameters.remove(matrix.inputs * matrix.outputs)
    if head.softcap:
        walk.tape.save(Cause.LOSS, logits)
    walk.tape.keep(Cause.LOSS, logits.width, loss_size(walk, head))
    if head.loss_fp32:
        walk.tape.keep(Cause.LOSS, 1, INT64)  # labels, shifted
    walk.tape.keep(Cause.LOSS, 2, FP32, Unit.ONCE)  # the loss and the weight of its mean


def loss_size(walk: Walk, head: Head) -> int:
    """Bytes per element of the log-softmax: FP32, but for T5 and BERT wholly in 16 bits."""
    return FP32 if head.loss_fp32 or walk.arithmetic.autocast else walk.arithmetic.operand
