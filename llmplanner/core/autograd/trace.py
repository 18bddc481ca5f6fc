"""The walk of a whole model: what one layer of each group keeps, and what the ends of its stacks keep."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from llmplanner.core.autograd.backward import NOTHING, Alive, worst
from llmplanner.core.autograd.layers import embed, finish, layer
from llmplanner.core.autograd.pieces import Walk
from llmplanner.core.autograd.tape import Amounts, Arithmetic, Cause, Tape, Unit, Value, Weight
from llmplanner.core.engine import AttentionKernel
from llmplanner.core.estimate import Bytes
from llmplanner.core.model import Attention, Kind, Layer, Model, Stack
from llmplanner.core.plan import Count, Train

Counts = dict[Unit, Count]


class Place(StrEnum):
    """Where in a stack something stands."""

    FRONT = "front"  # embeddings
    LAYERS = "layers"
    BACK = "back"  # final norm, head, loss


@dataclass(frozen=True, slots=True)
class Traced:
    """What each of some equal layers keeps, or what one end of a stack keeps."""

    stack: int  # encoder before decoder
    place: Place
    indices: tuple[int, ...]  # the layers' places in their stack; none for an end
    amounts: Amounts
    counts: Counts  # how many there are of each unit in the step
    parameters: tuple[Weight, ...]  # of one layer
    backward: Alive = NOTHING  # of a layer, at the worst moment of undoing it
    shared: bool = False  # its layers have their parameters in common

    @property
    def elements(self) -> int:
        """Elements of one layer's parameters."""
        return sum(each.elements for each in self.parameters)

    @property
    def count(self) -> int:
        """How many layers there are; the ends of a stack count once."""
        return len(self.indices) or 1

    def distinct(self, layers: int) -> int:
        """How many times the parameters of `layers` of its layers are there."""
        return min(layers, 1) if self.shared else layers

    def times(self, cause: Cause, layers: int) -> int:
        """How many times `layers` of its layers keep what has this cause: casts as often as parameters."""
        return self.distinct(layers) if cause is Cause.CASTS else layers

    def kept(self, layers: int) -> Bytes:
        """Bytes that `layers` of them keep."""
        return sum(
            (
                self.times(cause, layers) * size * self.counts[unit]
                for (cause, unit), size in self.amounts.items()
            ),
            start=0,
        )

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


def trace(model: Model, step: Train, arithmetic: Arithmetic) -> tuple[Traced, ...]:
    """What stays alive from the forward pass, group by group, as if nothing were computed again."""
    traced: list[Traced] = []
    memory: Value | None = None
    for place in range(len(model.stacks)):
        found, out = _stack(model, place, step, arithmetic, memory)
        traced.extend(found)
        memory = Value(out.width, out.size, Unit.SOURCE)
    return tuple(traced)


def _stack(
    model: Model, place: int, step: Train, arithmetic: Arithmetic, memory: Value | None
) -> tuple[list[Traced], Value]:
    """The pieces of a stack and its output; `memory` is the encoder's, for a decoder."""
    stack = model.stacks[place]
    counts = units(model, stack, step)

    def walk() -> Walk:
        causal = stack.role is Kind.DECODER
        return Walk(Tape(memory), arithmetic, step.attention, model.dropout, causal, model.scores_fp32)

    front, back = walk(), walk()
    embed(front, model, place)
    traced = [_end(place, Place.FRONT, front, counts)]
    walked: dict[Layer, Traced] = {}
    for group in stack.groups:
        shape = _shape(group.layer, step)
        if shape not in walked:
            inner = walk()
            layer(inner, shape, Value(model.hidden_size, arithmetic.residual), memory)
            tape = inner.tape
            inside = counts | _masked(counts, _window(shape))
            alive = worst(tape, inside, arithmetic.weight)
            saved, elements = tape.amounts(), tuple(tape.parameters)
            walked[shape] = Traced(place, Place.LAYERS, group.indices, saved, inside, elements, alive)
        traced.append(replace(walked[shape], indices=group.indices, shared=group.shared))
    out = finish(back, model, place, Value(model.hidden_size, arithmetic.residual))
    if place < len(model.stacks) - 1 and not arithmetic.autocast:
        back.tape.save(Cause.ATTENTION, out)  # read by every layer of the decoder, stored once
    traced.append(_end(place, Place.BACK, back, counts))
    return traced, out


def _end(stack: int, place: Place, walk: Walk, counts: Counts) -> Traced:
    return Traced(stack, place, (), walk.tape.amounts(), counts, tuple(walk.tape.parameters))


def _shape(piece: Layer, step: Train) -> Layer:
    """What the walk needs to know of a layer: a window makes a difference to PyTorch's own kernels only."""
    inner = piece.attention
    if step.attention is AttentionKernel.SDPA or not isinstance(inner, Attention) or inner.window is None:
        return piece
    return replace(piece, attention=replace(inner, window=None))


def _window(piece: Layer) -> int | None:
    return piece.attention.window if isinstance(piece.attention, Attention) else None


def _masked(counts: Counts, window: int | None) -> Counts:
    """Tokens with and without a mask: a window is one where the sequence is longer."""
    if window is None:
        return {}
    masked = (counts[Unit.POSITION] > window) * 1
    return {
        Unit.OPEN: counts[Unit.TOKEN] * (1 - masked),
        Unit.MASKED: counts[Unit.TOKEN] * masked,
        Unit.MASKED_PADDED: counts[Unit.PADDED] * masked,
        Unit.MASK: counts[Unit.SCORE] * masked,
    }


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
        Unit.CROSS_PAIR: sequence * source,
    }
