"""Feed-forward blocks: dense, gated and mixtures of experts."""

from llmplanner.core.autograd.pieces import Walk, activate, linear
from llmplanner.core.autograd.tape import FP32, INT64, Cause, Unit, Value
from llmplanner.core.model import Experts, FeedForward


def feed_forward(walk: Walk, piece: FeedForward | Experts, x: Value) -> Value:
    """The block over x."""
    return _experts(walk, piece, x) if isinstance(piece, Experts) else _dense(walk, piece, x)


def _dense(walk: Walk, piece: FeedForward, x: Value) -> Value:
    """activation(gate) * up, or activation(up), then the output matrix."""
    hidden = [linear(walk, each, x, Cause.FEED_FORWARD) for each in piece.inputs]
    if piece.gated and len(hidden) == 1:
        whole = hidden[0]
        hidden = [Value(piece.width, whole.size, whole.unit, whole) for _ in range(2)]
    active = activate(walk, piece.activation, hidden[0], Cause.FEED_FORWARD)
    if piece.gated:
        walk.tape.save(Cause.FEED_FORWARD, active, hidden[1])
        active = Value(piece.width, active.size, active.unit)
    return linear(walk, piece.output, active, Cause.FEED_FORWARD)


def _experts(walk: Walk, piece: Experts, x: Value) -> Value:
    """A grouped matrix product over the tokens sorted by expert. What it keeps does not depend on routing."""
    tape, size, chosen = walk.tape, walk.arithmetic.operand, piece.top_k
    _router(walk, piece, x)
    width, hidden = piece.expert.width, piece.expert.output.outputs
    tape.keep(Cause.EXPERTS, chosen * hidden, size)  # tokens gathered by expert
    tape.keep(Cause.EXPERTS, chosen * 4 * width, size)  # gate, up, activation, product
    tape.keep(Cause.EXPERTS, chosen * hidden, size)  # outputs before they are weighted
    tape.keep(Cause.EXPERTS, piece.count, FP32, Unit.ONCE)  # where each expert's tokens end
    inputs = piece.count * sum(each.inputs * each.outputs for each in piece.expert.inputs)
    output = piece.count * piece.expert.output.inputs * hidden
    tape.parameters.extend((inputs, output))  # all experts' matrices lie in two tensors
    if walk.arithmetic.autocast:
        tape.keep(Cause.CASTS, inputs + output, size, Unit.ONCE)
    if piece.shared is not None:
        _dense(walk, piece.shared, x)
    if piece.shared_gate is not None:
        linear(walk, piece.shared_gate, x, Cause.EXPERTS)
    return Value(hidden, x.size)


def _router(walk: Walk, piece: Experts, x: Value) -> None:
    """Scores over the experts in FP32, indices and weights of those chosen."""
    if piece.router_fp32:
        walk.tape.keep(Cause.EXPERTS, x.width, FP32)
        walk.tape.parameters.append(piece.router.inputs * piece.router.outputs)
        walk.tape.keep(Cause.EXPERTS, piece.router.inputs * piece.router.outputs, FP32, Unit.ONCE)
    else:
        linear(walk, piece.router, x, Cause.EXPERTS)
    walk.tape.keep(Cause.EXPERTS, piece.count, FP32)  # softmax
    walk.tape.keep(Cause.EXPERTS, piece.top_k * 5, INT64)  # order, its inverse, experts, weights
    walk.tape.keep(Cause.EXPERTS, 1, FP32)  # sum of the chosen weights
