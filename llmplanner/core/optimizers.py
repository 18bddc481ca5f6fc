"""Optimizers: what each keeps of a tensor from step to step, and what its step makes and drops beside that.

A rule reads a tensor's shape and the format of its values. "Measured" means: each optimizer was stepped on
tensors of many shapes and every byte that it held was counted; the others follow their published code.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod
from types import MappingProxyType
from typing import NamedTuple

from llmplanner.core.plan import Optimizer

FP32 = 4
BF16 = 2
BLOCKWISE = 4096  # elements from which bitsandbytes and torchao store a tensor's state in few bits
MAP = 256 * FP32  # table of the values that 8 bits stand for, one beside each tensor's state (bitsandbytes)
PAGED = 100_000  # elements from which bitsandbytes' paged optimizers place state where it can move
RANK = 128  # of GaLore: the default of Transformers' Trainer and of the paper's own script
SHAMPOO_BLOCK = 1024  # Distributed Shampoo's max_preconditioner_dim
SOAP_LARGEST = 10_000  # SOAP's max_precond_dim: a longer side gets no matrix
MATRIX = 2  # dimensions

TORCH = "PyTorch 2.13"
UNMEASURED = "Not measured: by its paper and its published code, shown as a tenth more or less."
COUNTED = "equal to what was counted in PyTorch 2.13, to the byte"
SIZES = "equal to what was counted on four tensors, to the byte"


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
    moves: bool = False  # to the computer's memory, where the device is full


class Made(NamedTuple):
    """What the step makes and drops. `whole`: of all tensors, which ZeRO divides."""

    name: str
    bytes: int
    words: str
    whole: bool = False


Making = Callable[[Sequence[tuple[int, Tensor]]], tuple[Made, ...]]  # of (how many, tensor) in their order


@dataclass(frozen=True, slots=True)
class Rule:
    """One optimizer."""

    name: str  # for people
    kept: tuple[Kept, ...]
    made: Making
    source: str
    measured: str = ""  # how far off it was found to be; empty: nobody has looked
    note: str = ""


# What is kept


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
    return Kept("moments in 8 bits", size, words, paged)


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


def _muon(one: Tensor) -> bool:
    return one.hidden and len(one.shape) >= MATRIX


MUON = (
    Kept(
        "momentum of the layers' matrices",
        lambda one: one.size * one.elements if _muon(one) else 0,
        "{size} × {elements}",
    ),
    Kept(
        "moments of the rest, by AdamW",
        lambda one: 0 if _muon(one) else 2 * one.size * one.elements,
        "2 × {size} × {elements}",
    ),
)


def _projected(one: Tensor) -> bool:
    return _muon(one) and min(one.matrices[1:]) > RANK


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


def _shampoo(one: Tensor) -> int:
    """Each block of a matrix has a left and a right factor of its own."""
    count, rows, columns = one.matrices
    if not count:
        return FP32 * sum(2 * _squares(side, SHAMPOO_BLOCK) for side in one.shape)
    across, down = -(-columns // SHAMPOO_BLOCK), -(-rows // SHAMPOO_BLOCK)
    squares = _squares(rows, SHAMPOO_BLOCK) * across + _squares(columns, SHAMPOO_BLOCK) * down
    return FP32 * count * 2 * squares


def _soap(one: Tensor) -> int:
    """The two factors of a matrix and their eigenvectors; a vector is left to Adam."""
    count, *sides = one.matrices
    return FP32 * count * 2 * sum(side * side for side in sides if side <= SOAP_LARGEST)


def _blocks(one: Tensor) -> int:
    """Adam-mini's blocks: a row of a matrix each; a vector is one."""
    count, rows, _ = one.matrices
    return count * rows or 1


# What the step makes


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

    return partial(_at_the_worst, need)


def _in_fp32(one: Tensor, before: int) -> int:
    """Transformers' Adafactor: update and square; of a narrower tensor its copy and the gradient's too."""
    copies = 2 if one.size == FP32 else 4
    return copies * FP32 * one.elements + max(FP32 * before, factors(FP32).bytes(one))


def _in_own_format(one: Tensor, before: int) -> int:
    """PyTorch's Adafactor: the update, and the sums that it is made of."""
    return one.size * (one.elements + before) + factors(None).bytes(one)


def _at_the_worst(
    need: Callable[[Tensor, int], int], tensors: Sequence[tuple[int, Tensor]]
) -> tuple[Made, ...]:
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
    rest = [(count, one) for count, one in tensors if not _muon(one)]
    adam = all_at_once(1)(rest)[0]
    matrices = [one for _, one in tensors if _muon(one)]
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


BITSANDBYTES = "bitsandbytes 0.50.2 (Dettmers et al. 2021, arXiv:2110.02861)"
TORCHAO = "torchao 0.14.1, torchao.optim"
FOREACH = "foreach, as PyTorch does where nothing else is asked for"

