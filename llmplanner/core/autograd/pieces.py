"""Norms, linears, activations and dropout: what each saves. Bytes of a worked layer: docs/formulas.md.

Source: lists of the tensors that autograd saves, PyTorch 2.13 with Transformers 5.23.
"""

from dataclasses import dataclass

from llmplanner.core.autograd.tape import FP32, Arithmetic, Cause, Tape, Unit, Value
from llmplanner.core.model import Activation, Dropout, Linear, Norm, NormKind
from llmplanner.core.plan import AttentionKernel


@dataclass(frozen=True, slots=True)
class Walk:
    """What every piece needs to know beside its inputs."""

    tape: Tape
    arithmetic: Arithmetic
    kernel: AttentionKernel
    dropout: Dropout


def norm(walk: Walk, piece: Norm | None, x: Value) -> Value:
    """Normalises x. The RMS forms compute in FP32 and save the copy, LayerNorm its input as it stands."""
    if piece is None:
        return x
    tape, width = walk.tape, x.width
    tape.parameters.extend([piece.width] * (piece.weight + piece.bias))
    copy = x if x.size == FP32 else Value(width, FP32, x.unit)
    if piece.kind is NormKind.LAYER:
        tape.save(Cause.NORMS, copy if walk.arithmetic.autocast else x)
        tape.keep(Cause.NORMS, 2, FP32, x.unit)  # mean and reciprocal deviation
        return Value(width, FP32 if walk.arithmetic.autocast else x.size, x.unit)
    tape.save(Cause.NORMS, copy)
    groups = width // piece.width  # query and key norms work head by head
    tape.keep(Cause.NORMS, groups, FP32, x.unit)  # reciprocal root mean square
    if piece.kind is NormKind.RMS_PLUS_ONE:
        tape.keep(Cause.NORMS, width, FP32, x.unit)
        tape.keep(Cause.NORMS, piece.width, FP32, Unit.ONCE)  # 1 + w
        return Value(width, x.size, x.unit)
    if piece.kind is NormKind.RMS_T5:
        tape.save(Cause.NORMS, x)
        normalised = tape.keep(Cause.NORMS, width, walk.arithmetic.weight, x.unit)
        return Value(width, normalised.size, x.unit)
    tape.keep(Cause.NORMS, width, x.size, x.unit)
    return Value(width, max(x.size, walk.arithmetic.weight), x.unit)


def cast(walk: Walk, x: Value) -> Value:
    """The value as an operand of a matrix product: autocast makes a copy at every use."""
    if x.size == walk.arithmetic.operand:
        return x
    return Value(x.width, walk.arithmetic.operand, x.unit)


def linear(walk: Walk, piece: Linear, x: Value, cause: Cause) -> Value:
    """A matrix product. It saves its input; under autocast the cast weight too."""
    walk.tape.save(cause, cast(walk, x))
    walk.tape.parameters.append(piece.inputs * piece.outputs)
    if piece.bias:
        walk.tape.parameters.append(piece.outputs)
    if walk.arithmetic.autocast:
        walk.tape.keep(Cause.CASTS, piece.inputs * piece.outputs, walk.arithmetic.operand, Unit.ONCE)
    return Value(piece.outputs, walk.arithmetic.operand, x.unit)


def drop(walk: Walk, probability: float, x: Value) -> Value:
    """Dropout: a mask of one byte per element and a new value."""
    if probability == 0:
        return x
    walk.tape.keep(Cause.DROPOUT, x.width, 1, x.unit)
    return Value(x.width, x.size, x.unit)


def activate(walk: Walk, kind: Activation, x: Value, cause: Cause) -> Value:
    """An activation function."""
    if kind is Activation.RELU:
        out = Value(x.width, x.size, x.unit)
        walk.tape.save(cause, out)
        return out
    if kind is not Activation.GELU_NEW:
        walk.tape.save(cause, x)
        return Value(x.width, x.size, x.unit)
    wide = FP32 if walk.arithmetic.autocast else x.size  # autocast takes the power in FP32
    walk.tape.save(cause, x if x.size == wide else Value(x.width, wide, x.unit))
    walk.tape.keep(cause, x.width, x.size, x.unit)  # half of x
    walk.tape.keep(cause, x.width, wide, x.unit)  # tanh
    walk.tape.keep(cause, x.width, wide, x.unit)  # 1 + tanh
    return Value(x.width, wide, x.unit)
