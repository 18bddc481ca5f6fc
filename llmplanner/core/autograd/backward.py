"""The backward pass through one layer: what is alive while its operations are undone, last one first.

An operation's saved tensors go when it is done; gradients of values live from their first use to their
producer, gradients of parameters stay.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from llmplanner.core.autograd.tape import Operation, Tape, Unit, Value
from llmplanner.core.estimate import Bytes
from llmplanner.core.plan import Count

PerUnit = dict[Unit, int]  # bytes for each of a unit


@dataclass(frozen=True, slots=True)
class Alive:
    """What one layer holds at one moment of its backward pass, in bytes."""

    saved: Bytes
    flowing: Bytes  # gradients of values, and scratch
    gradients: int  # of the layer's parameters

    @property
    def total(self) -> Bytes:
        """Their sum."""
        return self.saved + self.flowing + self.gradients


NOTHING = Alive(0, 0, 0)
SAVED = slice(2, 4)  # of an operation: how many values and parameters there were after it


@dataclass(frozen=True, slots=True)
class Moment:
    """The same, for each unit."""

    saved: PerUnit
    flowing: PerUnit
    gradients: int

    def alive(self, counts: Mapping[Unit, Count]) -> Alive:
        """Bytes where there are so many of each unit."""
        return Alive(_bytes(self.saved, counts), _bytes(self.flowing, counts), self.gradients)

    def covers(self, other: "Moment") -> bool:
        """Whether this moment needs no less than the other whatever the counts."""
        units = {*other.saved, *other.flowing}
        return self.gradients >= other.gradients and all(
            self.saved.get(unit, 0) + self.flowing.get(unit, 0)
            >= other.saved.get(unit, 0) + other.flowing.get(unit, 0)
            for unit in units
        )


def moments(tape: Tape, *, computed_again: Value | None = None) -> tuple[Moment, ...]:
    """The moments between the gradients of the layer's output and of its input.

    None, where no gradient flows into what the layer makes. `computed_again`: its input, kept as a checkpoint
    and no part of what it holds, where its forward pass runs first.
    """
    if not tape.operations:
        return ()
    values = tuple(Value(0, 0) if value is computed_again else value for value in tape.saved)
    return (*(_compute(tape, values) if computed_again else ()), *_undo(tape, values))


def worst(moments: Sequence[Moment], counts: Mapping[Unit, Count]) -> Alive:
    """What is alive at the worst of the moments, where there are so many of each unit."""
    if not moments:
        return NOTHING
    if all(isinstance(count, int) for count in counts.values()):
        return max((moment.alive(counts) for moment in moments), key=lambda alive: alive.total)
    import numpy as np  # noqa: PLC0415 - of maps alone

    found = [moment.alive(counts) for moment in pruned(moments)]
    chosen = np.argmax(np.stack(np.broadcast_arrays(*(each.total for each in found))), axis=0)
    saved, flowing = (
        np.choose(chosen, [np.broadcast_to(amount, chosen.shape) for amount in amounts])
        for amounts in ([each.saved for each in found], [each.flowing for each in found])
    )
    return Alive(saved, flowing, np.asarray([each.gradients for each in found])[chosen])


def pruned(moments: Sequence[Moment]) -> tuple[Moment, ...]:
    """Without those that another one covers."""
    left: list[Moment] = []
    for moment in moments:
        if not any(other.covers(moment) for other in left):
            left = [other for other in left if not moment.covers(other)]
            left.append(moment)
    return tuple(left)


def _compute(tape: Tape, values: Sequence[Value]) -> Iterator[Moment]:
    """The moments of a layer's forward pass that make more than is kept.

    It runs when the first operation to be undone asks for what it had saved, or for its weight; the gradients
    that are on their way by then wait.
    """
    operations = tape.operations
    flow, index = _Flow(operations[-1].out), len(operations) - 1
    while index and operations[index][SAVED] == operations[index - 1][SAVED]:
        flow.through(operations[index])
        index -= 1
    kept: PerUnit = {}
    held = 0
    for saved, passing in tape.passing:
        if saved == len(values):  # all is there again: the rest is not computed
            break
        for value in values[held:saved]:
            _add(kept, value)
        held = saved
        meanwhile = flow.alive.copy()
        for value in passing:
            _add(meanwhile, value)
        yield Moment(kept.copy(), meanwhile, 0)


def _undo(tape: Tape, values: Sequence[Value]) -> Iterator[Moment]:
    """The moments of undoing a layer, one for each operation."""
    operations = tape.operations
    kept: PerUnit = {}
    for value in values:
        _add(kept, value)
    for again in tape.again.values():
        for value in again:
            _add(kept, value, sign=-1)
    flow = _Flow(operations[-1].out)
    made = 0
    for index in range(len(operations) - 1, -1, -1):
        operation = operations[index]
        for value in tape.again.get(index, ()):
            _add(kept, value)
        saved, parameters = (
            (operations[index - 1].saved, operations[index - 1].parameters) if index else (0, 0)
        )
        made += sum(
            [each.bytes for each in tape.parameters[parameters : operation.parameters] if each.trained]
        )
        yield Moment(kept.copy(), flow.through(operation), made)
        for value in values[saved : operation.saved]:
            _add(kept, value, sign=-1)


def _add(amounts: PerUnit, value: Value, sign: int = 1) -> None:
    amounts[value.unit] = amounts.get(value.unit, 0) + sign * value.bytes


def _bytes(amounts: PerUnit, counts: Mapping[Unit, Count]) -> Bytes:
    total: Bytes = 0
    for unit, size in amounts.items():
        if size:
            total = total + size * counts[unit]
    return total


class _Flow:
    """Gradients of values on their way back. A sum's gradient is shared by what it adds."""

    def __init__(self, last: Value) -> None:
        self._storage: dict[Value, Value] = {}  # whose gradient -> which tensor holds it
        self._users: dict[Value, int] = {}
        self.alive: PerUnit = {}
        self._hold(last, last)

    def through(self, operation: Operation) -> PerUnit:
        """Undoes one operation; returns what is alive meanwhile."""
        gradient = self._storage.get(operation.out)
        if gradient is None:  # nothing behind it has a derivative
            return self.alive.copy()
        sums: list[Value] = []
        for each in operation.inputs:
            mine = gradient if operation.passes else Value(each.width, each.size, each.unit)
            if each not in self._storage:
                self._hold(each, mine)
                continue
            sums.append(each)
            if self._users[self._storage[each]] > 1:  # shared, so the sum is a new tensor
                self._release(each)
                self._hold(each, Value(each.width, each.size, each.unit))
        meanwhile = self.alive.copy()
        for value in (*sums, *operation.scratch):
            _add(meanwhile, value)
        for value in (operation.out, *operation.beside):
            if value in self._storage:
                self._release(value)
        return meanwhile

    def _hold(self, value: Value, storage: Value) -> None:
        self._storage[value] = storage
        self._users[storage] = self._users.get(storage, 0) + 1
        if self._users[storage] == 1:
            _add(self.alive, storage)

    def _release(self, value: Value) -> None:
        storage = self._storage.pop(value)
        self._users[storage] -= 1
        if self._users[storage] == 0:
            _add(self.alive, storage, sign=-1)
