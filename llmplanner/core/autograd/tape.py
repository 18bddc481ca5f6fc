"""Two rules: an operation saves what its derivative needs; a tensor saved by two operations is stored once.

A layer is walked on shapes: an operation takes `Value`s, saves some on the `Tape` and returns new ones.
Nothing is multiplied by tokens here: a value says what it is counted per.
"""

from dataclasses import dataclass
from enum import StrEnum
from math import prod
from typing import NamedTuple

from llmplanner.core.plan import Precision


class Unit(StrEnum):
    """What a value's width is counted per, on one device. Its text stands in formulas."""

    TOKEN = "token"  # noqa: S105 - of text
    SLICE = "token of the device's slice"  # sequence parallel: of what tensor parallel leaves whole
    SINGLE = "token of a single sequence"  # there only where the micro-batch is 1
    BATCHED = "token of several sequences"  # there only where the micro-batch is larger
    SCORE = "pair of tokens"  # batch x sequence x keys
    BATCHED_SCORE = "pair of tokens of several sequences"
    PAIR = "pair of positions"  # sequence x keys, the same for the whole batch
    PADDED = "token, sequences padded to 32"  # rows of the memory-efficient kernel's log-sum-exp
    OPEN = "token without a mask"  # a window is a mask where the sequence is longer
    MASKED = "token under a mask"
    MASKED_PADDED = "token under a mask, sequences padded to 32"
    MASK = "pair of tokens under a mask"
    POSITION = "position"
    SEQUENCE = "sequence"
    CHUNKED = "token, sequences padded to chunks"  # of a recurrent layer
    ALONE = "token, a single sequence padded to its one chunk"
    LAID = "token, sequences padded to chunks, more than one of them in all"
    SEVERAL = "token, sequences padded to several chunks"
    WHOLE = "token of sequences in whole chunks"  # that need no padding
    LINKED = "token of a chunk that another follows"
    CHUNK = "chunk"
    LINK = "chunk that another follows"
    CHUNK_PAIR = "pair of chunks"
    ONCE = "model"  # once, whatever the batch
    SOURCE = "encoder token"  # what cross-attention reads
    CROSS = "pair of decoder and encoder tokens"
    CROSS_PAIR = "pair of decoder and encoder positions"


class Cause(StrEnum):
    """What keeps a tensor, as shown to the user."""

    NORMS = "norms"
    ATTENTION = "attention"
    RECURRENCE = "recurrence"
    FEED_FORWARD = "feed-forward"
    EXPERTS = "experts"
    CASTS = "weights cast by autocast"
    DROPOUT = "dropout masks"
    CHECKPOINTS = "layer inputs"
    POSITIONS = "positions and masks"
    HEAD = "head"
    LOSS = "loss"


class Value:
    """A tensor of `width` elements of `size` bytes for each `unit`. Known by identity, as storages are.

    A view has a `base`, the whole of which stays alive with it. `grad`: a gradient flows into it, which the
    operation that makes it decides. Else never changed; a plain class, as a walk makes some hundred of them
    and a frozen dataclass takes three times as long.
    """

    __slots__ = ("base", "bytes", "grad", "size", "unit", "width")

    def __init__(self, width: int, size: int, unit: Unit = Unit.TOKEN, base: "Value | None" = None) -> None:
        self.width = width
        self.size = size
        self.unit = unit
        self.base = base
        self.grad = True
        self.bytes = width * size  # per unit


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """Bytes per element. Under autocast, weights and the residual stream stay in FP32."""

    weight: int  # and its gradient
    operand: int  # of a matrix product
    residual: int
    autocast: bool
    fp8: bool = False  # products of the layers keep what they read in FP8, as Transformer Engine does
    gathered: bool = False  # ZeRO 3: weights arrive as operands, a unit at a time; autocast casts none
    adapter: int = 4  # of adapters: PEFT keeps them in FP32; with master copies the whole model has 16 bits
    slices: int = 1  # sequence parallel: into how many parts the tokens are divided between the products

    @property
    def read(self) -> int:
        """Of a weight as an operation reads it."""
        return self.operand if self.gathered else self.weight


ARITHMETIC = {
    Precision.FP32: Arithmetic(4, 4, 4, autocast=False),
    Precision.BF16: Arithmetic(2, 2, 2, autocast=False),
    Precision.BF16_MIXED: Arithmetic(4, 2, 4, autocast=True),
    Precision.FP16_MIXED: Arithmetic(4, 2, 4, autocast=True),
    Precision.BF16_MASTER: Arithmetic(2, 2, 2, autocast=False, adapter=2),
    Precision.FP8_MIXED: Arithmetic(4, 2, 4, autocast=True, fp8=True),
}
FP32 = 4
INT64 = 8

Amounts = dict[tuple[Cause, Unit], int]


