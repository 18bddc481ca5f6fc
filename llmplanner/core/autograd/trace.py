"""The walk of a whole model: what one layer of each group keeps, and what the ends of its stacks keep."""

from collections.abc import Iterable
from dataclasses import dataclass

from llmplanner.core.autograd.layers import embed, finish, layer
from llmplanner.core.autograd.pieces import Walk
from llmplanner.core.autograd.tape import ARITHMETIC, Amounts, Cause, Tape, Unit, Value
from llmplanner.core.estimate import Bytes
from llmplanner.core.model import Kind, Model, Stack
from llmplanner.core.plan import Count, Train

Counts = dict[Unit, Count]


@dataclass(frozen=True, slots=True)
class Traced:
    """What each of `count` equal layers keeps, or what the ends of a stack keep."""

    count: int
    amounts: Amounts
    counts: Counts  # how many there are of each unit in the step
    parameters: tuple[int, ...]  # elements of each tensor of one layer
    ends: bool = False

    def saved(self, causes: Iterable[Cause] | None = None) -> Bytes:
        """Bytes that one of them keeps, for these causes or all."""
        return sum(
            (
                size * self.counts[unit]
                for (cause, unit), size in self.amounts.items()
                if causes is None or cause in causes
            ),
            start=0,
        )


def trace(model: Model, step: Train) -> tuple[Traced, ...]:
    """What stays alive from the forward pass, group by group, as if nothing were computed again."""
    traced: list[Traced] = []
    for stack in model.stacks:
        traced.extend(_stack(model, stack, step))
    return tuple(traced)


def _stack(model: Model, stack: Stack, step: Train) -> list[Traced]:
    arithmetic = ARITHMETIC[step.precision]
    counts = units(model, stack, step)
    ends = Walk(Tape(), arithmetic, step.attention, model.dropout)
    last = stack is model.stacks[-1]
    x = embed(ends, model, stack)
    memory = None if model.kind is not Kind.ENCODER_DECODER else Value(x.width, x.size, Unit.SOURCE)
    traced = []
    for group in stack.groups:
        inner = Walk(Tape(), arithmetic, step.attention, model.dropout)
        layer(inner, group.layer, Value(model.hidden_size, arithmetic.residual), memory)
        amounts = inner.tape.amounts()
        traced.append(Traced(len(group.indices), amounts, counts, tuple(inner.tape.parameters)))
    finish(ends, model, stack, Value(model.hidden_size, arithmetic.residual), last=last)
    traced.append(Traced(1, ends.tape.amounts(), counts, tuple(ends.tape.parameters), ends=True))
    return traced


def units(model: Model, stack: Stack, step: Train) -> Counts:
    """How many there are of each unit in a step, as the stack counts them."""
    batch, source = step.micro_batch, step.sequence
    sequence = source
    if model.kind is Kind.ENCODER_DECODER and stack.role is Kind.DECODER and step.target is not None:
        sequence = step.target
    tokens = sequence * batch
    single = (batch == 1) * 1
    return {
        Unit.TOKEN: tokens,
        Unit.SINGLE: tokens * single,
        Unit.BATCHED: tokens * (1 - single),
        Unit.SCORE: tokens * sequence,
        Unit.PAIR: sequence * sequence,
        Unit.PADDED: (sequence + 31) // 32 * 32 * batch,
        Unit.POSITION: sequence,
        Unit.ONCE: 1,
        Unit.SOURCE: source * batch,
        Unit.CROSS: tokens * source,
    }
