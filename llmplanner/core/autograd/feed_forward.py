"""Feed-forward blocks: dense, gated and mixtures of experts."""

from llmplanner.core.autograd.pieces import activate, add, linear, matrix, matrix_product, multiply, norm
from llmplanner.core.autograd.tape import FP32, INT64, Cause, Unit, Value
from llmplanner.core.autograd.walk import Walk, drop, own, parameter
from llmplanner.core.model import Experts, FeedForward


def feed_forward(walk: Walk, piece: FeedForward | Experts, x: Value) -> Value:
    """The block over x."""
    return _experts(walk, piece, x) if isinstance(piece, Experts) else _dense(walk, piece, x)


def _dense(walk: Walk, piece: FeedForward, x: Value) -> Value:
    """activation(gate) * up, or activation(up), then the output matrix."""
    walk.tape.waiting.append(x)
    first, *others = piece.inputs
    gate = linear(walk, first, x, Cause.FEED_FORWARD)
    up: Value | None = None
    if piece.gated and not others:
        halves = (Value(piece.width, gate.size, gate.unit, gate) for _ in range(2))
        gate, up = (walk.tape.op(half, (gate,)) for half in halves)
    active = activate(walk, piece.activation, gate, Cause.FEED_FORWARD)
    if piece.gated and up is None:
        walk.tape.waiting.append(active)
        up = linear(walk, others[0], x, Cause.FEED_FORWARD)
        walk.tape.waiting.remove(active)
    if up is not None:
        active = multiply(walk, active, up, Cause.FEED_FORWARD)
    active = norm(walk, piece.inner_norm, active)
    active = drop(walk, walk.dropout.inner, active)
    if piece.output_cast and active.size != walk.arithmetic.read:
        active = walk.tape.op(Value(active.width, walk.arithmetic.read, active.unit), (active,))
    out = linear(walk, piece.output, active, Cause.FEED_FORWARD)
    walk.tape.waiting.remove(x)
    return out


def _experts(walk: Walk, piece: Experts, x: Value) -> Value:
    """A grouped matrix product over the tokens sorted by expert. What it keeps does not depend on routing."""
    tape, size, chosen = walk.tape, walk.arithmetic.operand, piece.run
    _router(walk, piece, x)
    trained, flows = walk.trained, walk.trained or x.grad
    width, hidden = piece.expert.width, piece.expert.output.outputs
    gathered = _gathered(walk, piece, x)
    tape.keep(Cause.EXPERTS, piece.count, FP32, Unit.ONCE, when=flows)  # where each expert's tokens end
    rows = sum(each.inputs * each.outputs for each in piece.expert.inputs) // hidden
    both = matrix(walk, (piece.count, rows, hidden), Cause.EXPERTS, x)  # all experts' in two tensors
    wide = chosen * width * (2 if piece.expert.gated else 1)
    whole = tape.op(Value(wide, size), (gathered, *both), trained=trained)
    if piece.expert.output.bias:  # gpt-oss: its gate is written out, with limits
        tape.keep(Cause.EXPERTS, 3 * chosen * width, size, when=flows)
    product = _activated(walk, piece.expert, whole)
    down = matrix(walk, (piece.count, hidden, width), Cause.EXPERTS, whole)
    for each in (*piece.expert.inputs, piece.expert.output):
        if each.bias:
            parameter(walk, (piece.count, each.outputs))
    own(walk, piece.extras)
    tape.save(Cause.EXPERTS, product, when=trained)
    out = tape.op(Value(chosen * hidden, size), (product, *down), trained=trained)
    out = _summed(walk, piece, x, out)
    if piece.shared is not None:
        shared = _dense(walk, piece.shared, x)
        if piece.shared_gate is not None:
            gate = linear(walk, piece.shared_gate, x, Cause.EXPERTS)
            shared = multiply(walk, shared, gate, Cause.EXPERTS)
        out = add(walk, out, shared)
    return out


def _activated(walk: Walk, expert: FeedForward, whole: Value) -> Value:
    """What the output matrices of the experts taken read; Nemotron-H's have no gate."""
    if not expert.gated:
        return activate(walk, expert.activation, whole, Cause.EXPERTS)
    gate, up = walk.tape.split(whole, whole.width // 2, whole.width // 2)
    return multiply(walk, activate(walk, expert.activation, gate, Cause.EXPERTS), up, Cause.EXPERTS)


def _gathered(walk: Walk, piece: Experts, x: Value) -> Value:
    """What the experts read: the tokens of each in turn, or all tokens again for each, weighted."""
    tape, width, size = walk.tape, piece.run * x.width, walk.arithmetic.operand
    if not piece.every:
        return tape.op(tape.keep(Cause.EXPERTS, width, size, when=walk.trained), (x,))
    copies = tape.op(tape.keep(Cause.EXPERTS, width, size, when=walk.trained or x.grad), (x,))
    weighted = tape.op(Value(width, size), (copies,), Value(2 * width, size))
    tape.save(Cause.EXPERTS, weighted, when=walk.trained)
    return weighted


def _summed(walk: Walk, piece: Experts, x: Value, out: Value) -> Value:
    """The sum of what the experts of a token make, weighted where it was not before."""
    if piece.every:
        return walk.tape.op(Value(x.width, x.size), (out,), passes=True)
    walk.tape.save(Cause.EXPERTS, out, when=walk.trained or x.grad)
    wide = Value(out.width, FP32 if piece.weighted_fp32 else out.size)
    weighted = walk.tape.op(Value(wide.width, wide.size), (out,), wide)
    ordered = walk.tape.op(
        Value(wide.width, wide.size), (weighted,), wide
    )  # as the tokens were, to be summed
    return walk.tape.op(Value(x.width, x.size), (ordered,))


def _router(walk: Walk, piece: Experts, x: Value) -> None:
    """Scores over the experts in FP32, indices and weights of those chosen."""
    trained, flows = walk.trained, walk.trained or x.grad
    if piece.router_fp32 and walk.arithmetic.weight != FP32:
        walk.tape.keep(Cause.EXPERTS, x.width, FP32, when=trained)
        own(walk, (piece.router,))
        elements = piece.router.inputs * piece.router.outputs
        walk.tape.keep(Cause.EXPERTS, elements, FP32, Unit.ONCE, when=x.grad)
    else:
        matrix_product(walk, piece.router, x, Cause.EXPERTS)
    walk.tape.keep(Cause.EXPERTS, piece.count, FP32, when=flows)  # softmax
    indices = 1 if piece.every else 5  # of the experts; else order, its inverse and weights too
    walk.tape.keep(Cause.EXPERTS, piece.top_k * indices, INT64, when=flows)
    walk.tape.keep(Cause.EXPERTS, 1, FP32, when=flows)  # sum of the chosen weights
