"""Norms, linears, activations and dropout: what each saves.

Source: lists of the tensors that autograd saves, PyTorch 2.13 with Transformers 5.23.
"""

from llmplanner.core.autograd.lora import adapted, low_rank
from llmplanner.core.autograd.tape import FP32, Cause, Unit, Value
from llmplanner.core.autograd.walk import Walk, cast, copied, parameter
from llmplanner.core.model import Activation, Linear, Norm, NormKind

FP8 = 1  # bytes; a tensor's scale is next to nothing
LAYER_NORMS = (NormKind.LAYER, NormKind.LAYER_WIDE, NormKind.LAYER_WRITTEN)


def norm(walk: Walk, piece: Norm | None, x: Value) -> Value:
    """Normalises x. The RMS forms compute in FP32 and save the copy, LayerNorm its input as it stands.

    The gradient of the weight needs the normalised value, that of x all the rest.
    """
    if piece is None:
        return x
    if piece.kind in LAYER_NORMS:
        return _layer_norm(walk, piece, x)
    tape, width, flows = walk.tape, x.width, x.grad
    wide = cast(walk, x, FP32)
    tape.save(Cause.NORMS, wide, when=flows)
    tape.keep(Cause.NORMS, width // piece.width, FP32, x.unit, when=flows)  # reciprocal rms, per head
    if piece.kind is NormKind.RMS_T5:
        tape.save(Cause.NORMS, x, when=flows)
    normal = tape.op(Value(width, FP32, x.unit), (wide,), Value(3 * width, FP32, x.unit))
    out = Value(width, x.size, x.unit)
    if piece.kind is NormKind.RMS_PLUS_ONE:
        tape.keep(Cause.NORMS, width, FP32, x.unit, when=walk.trained)
        tape.keep(Cause.NORMS, piece.width, FP32, Unit.ONCE, when=flows)  # 1 + w
    elif piece.kind is NormKind.RMS_T5:
        tape.keep(Cause.NORMS, width, walk.arithmetic.read, x.unit, when=walk.trained)
        out = Value(width, walk.arithmetic.read, x.unit)
    elif piece.weight:
        size = FP32 if piece.kind is NormKind.RMS_WIDE else x.size
        tape.keep(Cause.NORMS, width, size, x.unit, when=walk.trained)
        out = Value(width, max(x.size, walk.arithmetic.read), x.unit)
    return tape.op(out, (normal,), trained=_affine(walk, piece))


def _layer_norm(walk: Walk, piece: Norm, x: Value) -> Value:
    tape, plain = walk.tape, piece.kind is NormKind.LAYER
    kept = x.size == FP32 or (plain and not walk.arithmetic.autocast)
    wide = x if kept else cast(walk, x, FP32)
    flows = x.grad or (plain and walk.trained)
    if piece.kind is NormKind.LAYER_WRITTEN:  # the difference from the mean, twice; what is weighted
        for when in (flows, flows, walk.trained):
            tape.keep(Cause.NORMS, x.width, FP32, x.unit, when=when)
    else:
        tape.save(Cause.NORMS, wide, when=flows)
    rows = x.width // piece.width  # a norm may be of each head
    tape.keep(Cause.NORMS, 2 * rows, FP32, x.unit, when=flows)  # mean and reciprocal deviation
    trained = _affine(walk, piece)
    return tape.op(Value(x.width, wide.size if plain else x.size, x.unit), (wide,), trained=trained)


def _affine(walk: Walk, piece: Norm) -> bool:
    """Notes the norm's parameters; whether any is trained."""
    for _ in range(piece.weight + piece.bias):
        parameter(walk, (piece.width,))
    return walk.trained and (piece.weight or piece.bias)


def linear(walk: Walk, piece: Linear, x: Value, cause: Cause, *, head: bool = False) -> Value:
    """A matrix product, with its adapter where it has one. A trained one saves its input.

    `head`: it makes the logits.
    """
    out = matrix_product(walk, piece, x, cause)
    method = adapted(walk, piece, cause, head=head)
    return out if method is None else low_rank(walk, method, piece, x, out, cause)


def matrix_product(walk: Walk, piece: Linear, x: Value, cause: Cause) -> Value:
    """The linear itself. A packed matrix is unpacked for each product, and again in the backward pass.

    Sequence parallel saves a slice of the input, and gathers the whole again in the backward pass
    (Korthikanti et al. 2022, arXiv:2205.05198, section 4.2.2).
    """
    x = cast(walk, x)
    weight = matrix(walk, (piece.outputs, piece.inputs), Cause.CASTS, x)
    if walk.arithmetic.fp8 and walk.prefix:
        x = walk.tape.op(Value(x.width, FP8, x.unit), (x,))
    walk.tape.save(cause, x, when=walk.trained)
    if piece.bias:
        parameter(walk, (piece.outputs,))
    unit = Unit.TOKEN if x.unit is Unit.SLICE else x.unit
    out = Value(piece.outputs, walk.arithmetic.operand, unit)
    if not piece.bias:
        walk.tape.product(out)
    unpacked = [Value(piece.outputs * piece.inputs, out.size, Unit.ONCE)] if walk.packed else []
    return walk.tape.op(out, (x, *weight), *unpacked, trained=walk.trained)


def matrix(walk: Walk, shape: tuple[int, ...], cause: Cause, reader: Value) -> tuple[Value, ...]:
    """A parameter that a product of `reader` reads: what stands in its place, if anything does."""
    return copied(walk, parameter(walk, shape), cause, reader)


def multiply(walk: Walk, a: Value, b: Value, cause: Cause) -> Value:
    """A product element by element saves both factors."""
    walk.tape.save(cause, a, when=b.grad)
    walk.tape.save(cause, b, when=a.grad)
    narrow, wide = sorted((a.size, b.size))
    more = (Value(a.width, wide - narrow, a.unit),) if narrow != wide else ()  # cast once it is made
    return walk.tape.op(Value(a.width, wide, a.unit), (a, b), *more)


def add(walk: Walk, x: Value, branch: Value) -> Value:
    """The residual sum, which saves nothing."""
    total = Value(x.width, walk.arithmetic.residual, x.unit)
    return walk.tape.op(total, (x, branch), passes=True)


def activate(walk: Walk, kind: Activation, x: Value, cause: Cause) -> Value:
    """An activation function."""
    tape, flows = walk.tape, x.grad
    if kind is Activation.RELU:
        out = Value(x.width, x.size, x.unit)
        tape.save(cause, out, when=flows)
        return tape.op(out, (x,))
    if kind is Activation.XIELU:
        return _xielu(walk, x, cause)
    if kind is not Activation.GELU_NEW:
        tape.save(cause, x, when=flows)
        scratch = [Value(4 * x.width, x.size, x.unit)] if kind is Activation.GELU_BLOOM else []
        return tape.op(Value(x.width, x.size, x.unit), (x,), *scratch)  # bloom_gelu_back, written out
    wide = FP32 if walk.arithmetic.autocast else x.size  # autocast takes the power in FP32
    half = tape.op(Value(x.width, x.size, x.unit), (x,))
    base = cast(walk, x, wide)
    tape.save(cause, base, when=flows)
    cube = tape.op(Value(x.width, wide, x.unit), (base,))
    total = tape.op(Value(x.width, wide, x.unit), (cast(walk, x, wide), cube), passes=True)
    tanh = tape.keep(cause, x.width, wide, x.unit, when=flows)
    tape.op(tanh, (total,))
    one = tape.op(Value(x.width, wide, x.unit), (tanh,), passes=True)
    return multiply(walk, half, one, cause)  # 1 + tanh, times half of x


def _xielu(walk: Walk, x: Value, cause: Cause) -> Value:
    """Written out: where x is positive a * x * x + b * x, else (exp(x) - 1 - x) * a + b * x.

    Its two parameters are the layer's own.
    """
    tape, flows, like = walk.tape, x.grad, (x.width, x.size, x.unit)
    tape.save(cause, x, when=flows)
    twice = Value(2 * x.width, x.size, x.unit)  # products of gradients, one of them to be summed for a
    scaled = tape.op(tape.keep(cause, *like, when=flows), (x,), twice)  # a * x
    positive = tape.op(Value(*like), (tape.op(Value(*like), (scaled, x)), x), passes=True)
    power = tape.op(tape.keep(cause, *like, when=flows), (x,))
    less = tape.op(tape.keep(cause, *like, when=flows), (power, x), passes=True)
    negative = tape.op(Value(*like), (tape.op(Value(*like), (less,), twice), x), passes=True)
    tape.keep(cause, x.width, 1, x.unit, when=flows)  # where x is positive
    return tape.op(Value(*like), (positive, negative))
