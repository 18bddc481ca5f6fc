"""Norms, linears, activations and dropout: what each saves.

Source: lists of the tensors that autograd saves, PyTorch 2.13 with Transformers 5.23.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from llmplanner.core.autograd.tape import FP32, Arithmetic, Cause, Tape, Unit, Value, Weight
from llmplanner.core.engine import AttentionKernel
from llmplanner.core.model import Activation, Dropout, Linear, Module, Norm, NormKind
from llmplanner.core.tensors import tensor_shapes

LAYER_NORMS = (NormKind.LAYER, NormKind.LAYER_WIDE, NormKind.LAYER_WRITTEN)


@dataclass(frozen=True, slots=True)
class Walk:
    """What every piece needs to know beside its inputs."""

    tape: Tape
    arithmetic: Arithmetic
    kernel: AttentionKernel
    dropout: Dropout
    causal: bool = True  # a decoder's
    scores_fp32: bool = False  # GPT-J: of queries and keys in FP32


def norm(walk: Walk, piece: Norm | None, x: Value) -> Value:
    """Normalises x. The RMS forms compute in FP32 and save the copy, LayerNorm its input as it stands."""
    if piece is None:
        return x
    if piece.kind in LAYER_NORMS:
        return _layer_norm(walk, piece, x)
    tape, width = walk.tape, x.width
    wide = x if x.size == FP32 else tape.op(Value(width, FP32, x.unit), (x,))
    tape.save(Cause.NORMS, wide)
    tape.keep(Cause.NORMS, width // piece.width, FP32, x.unit)  # reciprocal root mean square, per head
    if piece.kind is NormKind.RMS_PLUS_ONE:
        tape.keep(Cause.NORMS, width, FP32, x.unit)
        tape.keep(Cause.NORMS, piece.width, FP32, Unit.ONCE)  # 1 + w
        out = Value(width, x.size, x.unit)
    elif piece.kind is NormKind.RMS_T5:
        tape.save(Cause.NORMS, x)
        out = Value(width, tape.keep(Cause.NORMS, width, walk.arithmetic.weight, x.unit).size, x.unit)
    elif not piece.weight:
        out = Value(width, x.size, x.unit)
    else:
        tape.keep(Cause.NORMS, width, FP32 if piece.kind is NormKind.RMS_WIDE else x.size, x.unit)
        out = Value(width, max(x.size, walk.arithmetic.weight), x.unit)
    tape.parameters.extend([Weight((piece.width,))] * (piece.weight + piece.bias))
    return tape.op(out, (wide,), Value(2 * width, FP32, x.unit))


def _layer_norm(walk: Walk, piece: Norm, x: Value) -> Value:
    tape, plain = walk.tape, piece.kind is NormKind.LAYER
    kept = x.size == FP32 or (plain and not walk.arithmetic.autocast)
    wide = x if kept else tape.op(Value(x.width, FP32, x.unit), (x,))
    if piece.kind is NormKind.LAYER_WRITTEN:  # the difference from the mean, twice; what is weighted
        for _ in range(3):
            tape.keep(Cause.NORMS, x.width, FP32, x.unit)
    else:
        tape.save(Cause.NORMS, wide)
    tape.keep(Cause.NORMS, 2, FP32, x.unit)  # mean and reciprocal deviation
    tape.parameters.extend([Weight((piece.width,))] * (piece.weight + piece.bias))
    return tape.op(Value(x.width, wide.size if plain else x.size, x.unit), (wide,))


def cast(walk: Walk, x: Value) -> Value:
    """The value as an operand of a matrix product: autocast makes a copy at every use."""
    if x.size == walk.arithmetic.operand:
        return x
    return walk.tape.op(Value(x.width, walk.arithmetic.operand, x.unit), (x,))


def linear(walk: Walk, piece: Linear, x: Value, cause: Cause) -> Value:
    """A matrix product. It saves its input; under autocast the cast weight too."""
    x = cast(walk, x)
    weight = matrix(walk, (piece.outputs, piece.inputs), Cause.CASTS)
    walk.tape.save(cause, x)
    if piece.bias:
        walk.tape.parameters.append(Weight((piece.outputs,)))
    return walk.tape.op(Value(piece.outputs, walk.arithmetic.operand, x.unit), (x, *weight))


def matrix(walk: Walk, shape: tuple[int, ...], cause: Cause) -> tuple[Value, ...]:
    """A parameter that a product reads: under autocast a copy, whose gradient is cast back afterwards.

    A gathered weight is told in the term communication.
    """
    weight = Weight(shape)
    walk.tape.parameters.append(weight)
    if walk.arithmetic.gathered or not walk.arithmetic.autocast:
        return ()
    copy = walk.tape.op(Value(weight.elements, walk.arithmetic.operand, Unit.ONCE), ())
    walk.tape.save(cause, copy)
    return (copy,)


def own(walk: Walk, modules: Iterable[Module]) -> None:
    """Parameters that no piece of the walk reads by itself, such as scales; they keep next to nothing."""
    for module in modules:
        walk.tape.parameters.extend(Weight(shape) for shape in tensor_shapes(module))


def drop(walk: Walk, probability: float, x: Value) -> Value:
    """Dropout: a mask of one byte per element and a new value."""
    if probability == 0:
        return x
    walk.tape.keep(Cause.DROPOUT, x.width, 1, x.unit)
    return walk.tape.op(Value(x.width, x.size, x.unit), (x,))


def multiply(walk: Walk, a: Value, b: Value, cause: Cause) -> Value:
    """A product element by element saves both factors."""
    walk.tape.save(cause, a, b)
    return walk.tape.op(Value(a.width, max(a.size, b.size), a.unit), (a, b))


def add(walk: Walk, x: Value, branch: Value) -> Value:
    """The residual sum, which saves nothing."""
    total = Value(x.width, walk.arithmetic.residual, x.unit)
    return walk.tape.op(total, (x, branch), passes=True)


def activate(walk: Walk, kind: Activation, x: Value, cause: Cause) -> Value:
    """An activation function."""
    tape = walk.tape
    if kind is Activation.RELU:
        out = Value(x.width, x.size, x.unit)
        tape.save(cause, out)
        return tape.op(out, (x,))
    if kind is not Activation.GELU_NEW:
        tape.save(cause, x)
        scratch = [Value(4 * x.width, x.size, x.unit)] if kind is Activation.GELU_BLOOM else []
        return tape.op(Value(x.width, x.size, x.unit), (x,), *scratch)  # bloom_gelu_back, written out
    wide = FP32 if walk.arithmetic.autocast else x.size  # autocast takes the power in FP32
    tape.save(cause, x if x.size == wide else Value(x.width, wide, x.unit))
    tape.keep(cause, x.width, x.size, x.unit)  # half of x
    tape.keep(cause, x.width, wide, x.unit)  # tanh
    tape.keep(cause, x.width, wide, x.unit)  # 1 + tanh
    return tape.op(Value(x.width, wide, x.unit), (x,), Value(2 * x.width, wide, x.unit))
