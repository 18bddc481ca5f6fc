"""The moments of a training step that can be its peak: what is alive together, term by term."""

from collections.abc import Sequence
from typing import NamedTuple

from llmplanner.core.autograd.trace import Traced
from llmplanner.core.estimate import Bytes, Part, TermName
from llmplanner.core.plan import Loss
from llmplanner.core.step import Step, shown
from llmplanner.core.terms import activations, communication, gradients, loss, optimizer
from llmplanner.core.terms.master_weights import master_weights
from llmplanner.core.terms.trained import Estimated, weights
from llmplanner.core.zero import GRADIENTS

Terms = dict[TermName, Sequence[Part]]
AT_THE_LOSS = "at the loss"


class Moment(NamedTuple):
    """What is alive at one moment."""

    name: str  # for people: "inside layer 31"
    terms: Terms


def forward(step: Step) -> list[Moment]:
    """The forward pass at its end: everything is kept, and the log-softmax is being written.

    Gradients are freed before it (PyTorch's set_to_none). With checkpointing and few logits, a layer that is
    running can need more; the backward pass then needs more still.
    """
    held = activations.held_output(step)
    casts = step.arithmetic.autocast and not step.arithmetic.gathered
    if casts and step.train.checkpointing.by_layer:
        held.append(activations.cast_weights(step))
    alive: Terms = {
        "activations": activations.activations(step),
        "logits": [*loss.saved(step), *loss.forward(step)],
        "temporaries": held,
        "communication": communication.forward(step),
    }
    moments = [Moment(AT_THE_LOSS, alive), *_passing(step)]
    return [Moment(moment.name, _always(step) | moment.terms) for moment in moments]


def _passing(step: Step) -> list[Moment]:
    """The last layer's largest matrix while DoRA takes its norm; the loss is not yet there."""
    last = step.layers[-1]
    if not last.passing:
        return []
    terms: Terms = {
        "activations": activations.activations(step),
        "logits": (),
        "temporaries": [_norms(last)],
        "communication": communication.forward(step),
    }
    return [Moment(f"inside {_named(step, last, last.indices[-1])}", terms)]


def _norms(group: Traced) -> Part:
    return Part(
        "norms of adapted matrices", group.passing, f"{group.passing:,} B of FP32 copies, one at a time"
    )


def backward(step: Step) -> list[Moment]:
    """The backward pass at the loss, inside the last and the first layer of each group, and at its end."""
    places = (
        (group, layer)
        for group in step.layers
        for layer in sorted({group.indices[0], group.indices[-1]}, reverse=True)
    )
    inside = [_in_layer(step, group, layer) for group, layer in places]
    always = _always(step)
    behind = (_at_the_loss(step), *_in_the_head(step), *_behind_the_layers(step))
    moments = (*behind, *inside, *_at_the_turn(step), _at_the_end(step))
    return [Moment(moment.name, always | moment.terms) for moment in moments]


def update(step: Step) -> list[Moment]:
    """The optimizer's step: all gradients, and what the update makes beside them."""
    alive: Terms = {
        "gradients": gradients.gradients(step),
        "activations": [activations.inputs(step)],
        "temporaries": optimizer.temporaries(step),
        "communication": communication.update(step),
    }
    return [Moment("in the update", _always(step) | alive)]


def _always(step: Step) -> Terms:
    return {
        "weights": weights(step),
        "gradients": _accumulated(step),
        "optimizer": optimizer.state(step),
        "master_weights": master_weights(step),
    }


def _accumulated(step: Step) -> list[Part]:
    """The gradients of the micro-batches before this one, which wait for the step."""
    return gradients.gradients(step) if step.train.accumulation > 1 else []


def _at_the_loss(step: Step) -> Moment:
    """Everything is kept, and the logits have their gradients."""
    alive: Terms = {
        "activations": activations.activations(step),
        "logits": [*loss.saved(step), *loss.backward(step)],
        "temporaries": (),
        "communication": communication.backward(step),
    }
    return Moment(AT_THE_LOSS, alive)


