"""The walk of a whole model: what one layer of each group keeps, and what the ends of its stacks keep."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple

from llmplanner.core.autograd.backward import NOTHING, Alive, moments, worst
from llmplanner.core.autograd.layers import embed, finish, positions
from llmplanner.core.autograd.tape import Amounts, Arithmetic, Cause, Tape, Unit, Value, Weight
from llmplanner.core.autograd.walk import Walk
from llmplanner.core.autograd.walked import Memory, Walked, walked
from llmplanner.core.engine import AttentionKernel
from llmplanner.core.estimate import Bytes
from llmplanner.core.model import Attention, Kind, Layer, LayerGroup, Model, Stack
from llmplanner.core.plan import Checkpointing, Count, Full, Loss, Train

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
    remembers: Bytes = 0  # of a layer, what operation-level checkpointing does not compute again
    passing: int = 0  # bytes that a layer's forward pass makes and drops, however many tokens there are

    @property
    def elements(self) -> int:
        """Elements of one layer's parameters, trained or not."""
        return sum(each.elements for each in self.parameters)

    @property
    def trained(self) -> int:
        """Elements of one layer's trained parameters."""
        return sum(each.elements for each in self.parameters if each.trained)

    @property
    def gradients(self) -> int:
        """Bytes of their gradients."""
        return sum(each.bytes for each in self.parameters if each.trained)

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
        memory.grad = out.grad
    return tuple(traced)


def _stack(
    model: Model, place: int, step: Train, arithmetic: Arithmetic, memory: Value | None
) -> tuple[list[Traced], Value]:
    """The pieces of a stack and its output; `memory` is the encoder's, for a decoder."""
    tower = _Tower(model, place, step, arithmetic, memory)
    front, back = tower.walk(trained=tower.cut == 0), tower.walk(trained=True)
    spans, flows = tower.spans(flows=embed(front, model, place).grad)
    positions(front, model, place, flows=flows)
    groups = [
        replace(
            tower.layer(span.group.layer, trained=span.trained, flows=span.flows)[0],
            indices=span.indices,
            shared=span.group.shared,
        )
        for span in spans
    ]
    if memory is not None and tower.reads_memory:
        front.tape.keep(Cause.ATTENTION, memory.width, memory.size, Unit.SOURCE)
    hidden = Value(model.hidden_size, arithmetic.residual, back.between)
    hidden.grad = flows
    out = finish(back, model, place, hidden)
    ends = (
        _end(place, where, walk, tower.counts) for where, walk in ((Place.FRONT, front), (Place.BACK, back))
    )
    return [next(ends), *groups, next(ends)], out


class _Span(NamedTuple):
    """Layers of a group that are alike in what is trained."""

    group: LayerGroup
    indices: tuple[int, ...]
    trained: bool = True
    flows: bool = True  # a gradient flows into their input


