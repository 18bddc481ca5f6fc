"""What devices hold to talk to each other, by published figures and documented defaults; not measured."""

from llmplanner.core.estimate import Part
from llmplanner.core.step import Step
from llmplanner.core.terms.trained import Estimated
from llmplanner.core.zero import GRADIENTS

MB = 10**6


def buckets(step: Step) -> list[Part]:
    """DistributedDataParallel copies gradients into buckets; as views of them they take nothing more."""
    split = step.split
    if split.data == 1 or split.zero > 1:
        return []
    amount = step.trained_bytes
    text = f"{amount:,} B of {step.parameters:,} gradients in buckets of 25 MB"
    return [Estimated("gradient buckets", amount, text, 0, amount + 25 * MB)]


def gathered(step: Step) -> list[Part]:
    """ZeRO 3: the weights of the layer in use, of the next one, and of what stands outside the layers.

    They are gathered in the format computed in, and a layer's freed when it is done (Zhao et al. 2023,
    arXiv:2304.11277, sections 3 and 4).
    """
    if not step.arithmetic.gathered:
        return []
    size, layer, root = step.arithmetic.operand, unit(step), outside(step)
    text = f"{size} B × (2 × {layer:,} of a layer + {root:,} outside the layers)"
    amount = size * (2 * layer + root)
    return [Estimated("gathered weights", amount, text, size * layer, amount + size * layer)]


def reduced(step: Step) -> list[Part]:
    """ZeRO 2 and 3: one layer's whole gradient before it is summed and divided, in its weight's format."""
    if step.split.zero < GRADIENTS or step.split.data == 1:
        return []
    arithmetic, layer, root = step.arithmetic, unit(step), outside(step)
    size = arithmetic.operand if arithmetic.gathered else arithmetic.weight
    text = f"{size} B × {max(layer, root):,} parameters, the most of a layer or of what stands outside"
    largest = size * max(layer, root)
    return [Estimated("gradients before they are divided", largest, text, size * layer, 2 * largest)]


def unit(step: Step) -> int:
    """Parameters of the largest layer, which is what FSDP gathers at once."""
    return max(each.elements for each in step.layers)


def outside(step: Step) -> int:
    """Parameters outside the layers: embeddings, final norm, head."""
    return sum(each.elements for each in step.ends)
