"""What the step of an optimizer makes beside its state, and drops."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from llmplanner.core.optimizer_state import BF16, FP32, Tensor, factors, is_hidden_matrix


class Made(NamedTuple):
    """What the step makes and drops. `whole`: of all tensors, which ZeRO divides."""

    name: str
    bytes: int
    words: str
    whole: bool = False


Making = Callable[[Sequence[tuple[int, Tensor]]], tuple[Made, ...]]  # of (how many, tensor) in their order


def nothing(_: Sequence[tuple[int, Tensor]]) -> tuple[Made, ...]:
    """The state is changed where it lies."""
    return ()


def all_at_once(copies: int) -> Making:
    """Lists of tensors that are worked on together: so many values for each one trained."""

    def made(tensors: Sequence[tuple[int, Tensor]]) -> tuple[Made, ...]:
        total = sum(count * one.size * one.elements for count, one in tensors)
        elements = sum(count * one.elements for count, one in tensors)
        words = f"{copies} × {_each(total, elements)} × {elements:,} parameters"
        return (Made("all tensors updated at once", copies * total, words, whole=True),)

    return made


def one_by_one(copies: int) -> Making:
    """Tensor by tensor: so many values for each of the one in hand, and the update of the one before it."""

    def need(one: Tensor, before: int) -> int:
        return copies * one.size * one.elements + one.size * before

    return partial(at_the_worst, need)


def in_fp32(one: Tensor, before: int) -> int:
    """Transformers' Adafactor: update and square; of a narrower tensor its copy and the gradient's too."""
    copies = 2 if one.size == FP32 else 4
    return copies * FP32 * one.elements + max(FP32 * before, factors(FP32).bytes(one))


def in_own_format(one: Tensor, before: int) -> int:
    """PyTorch's Adafactor: the update, and the sums that it is made of."""
    return one.size * (one.elements + before) + factors(None).bytes(one)


def at_the_worst(
    need: Callable[[Tensor, int], int], tensors: Sequence[tuple[int, Tensor]]
) -> tuple[Made, ...]:
    """The tensor, in their order, that needs most; `need` is told how many elements the one before has."""
    worst, most, before = 0, tensors[0][1], 0
    for _, one in tensors:
        if need(one, before) > worst:
            worst, most = need(one, before), one
        before = one.elements
    shape = " × ".join(f"{side:,}" for side in most.shape)
    text = (
        f"{worst / most.elements:.3g} B × {shape} of the largest tensor, with what is left of the one before"
    )
    return (Made("one tensor's update", worst, text),)


def newton_schulz(tensors: Sequence[tuple[int, Tensor]]) -> tuple[Made, ...]:
    """Muon: the update, and in BF16 two copies of the matrix and two squares of its shorter side."""
    rest = [(count, one) for count, one in tensors if not is_hidden_matrix(one)]
    adam = all_at_once(1)(rest)[0]
    matrices = [one for _, one in tensors if is_hidden_matrix(one)]
    if not matrices:
        return (adam,)

    def need(one: Tensor) -> int:
        rows, columns = one.matrices[1:]
        return one.size * rows * columns + BF16 * 2 * (rows * columns + min(rows, columns) ** 2)

    worst = max(matrices, key=need)
    rows, columns = worst.matrices[1:]
    text = (
        f"({worst.size} B + 2 × 2 B) × {rows:,} × {columns:,} "
        f"+ 2 × 2 B × {min(rows, columns):,} × {min(rows, columns):,}"
    )
    ours = Made("orthogonal form of the largest matrix", need(worst), text)
    return (max(ours, adam, key=lambda made: made.bytes),)


def _each(total: int, elements: int) -> str:
    """Bytes of a value, where all have the same."""
    return f"{total // elements} B" if elements and total % elements == 0 else "2 or 4 B"