class _Tower:
    """One stack, walked a layer of each kind at a time."""

    def __init__(
        self, model: Model, place: int, step: Train, arithmetic: Arithmetic, memory: Value | None
    ) -> None:
        """`place`: of the stack among the model's."""
        self._model, self._place, self._step = model, place, step
        self._arithmetic, self._memory = arithmetic, memory
        self._stack = model.stacks[place]
        self._traced: dict[tuple[Layer, bool, bool], tuple[Traced, bool]] = {}
        self.counts = units(model, self._stack, step)
        self.counts[Unit.SLICE] = -(-self.counts[Unit.TOKEN] // arithmetic.slices)
        frozen = step.method.frozen_layers if isinstance(step.method, Full) else 0
        self.cut = max(frozen - sum(each.depth for each in model.stacks[:place]), 0)  # layers that are frozen
        self.reads_memory = step.checkpointing.by_layer  # as an argument of every layer

    def walk(self, *, trained: bool, prefix: str = "") -> Walk:
        """A walk on a new tape."""
        model, step = self._model, self._step
        return Walk(
            Tape(self._memory),
            self._arithmetic,
            step.attention,
            model.dropout,
            causal=self._stack.role is Kind.DECODER,
            scores_fp32=model.scores_fp32,
            trained=trained and isinstance(step.method, Full),
            method=step.method,
            checkpointed=step.checkpointing.by_layer,
            loss=step.loss,
            core_again=step.checkpointing is Checkpointing.SELECTIVE,
            padded=step.padded,
            kernels=step.kernels,
            prefix=prefix,
        )

    def layer(self, piece: Layer, *, trained: bool, flows: bool) -> tuple[Traced, bool]:
        """A layer as it is walked, and whether a gradient flows into what it makes."""
        key = (_shape(piece, self._step), trained, flows)
        if key not in self._traced:
            about, memory = self.walk(trained=trained, prefix=self._stack.prefix), self._memory
            encoded = memory and Memory(memory.width, memory.size, memory.grad)
            found = walked(key[0], about, self._model.hidden_size, encoded, flows=flows)
            inside = self.counts | _masked(self.counts, _window(key[0])) | _chunks(self.counts, key[0])
            self._traced[key] = _one(self._place, found, inside), found.flows
            self.reads_memory |= found.reads_memory
        return self._traced[key]

    def spans(self, *, flows: bool) -> tuple[list[_Span], bool]:
        """The groups, cut where training and where gradients begin; whether these reach the end.

        `flows`: a gradient flows into the first layer. Layers that share their parameters stay together.
        """
        groups = self._stack.groups
        if flows and not self.cut:
            return [_Span(group, group.indices) for group in groups], flows
        found: dict[tuple[int, bool, bool], list[int]] = {}
        order = [(index, number) for number, group in enumerate(groups) for index in group.indices]
        for index, number in sorted(order):
            group = groups[number]
            trained = (group.indices[-1] if group.shared else index) >= self.cut
            into = flows or group.shared
            if (number, trained, into) not in found:
                found[number, trained, into] = []
                flows = flows or self.layer(group.layer, trained=trained, flows=False)[1]
            found[number, trained, into].append(index)
        spans = (
            _Span(groups[number], tuple(indices), trained, into)
            for (number, trained, into), indices in sorted(found.items())
        )
        return [*spans], flows


def _one(place: int, found: Walked, counts: Counts) -> Traced:
    return Traced(
        place,
        Place.LAYERS,
        (),
        found.amounts,
        counts,
        found.parameters,
        worst(found.moments, counts),
        remembers=sum((each.bytes * counts[each.unit] for each in found.remembered), start=0),
        passing=found.passing,
    )


def _end(stack: int, place: Place, walk: Walk, counts: Counts) -> Traced:
    alive = worst(moments(walk.tape), counts) if walk.loss is Loss.FUSED and place is Place.BACK else NOTHING
    return Traced(stack, place, (), walk.tape.amounts(), counts, tuple(walk.tape.parameters), alive)


def _shape(piece: Layer, step: Train) -> Layer:
    """What the walk needs to know of a layer: a window makes a difference to PyTorch's own kernels only."""
    inner = piece.attention
    if step.attention is AttentionKernel.SDPA or not isinstance(inner, Attention) or inner.window is None:
        return piece
    return replace(piece, attention=replace(inner, window=None))


def _window(piece: Layer) -> int | None:
    return piece.attention.window if isinstance(piece.attention, Attention) else None


def _masked(counts: Counts, window: int | None) -> Counts:
    """Tokens with and without a mask: a window is one where the sequence is as long."""
    if window is None:
        return {}
    masked = (counts[Unit.POSITION] >= window) * 1
    return {
        Unit.OPEN: counts[Unit.TOKEN] * (1 - masked),
        Unit.MASKED: counts[Unit.TOKEN] * masked,
        Unit.MASKED_PADDED: counts[Unit.PADDED] * masked,
        Unit.MASK: counts[Unit.SCORE] * masked,
    }


def _chunks(counts: Counts, piece: Layer) -> Counts:
    """Whole chunks of a recurrent layer, and the tokens in them."""
    if piece.recurrent is None or piece.recurrent.scan is None:
        return {}
    size, batch = piece.recurrent.scan.chunk, counts[Unit.SEQUENCE]
    sequence = counts[Unit.POSITION]
    chunks = (sequence + size - 1) // size
    tokens, whole = chunks * size * batch, (sequence % size == 0) * 1
    single = (chunks == 1) * 1
    alone = single * (batch == 1)
    return {
        Unit.CHUNKED: tokens,
        Unit.ALONE: tokens * alone,
        Unit.LAID: tokens * (1 - alone),
        Unit.SEVERAL: tokens * (1 - single),
        Unit.WHOLE: tokens * whole,
        Unit.LINKED: (chunks - 1) * size * batch,
        Unit.CHUNK: chunks * batch,
        Unit.LINK: (chunks - 1) * batch,
        Unit.CHUNK_PAIR: (chunks + 1) * (chunks + 1) * batch,
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
        Unit.BATCHED_SCORE: tokens * sequence * (1 - single),
        Unit.PAIR: sequence * sequence,
        Unit.PADDED: (sequence + 31) // 32 * 32 * batch,
        Unit.POSITION: sequence,
        Unit.SEQUENCE: batch,
        Unit.ONCE: 1,
        Unit.SOURCE: source * batch,
        Unit.CROSS: tokens * source,
        Unit.CROSS_PAIR: sequence * source,
    }
