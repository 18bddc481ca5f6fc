"""A layer as it is walked, whatever the tokens: they only multiply it, so equal layers are walked once."""

from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

from llmplanner.core.autograd.backward import Moment, moments, pruned
from llmplanner.core.autograd.layers import layer
from llmplanner.core.autograd.tape import Amounts, Tape, Unit, Value, Weight
from llmplanner.core.autograd.walk import Walk
from llmplanner.core.model import Layer


class Memory(NamedTuple):
    """An encoder's output, for a decoder's layers."""

    width: int
    size: int
    flows: bool


class Walked(NamedTuple):
    """What one layer keeps, and the moments of undoing it. Not to be changed: others read the same."""

    amounts: Amounts
    parameters: tuple[Weight, ...]
    moments: tuple[Moment, ...]
    remembered: tuple[Value, ...]  # what operation-level checkpointing does not compute again
    passing: int  # bytes that its forward pass makes and drops, however many tokens there are
    flows: bool  # a gradient flows into what it makes
    reads_memory: bool  # for the backward pass


@lru_cache(maxsize=256)
def walked(piece: Layer, about: Walk, width: int, memory: Memory | None, *, flows: bool) -> Walked:
    """The layer on a tape of its own. `flows`: a gradient flows into its input, `width` elements a token."""
    encoded = None if memory is None else Value(memory.width, memory.size, Unit.SOURCE)
    if encoded is not None and memory is not None:
        encoded.grad = memory.flows
    walk = replace(about, tape=Tape(encoded))
    x = Value(width, walk.arithmetic.residual, walk.between)
    x.grad = flows
    out, tape = layer(walk, piece, x, encoded), walk.tape
    if tape.lasting:  # still there when the last of what is saved is made
        tape.passing.append((len(tape.saved) - 1, tuple(tape.lasting)))
    passing = [each.bytes for _, values in tape.passing for each in values if each.unit is Unit.ONCE]
    undone = moments(tape, computed_again=x if walk.checkpointed else None)
    return Walked(
        tape.amounts(),
        tuple(tape.parameters),
        pruned(undone) if piece.recurrent is not None else undone,  # written out, they are many
        tuple(tape.remembered),
        max(passing, default=0),
        out.grad,
        tape.reads_elsewhere,
    )