def _in_the_head(step: Step) -> list[Moment]:
    """The log-softmax is gone; the head's matrix has its gradient beside that of the logits."""
    matrix = step.model.head.linear
    trains = gradients.trains_embedding(step) if step.model.head.tied else step.ends[-1].trained
    if step.train.loss is not Loss.WHOLE or matrix is None or not trains:
        return []
    elements, size = matrix.inputs * matrix.outputs, step.arithmetic.weight
    own = Part("of the head", *gradients.held(step, elements, size * elements))
    alive: Terms = {
        "gradients": _accumulated(step) or [own],
        "activations": activations.activations(step),
        "logits": loss.in_the_head(step),
        "temporaries": [],
        "communication": communication.backward(step),
    }
    return [Moment("in the head", alive)]


def _behind_the_layers(step: Step) -> list[Moment]:
    """The final norm is being undone; where logits are never there as a whole this can be the peak."""
    back = step.ends[-1]
    if step.train.loss is not Loss.FUSED:
        return []
    every = max(index for group in step.layers for index in group.indices) + 1
    here = Part(
        "of the final norm", back.backward.saved, f"{shown(back.backward.saved)} B at its worst operation"
    )
    terms: Terms = {
        "gradients": _accumulated(step) or [Part("of the head", back.backward.gradients, "if it is trained")],
        "activations": [*activations.before(step, back, every), here, activations.inputs(step)],
        "logits": (),
        "temporaries": [_on_their_way(back.backward.flowing)],
        "communication": communication.backward(step),
    }
    return [Moment("behind the last layer", terms)]


def _in_layer(step: Step, group: Traced, layer: int) -> Moment:
    """One layer is being undone: those behind it have their gradients, those before it their activations."""
    alive = group.backward
    here = Part(
        "of the layer", alive.saved, f"{shown(alive.saved)} B of layer {layer}, at its worst operation"
    )
    terms: Terms = {
        "gradients": _accumulated(step)
        or [*gradients.behind(step, group, layer), *_own_gradients(step, group, layer)],
        "activations": [*activations.before(step, group, layer), here, activations.inputs(step)],
        "logits": loss.held(step),
        "temporaries": [_on_their_way(alive.flowing)],
        "communication": communication.backward(step),
    }
    return Moment(f"inside {_named(step, group, layer)}", terms)


def _named(step: Step, group: Traced, layer: int) -> str:
    """A layer as people call it."""
    several = len(step.model.stacks) > 1
    return f"layer {layer}" + (f" of the {step.model.stacks[group.stack].role}" if several else "")


def _own_gradients(step: Step, group: Traced, layer: int) -> list[Part]:
    """The layer's own; before they are divided, ZeRO 2 and 3 have them in `communication`.

    Parameters in common have theirs from the last layer on, and every other one adds to them.
    """
    divided = step.split.zero >= GRADIENTS and step.split.parts_with_gradients
    made = group.backward.gradients
    if divided or (group.shared and layer < group.indices[-1]) or (isinstance(made, int) and not made):
        return []
    return [Part("of the layer", made, f"{shown(made)} B of the parameters that are done")]


def _at_the_turn(step: Step) -> list[Moment]:
    """Between decoder and encoder: the decoder's gradients, and a tied embedding's before they are added."""
    encoder = step.traced[-1].stack - 1
    if encoder < 0 or not step.model.head.tied:
        return []
    last = [group for group in step.layers if group.stack == encoder][-1]
    end = max(last.indices) + 1
    terms: Terms = {
        "gradients": _accumulated(step) or gradients.behind(step, last, end),
        "activations": [*activations.before(step, last, end), activations.inputs(step)],
        "logits": loss.held(step),
        "temporaries": gradients.embedding(step),
        "communication": communication.backward(step),
    }
    return [Moment("between decoder and encoder", terms)]


def _on_their_way(flowing: Bytes) -> Part:
    """Gradients inside a layer. Of 60 peaks measured there, nine in ten lie within half of them."""
    text = f"{shown(flowing)} B of values, at the layer's worst operation"
    return Estimated("gradients on their way", flowing, text, flowing // 2, flowing + flowing // 2)


def _at_the_end(step: Step) -> Moment:
    """All gradients are there, and the embedding's before they are added."""
    terms: Terms = {
        "gradients": gradients.gradients(step),
        "activations": [activations.inputs(step)],
        "logits": loss.held(step),
        "temporaries": gradients.embedding(step),
        "communication": communication.backward(step),
    }
    return Moment("at the end", terms)
