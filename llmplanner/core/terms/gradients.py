"""Gradients: one for each trained element, in the weight's own format, freed before the forward pass."""

from bisect import bisect_right

from llmplanner.core import zero
from llmplanner.core.autograd.tape import FP32, Unit
from llmplanner.core.autograd.trace import Place, Traced
from llmplanner.core.estimate import Part
from llmplanner.core.plan import Full
from llmplanner.core.step import Step, shown
from llmplanner.core.zero import GRADIENTS


def gradients(step: Step) -> list[Part]:
    """All gradients of the device."""
    return [Part("gradients", *held(step, step.parameters, step.trained_bytes))]


def held(step: Step, elements: int, size: int) -> tuple[int, str]:
    """Bytes and formula of the gradients of some parameters, which have `size` bytes together."""
    each = size // elements if elements and size % elements == 0 else f"{FP32} or {step.arithmetic.weight}"
    text = f"{each} B × {elements:,} parameters{zero.told(step, GRADIENTS)}"
    return zero.held(step, size, GRADIENTS), text


def behind(step: Step, group: Traced, layer: int) -> list[Part]:
    """The gradients that are there while one layer is undone: of all layers behind it, and of the head."""
    elements = size = 0
    for each in step.traced:
        if each.stack < group.stack or (each.stack == group.stack and each.place is Place.FRONT):
            continue
        count = each.count
        if each.place is Place.LAYERS and each.stack == group.stack:
            count = len(each.indices) - bisect_right(each.indices, layer)
        elements += each.distinct(count) * each.trained
        size += each.distinct(count) * each.gradients
    if step.model.head.tied and trains_embedding(step):
        table = step.model.token_embedding.rows * step.model.token_embedding.width
        elements, size = elements + table, size + step.arithmetic.weight * table
    return [Part("of the layers behind and the head", *held(step, elements, size))] if elements else []


def trains_embedding(step: Step) -> bool:
    """Whether the token embedding itself is trained."""
    method = step.train.method
    return isinstance(method, Full) and method.frozen_layers == 0


def embedding(step: Step) -> list[Part]:
    """At the very end: a tied embedding's two gradients before they are added, or that of the first layer."""
    table = step.model.token_embedding
    if not step.traced[0].trained and table.rows and not step.train.checkpointing.by_layer:
        return []
    if step.model.head.tied and trains_embedding(step):
        size = step.arithmetic.weight
        text = f"2 × {size} B × {table.rows:,} × {table.width:,}"
        return [Part("gradients of the tied embedding", 2 * size * table.rows * table.width, text)]
    size, tokens = step.arithmetic.residual, step.traced[0].counts[Unit.TOKEN]
    text = f"{size} B × {table.width:,} × {shown(tokens)} tokens"
    name = "gradient of the embedding's output" if table.rows else "gradient of the stage's input"
    return [Part(name, size * table.width * tokens, text)]
