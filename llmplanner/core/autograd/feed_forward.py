"""Feed-forward blocks: dense, gated and mixtures of experts."""

from llmplanner.core.autograd.pieces import Walk, activate, add, drop, linear, matrix, multiply, own
from llmplanner.core.autograd.tape import FP32, INT64, Cause, Unit, Value, Weight
from llmplanner.core.model import Experts, FeedForward


def feed_forward(walk: Walk, piece: FeedForward | Experts, x: Value) -> Value:
    """The block over x."""
    return _experts(walk, piece, x) if isinstance(piece, Experts) else _dense(walk, piece, x)


def _dense(walk: Walk, piece: FeedForward, x: Value) -> Value:
    """activation(gate) * up, or activation(up), then the output matrix."""
    hidden = [linear(walk, each, x, Cause.FEED_FORWARD) for each in piece.inputs]
    if piece.gated and len(hidden) == 1:
        whole = hidden[0]
        halves = (Value(piece.width, whole.size, whole.unit, whole) for _ in range(2))
        hidden = [walk.tape.op(half, (whole,)) for half in halves]
    active = activate(walk, piece.activation, hidden[0], Cause.FEED_FORWARD)
    if piece.gated:
        active = multiply(walk, active, hidden[1], Cause.FEED_FORWARD)
    active = drop(walk, walk.dropout.inner, active)
    if piece.output_cast and active.size != walk.arithmetic.weight:
        active = walk.tape.op(Value(active.width, walk.arithmetic.weight, active.unit), (active,))
    return linear(walk, piece.output, active, Cause.FEED_FORWARD)


def _experts(walk: Walk, piece: Experts, x: Value) -> Value:
    """A grouped matrix product over the tokens sorted by expert. What it keeps does not depend on routing."""
    tape, size, chosen = walk.tape, walk.arithmetic.operand, piece.run
    _router(walk, piece, x)
    width, hidden = piece.expert.width, piece.expert.output.outputs
    gathered = tape.op(tape.keep(Cause.EXPERTS, chosen * hidden, size), (x,))
    tape.keep(Cause.EXPERTS, piece.count, FP32, Unit.ONCE)  # where each expert's tokens end
    rows = sum(each.outputs for each in piece.expert.inputs)
    both = matrix(walk, (piece.count, rows, hidden), Cause.EXPERTS)  # all experts' in two tensors
    whole = tape.op(tape.keep(Cause.EXPERTS, chosen * 2 * width, size), (gathered, *both))
    active = tape.op(tape.keep(Cause.EXPERTS, chosen * width, size), (whole,))
    product = tape.op(tape.keep(Cause.EXPERTS, chosen * width, size), (active, whole))
    down = matrix(walk, (piece.count, hidden, width), Cause.EXPERTS)
    if piece.expert.output.bias:  # gpt-oss: its gate is written out, with limits
        tape.keep(Cause.EXPERTS, 3 * chosen * width, size)
    biased = (each for each in (*piece.expert.inputs, piece.expert.output) if each.bias)
    tape.parameters.extend(Weight((piece.count, each.outputs)) for each in biased)
    own(walk, piece.extras)
    out = tape.op(tape.keep(Cause.EXPERTS, chosen * hidden, size), (product, *down))
    out = tape.op(Value(hidden, x.size), (out,))
    if piece.shared is not None:
        shared = _dense(walk, piece.shared, x)
        if piece.shared_gate is not None:
            gate = linear(walk, piece.shared_gate, x, Cause.EXPERTS)
            shared = multiply(walk, shared, gate, Cause.EXPERTS)
        out = add(walk, out, shared)
    return out


def _router(walk: Walk, piece: Experts, x: Value) -> None:
    """Scores over the experts in FP32, indices and weights of those chosen."""
    if piece.router_fp32:
        walk.tape.keep(Cause.EXPERTS, x.width, FP32)
        own(walk, (piece.router,))
        walk.tape.keep(Cause.EXPERTS, piece.router.inputs * piece.router.outputs, FP32, Unit.ONCE)
    else:
        linear(walk, piece.router, x, Cause.EXPERTS)
    walk.tape.keep(Cause.EXPERTS, piece.count, FP32)  # softmax
    walk.tape.keep(Cause.EXPERTS, piece.top_k * 5, INT64)  # order, its inverse, experts, weights
    walk.tape.keep(Cause.EXPERTS, 1, FP32)  # sum of the chosen weights
