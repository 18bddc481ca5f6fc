"""The backward pass through one layer: what is alive while its operations are undone, last one first.

An operation's saved tensors go when it is done; gradients of values live from their first use to their
producer, gradients of parameters stay.
"""

from dataclasses import dataclass

import numpy as np

from llmplanner.core.autograd.tape import Tape, Unit, Value
from llmplanner.core.estimate import Bytes
from llmplanner.core.plan import Count


@dataclass(frozen=True, slots=True)
class Alive:
    """What one layer holds at the worst moment of its backward pass, in bytes."""

    saved: Bytes
    flowing: Bytes  # gradients of values, and scratch
    gradients: Bytes  # of the layer's parameters

    @property
    def total(self) -> Bytes:
        """Their sum."""
        return self.saved + self.flowing + self.gradients


NOTHING = Alive(0, 0, 0)


def undo(tape: Tape, counts: dict[Unit, Count], weight: int) -> Alive:
    """The worst moment, from the gradient of the layer's output to that of its input.

    `weight`: bytes of an element of a parameter's gradient.
    """
    values = tape.saved
    kept = sum((_bytes(value, counts) for value in values), start=0)
    flow = _Flow(counts)
    worst, made = NOTHING, 0
    flow.seed(tape.operations[-1].out)
    for index in range(len(tape.operations) - 1, -1, -1):
        operation = tape.operations[index]
        before = tape.operations[index - 1] if index else None
        parameters_before = before.parameters if before else 0
        own = weight * sum(tape.parameters[parameters_before : operation.parameters])
        made += own
        flowing = flow.through(operation.out, operation.inputs, passes=operation.passes)
        for value in operation.scratch:
            flowing = flowing + _bytes(value, counts)
        worst = larger(worst, Alive(kept, flowing, made))
        for value in values[before.saved if before else 0 : operation.saved]:
            kept = kept - _bytes(value, counts)
    return worst


def larger(a: Alive, b: Alive) -> Alive:
    """The one that needs more, plan by plan."""
    more = b.total > a.total
    if isinstance(more, bool):
        return b if more else a
    return Alive(
        np.where(more, b.saved, a.saved),
        np.where(more, b.flowing, a.flowing),
        np.where(more, b.gradients, a.gradients),
    )


def _bytes(value: Value, counts: dict[Unit, Count]) -> Bytes:
    return value.bytes * counts[value.unit]


class _Flow:
    """Gradients of values on their way back. A sum's gradient is shared by what it adds."""

    def __init__(self, counts: dict[Unit, Count]) -> None:
        self._counts = counts
        self._storage: dict[Value, Value] = {}  # whose gradient -> which tensor holds it
        self._users: dict[Value, int] = {}
        self._alive: Bytes = 0

    def seed(self, value: Value) -> None:
        """The gradient that arrives from behind."""
        self._hold(value, value)

    def through(self, out: Value, inputs: tuple[Value, ...], *, passes: bool) -> Bytes:
        """Undoes one operation; returns what is alive at its worst moment."""
        gradient = self._storage.get(out)
        if gradient is None:
            return self._alive
        extra: Bytes = 0
        for each in inputs:
            if each not in self._storage:
                self._hold(each, gradient if passes else Value(each.width, each.size, each.unit))
            elif self._users[self._storage[each]] > 1:  # shared, so the sum is a new tensor
                extra = extra + _bytes(each, self._counts)
                self._release(each)
                self._hold(each, Value(each.width, each.size, each.unit))
            else:
                extra = extra + _bytes(each, self._counts)
        alive = self._alive + extra
        self._release(out)
        return alive

    def _hold(self, value: Value, storage: Value) -> None:
        self._storage[value] = storage
        self._users[storage] = self._users.get(storage, 0) + 1
        if self._users[storage] == 1:
            self._alive = self._alive + _bytes(storage, self._counts)

    def _release(self, value: Value) -> None:
        storage = self._storage.pop(value)
        self._users[storage] -= 1
        if self._users[storage] == 0:
            self._alive = self._alive - _bytes(storage, self._counts)