RULES = MappingProxyType(
    {
        Optimizer.ADAMW: Rule("AdamW", (moments(2),), all_at_once(1), f"{TORCH}, {FOREACH}", COUNTED),
        Optimizer.ADAMW_FUSED: Rule(
            "AdamW, fused", (moments(2), each_tensor("step counters")), nothing, f"{TORCH}, fused", COUNTED
        ),
        Optimizer.ADAMW_LOOP: Rule(
            "AdamW, one by one", (moments(2),), one_by_one(2), f"{TORCH}, foreach=False", COUNTED
        ),
        Optimizer.ADAMW_BF16: Rule(
            "AdamW, moments in BF16",
            (moments(2, size=BF16),),
            all_at_once(1),
            "DeepSeek-V3 (arXiv:2412.19437) section 3.3.2; its step as PyTorch's foreach",
            note=UNMEASURED,
        ),
        Optimizer.ADAMW_8BIT: Rule(
            "AdamW 8-bit", (blockwise(2),), nothing, f"{BITSANDBYTES}, AdamW8bit", SIZES
        ),
        Optimizer.PAGED_ADAMW_8BIT: Rule(
            "AdamW 8-bit, paged",
            (blockwise(2, paged=True),),
            nothing,
            f"{BITSANDBYTES}, PagedAdamW8bit",
            SIZES,
            "Pages move to the computer's memory where the device is full: down to the lower bound.",
        ),
        Optimizer.ADAMW_32BIT: Rule(
            "AdamW 32-bit of bitsandbytes",
            (moments(2, size=FP32),),
            nothing,
            f"{BITSANDBYTES}, AdamW32bit",
            SIZES,
        ),
        Optimizer.ADAMW_4BIT: Rule(
            "AdamW 4-bit",
            (low_bit("moments in 4 bits", 4, 128, 16),),
            nothing,
            f"{TORCHAO}.AdamW4bit (arXiv:2309.01507)",
            "1.06 bytes for each parameter, as counted on four tensors",
        ),
        Optimizer.ADAMW_FP8: Rule(
            "AdamW FP8",
            (low_bit("moments in FP8", 8, 256, 0),),
            nothing,
            f"{TORCHAO}.AdamWFp8",
            "2.03 bytes for each parameter, as counted on four tensors",
        ),
        Optimizer.ADAM_AMSGRAD: Rule(
            "Adam with AMSGrad",
            (moments(3, "moments and the largest second one"),),
            all_at_once(1),
            f"{TORCH}, amsgrad=True",
            COUNTED,
        ),
        Optimizer.ADAM_MINI: Rule(
            "Adam-mini",
            (
                moments(1, "first moment"),
                Kept(
                    "second moments of blocks",
                    lambda one: one.size * _blocks(one),
                    "{size} × rows of {tensors}",
                ),
            ),
            one_by_one(2),
            "Zhang et al. 2024 (arXiv:2406.16793); each row of a matrix as a block, the most that it cuts",
            note=UNMEASURED,
        ),
        Optimizer.ADAMAX: Rule("Adamax", (moments(2),), all_at_once(1), f"{TORCH}, {FOREACH}", COUNTED),
        Optimizer.NADAM: Rule("NAdam", (moments(2),), all_at_once(1), f"{TORCH}, {FOREACH}", COUNTED),
        Optimizer.RADAM: Rule("RAdam", (moments(2),), all_at_once(1), f"{TORCH}, {FOREACH}", COUNTED),
        Optimizer.ADAGRAD: Rule(
            "Adagrad", (moments(1, "sums of squares"),), all_at_once(2), f"{TORCH}, {FOREACH}", COUNTED
        ),
        Optimizer.RMSPROP: Rule(
            "RMSprop", (moments(1, "mean squares"),), all_at_once(1), f"{TORCH}, {FOREACH}", COUNTED
        ),
        Optimizer.SGD: Rule("SGD", (), nothing, TORCH, COUNTED),
        Optimizer.SGD_MOMENTUM: Rule("SGD with momentum", (moments(1, "momentum"),), nothing, TORCH, COUNTED),
        Optimizer.LION: Rule(
            "Lion",
            (moments(1, "momentum", FP32),),
            nothing,
            "bitsandbytes 0.50.2, Lion32bit (Chen et al. 2023, arXiv:2302.06675)",
            SIZES,
        ),
        Optimizer.LION_8BIT: Rule("Lion 8-bit", (blockwise(1),), nothing, f"{BITSANDBYTES}, Lion8bit", SIZES),
        Optimizer.ADAFACTOR: Rule(
            "Adafactor (Transformers)",
            (factors(FP32), each_tensor("root mean squares")),
            partial(_at_the_worst, _in_fp32),
            "Transformers 5.23, Adafactor without beta1 (Shazeer and Stern 2018, arXiv:1804.04235)",
            COUNTED,
        ),
        Optimizer.ADAFACTOR_TORCH: Rule(
            "Adafactor (PyTorch)",
            (factors(None),),
            partial(_at_the_worst, _in_own_format),
            f"{TORCH}, torch.optim.Adafactor",
            COUNTED,
        ),
        Optimizer.MUON: Rule(
            "Muon, AdamW for the rest",
            MUON,
            newton_schulz,
            f"{TORCH}, torch.optim.Muon; embeddings, norms and head by AdamW (foreach)",
            COUNTED,
        ),
        Optimizer.SHAMPOO: Rule(
            "Shampoo",
            (
                moments(2, "filtered gradient and grafted second moment"),
                Kept(
                    "factors and their inverse roots",
                    _shampoo,
                    f"4 B × 2 × rows² + columns² of the blocks of at most {SHAMPOO_BLOCK:,} of {{tensors}}",
                ),
            ),
            all_at_once(1),
            "Distributed Shampoo (arXiv:2309.06497), its defaults, Adam grafted",
            note=UNMEASURED,
        ),
        Optimizer.SOAP: Rule(
            "SOAP",
            (
                moments(2),
                Kept(
                    "factors and their eigenvectors",
                    _soap,
                    f"4 B × 2 × (rows² + columns²) of {{tensors}}, of sides up to {SOAP_LARGEST:,}",
                ),
            ),
            one_by_one(4),
            "Vyas et al. 2024 (arXiv:2409.11321), its published code's defaults",
            note=UNMEASURED,
        ),
        Optimizer.GALORE: Rule(
            f"GaLore, rank {RANK}",
            GALORE,
            one_by_one(4),
            f"Zhao et al. 2024 (arXiv:2403.03507), galore_torch.GaLoreAdamW at rank {RANK}",
            note=UNMEASURED,
        ),
    }
)
