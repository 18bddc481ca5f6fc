"""What optimizers keep of a trained tensor from step to step, by its shape and the format of its values."""

from collections.abc import Callable
from math import prod
from typing import NamedTuple

FP32 = 4
BF16 = 2
BLOCKWISE = 4096  # elements from which bitsandbytes and torchao store a tensor's state in few bits
MAP = 256 * FP32  # table of the values that 8 bits stand for, one beside each tensor's state (bitsandbytes)
PAGED = 100_000  # elements from which bitsandbytes' paged optimizers place state where it can move
RANK = 128  # of GaLore: the default of Transformers' Trainer and of the paper's own script
SHAMPOO_BLOCK = 1024  # Distributed Shampoo's max_preconditioner_dim
SOAP_LARGEST = 10_000  # SOAP's max_precond_dim: a longer side gets no matrix
MATRIX = 2  # dimensions


class Tensor(NamedTuple):
    """A trained tensor: its shape, the bytes of each of its values, and whether it belongs to a layer."""

    shape: tuple[int, ...]
    size: int  # of the FP32 master copy where there is one
    hidden: bool = True  # embeddings, final norm and head are not

    @property
    def elements(self) -> int:
        """How many values it has."""
        return prod(self.shape)

    @property
    def matrices(self) -> tuple[int, int, int]:
        """How many matrices lie in it, and their rows and columns. A vector holds none."""
        if len(self.shape) < MATRIX:
            return 0, 0, 0
        return prod(self.shape[:-2]), self.shape[-2], self.shape[-1]


class Kept(NamedTuple):
    """One kind of state. `words` is the formula; {elements} and {tensors} are those that have it."""

    name: str
    bytes: Callable[[Tensor], int]
    words: str
    moves: int | None = None  # elements from which a tensor's can go to the computer's memory


def moments(count: int, name: str = "moments", size: int | None = None) -> Kept:
    """So many values for each of the tensor's, in its own format or in one of `size` bytes."""
    if size is None:
        return Kept(name, lambda one: count * one.size * one.elements, f"{count} × {{size}} × {{elements}}")
    return Kept(name, lambda one: count * size * one.elements, f"{count} × {size} B × {{elements}}")


def blockwise(count: int, *, paged: bool = False) -> Kept:
    """bitsandbytes: a byte for each value, FP32 for each 256 of them, and a table; small tensors in FP32."""

    def size(one: Tensor) -> int:
        if one.elements < BLOCKWISE:
            return count * FP32 * one.elements
        return count * (one.elements + FP32 * -(-one.elements // 256) + MAP)

    words = (
        f"{count} × (1 B × {{elements}} + 4 B for each 256 + {MAP:,} B for each of {{tensors}}; "
        f"those of fewer than {BLOCKWISE:,} in FP32)"
    )
    return Kept("moments in 8 bits", size, words, PAGED if paged else None)


def low_bit(name: str, bits: int, block: int, table: int) -> Kept:
    """torchao: `bits` for each value, FP32 for each block, a table; what does not divide stays as it is."""

    def size(one: Tensor) -> int:
        if one.elements < BLOCKWISE or one.elements % block:
            return 2 * one.size * one.elements
        return 2 * (one.elements * bits // 8 + FP32 * (one.elements // block) + FP32 * table)

    words = f"2 × ({bits} bit × {{elements}} + 4 B for each {block}; those of fewer than {BLOCKWISE:,} whole)"
    return Kept(name, size, words)


def factors(size: int | None) -> Kept:
    """Adafactor: sums of rows and columns stand for a matrix's second moment; a vector keeps its own."""

    def of(one: Tensor) -> int:
        count, rows, columns = one.matrices
        return (size or one.size) * (count * (rows + columns) if count else one.elements)

    width = "{size}" if size is None else f"{size} B"
    return Kept("sums of rows and columns", of, f"{width} × (rows + columns) of {{tensors}}")


def each_tensor(name: str) -> Kept:
    """One FP32 number for each tensor that lies on the device."""
    return Kept(name, lambda _: FP32, "4 B × {tensors}")


def is_hidden_matrix(one: Tensor) -> bool:
    """Whether a tensor is a matrix, or several, inside a layer."""
    return one.hidden and len(one.shape) >= MATRIX


MUON = (
    Kept(
        "momentum of the layers' matrices",
        lambda one: one.size * one.elements if is_hidden_matrix(one) else 0,
        "{size} × {elements}",
    ),
    Kept(
        "moments of the rest, by AdamW",
        lambda one: 0 if is_hidden_matrix(one) else 2 * one.size * one.elements,
        "2 × {size} × {elements}",
    ),
)


def _projected(one: Tensor) -> bool:
    return is_hidden_matrix(one) and min(one.matrices[1:]) > RANK


GALORE = (
    Kept(
        "projections",
        lambda one: one.size * one.matrices[0] * RANK * min(one.matrices[1:]) if _projected(one) else 0,
        f"{{size}} × {RANK} × the shorter side of {{tensors}}",
    ),
    Kept(
        f"moments in rank {RANK}",
        lambda one: 2 * one.size * one.matrices[0] * RANK * max(one.matrices[1:]) if _projected(one) else 0,
        f"2 × {{size}} × {RANK} × the longer side of {{tensors}}",
    ),
    Kept(
        "moments of the rest, by AdamW",
        lambda one: 0 if _projected(one) else 2 * one.size * one.elements,
        "2 × {size} × {elements}",
    ),
)


def _squares(side: int, block: int) -> int:
    """Elements of the square matrices on the diagonal of a side that is cut into blocks."""
    return side // block * block * block + (side % block) ** 2


def shampoo_factors(one: Tensor) -> int:
    """Each block of a matrix has a left and a right factor of its own."""
    count, rows, columns = one.matrices
    if not count:
        return FP32 * sum(2 * _squares(side, SHAMPOO_BLOCK) for side in one.shape)
    across, down = -(-columns // SHAMPOO_BLOCK), -(-rows // SHAMPOO_BLOCK)
    squares = _squares(rows, SHAMPOO_BLOCK) * across + _squares(columns, SHAMPOO_BLOCK) * down
    return FP32 * count * 2 * squares


def soap_factors(one: Tensor) -> int:
    """The two factors of a matrix and their eigenvectors; a vector is left to Adam."""
    count, *sides = one.matrices
    return FP32 * count * 2 * sum(side * side for side in sides if side <= SOAP_LARGEST)


def adam_mini_blocks(one: Tensor) -> int:
    """Adam-mini's blocks: a row of a matrix each; a vector is one."""
    count, rows, _ = one.matrices
    return count * rows or 1