class Weight(NamedTuple):
    """A parameter that a walk met; `size` bytes for each of its elements, and of its gradient's."""

    shape: tuple[int, ...]
    size: int
    trained: bool = True
    added: bool = False  # by the method: an adapter, no part of the model

    @property
    def elements(self) -> int:
        """How many values it has."""
        return prod(self.shape)

    @property
    def bytes(self) -> int:
        """What it takes."""
        return self.size * prod(self.shape)


class Operation(NamedTuple):
    """One step of the walk: what its backward step finds, and what it makes.

    `saved` and `parameters` are how many values and parameters the tape held after it.
    `scratch` is alive inside its backward step only. `passes`: the gradient goes through unchanged. `beside`:
    what else it makes, whose gradients it takes at the same time.
    """

    out: Value
    inputs: tuple[Value, ...]
    saved: int
    parameters: int
    scratch: tuple[Value, ...] = ()
    passes: bool = False
    beside: tuple[Value, ...] = ()


class Tape:
    """The values saved so far, each once, with what saved it first, and the parameters met on the way."""

    def __init__(self, elsewhere: Value | None = None) -> None:
        """`elsewhere`: a value that is counted on another tape, as the encoder's output is."""
        self._saved: dict[Value, Cause] = {}
        self._elsewhere = elsewhere
        self.reads_elsewhere = False
        self.waiting: list[Value] = []  # what is made and read again later, such as the residual stream
        self.passing: list[tuple[int, tuple[Value, ...]]] = []  # values saved before, values that go again
        self.parameters: list[Weight] = []
        self.operations: list[Operation] = []
        self.again: dict[int, list[Value]] = {}  # what is computed again, by the last operation that makes it
        self.remembered: list[Value] = []  # what operation-level checkpointing does not compute again
        self.lasting: list[Value] = []  # not saved, but held by the layer until its forward pass ends
        self._products = 0

    @property
    def reads_another(self) -> bool:
        """Whether there is a value that is counted on another tape."""
        return self._elsewhere is not None

    def save(self, cause: Cause, *values: Value, when: bool = True) -> None:
        """Keeps values for the backward pass; `when`: a gradient that needs them is asked for."""
        for value in values if when else ():
            if value is self._elsewhere:
                self.reads_elsewhere = True
            else:
                self._saved.setdefault(value.base or value, cause)

    def keep(
        self, cause: Cause, width: int, size: int, unit: Unit = Unit.TOKEN, *, when: bool = True
    ) -> Value:
        """Makes a new value and keeps it, as `save` does."""
        value = Value(width, size, unit)
        if when:
            self._saved[value] = cause
        return value

    def pass_by(self, *values: Value) -> None:
        """Notes what the forward pass holds for a while and soon drops, beside what is saved by then."""
        held = dict.fromkeys((*self.waiting, *values))
        self.passing.append((len(self._saved), tuple([each for each in held if each not in self._saved])))

    def op(
        self,
        out: Value,
        inputs: tuple[Value, ...],
        *scratch: Value,
        passes: bool = False,
        trained: bool = False,
    ) -> Value:
        """Notes an operation, after what it saves, and returns what it makes.

        Nothing flows back into inputs without gradient, nor into what is made of such alone, unless the
        operation has `trained` parameters.
        """
        flows = tuple([each for each in inputs if each.grad])
        out.grad = trained or bool(flows)
        if out.grad:
            held = len(self._saved), len(self.parameters)
            self.operations.append(Operation(out, flows, *held, scratch, passes))
        return out

    def split(self, whole: Value, *widths: int) -> tuple[Value, ...]:
        """Views of a tensor, made at once: their gradients are joined at once."""
        first, *others = (Value(width, whole.size, whole.unit, whole) for width in widths)
        for each in others:
            each.grad = whole.grad
        self.op(first, (whole,))
        if whole.grad:
            self.operations[-1] = self.operations[-1]._replace(beside=tuple(others))
        return first, *others

    def recompute(self, since: int, but: Value) -> None:
        """Drops what was saved since there were `since` values: it is computed again to be undone."""
        values = [value for value in tuple(self._saved)[since:] if value is not but]
        self.again[len(self.operations) - 1] = values

    def product(self, out: Value) -> None:
        """Notes a matrix product: operation-level checkpointing remembers every other one."""
        self._products += 1
        if self._products % 2:
            self.remembered.append(out)

    @property
    def saved(self) -> tuple[Value, ...]:
        """The values in the order in which they were saved."""
        return tuple(self._saved)

    def amounts(self) -> Amounts:
        """Bytes by cause and unit."""
        amounts: Amounts = {}
        dropped = {value for values in self.again.values() for value in values} if self.again else ()
        for value, cause in self._saved.items():
            if value in dropped:
                continue
            key = (cause, value.unit)
            amounts[key] = amounts.get(key, 0) + value.bytes
        return amounts
