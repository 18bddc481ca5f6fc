"""Optimizer state and what its step takes beside it.

Source: state and step of PyTorch 2.13's optimizers, measured tensor by tensor.
"""

from llmplanner.core.estimate import Part
from llmplanner.core.plan import Optimizer
from llmplanner.core.step import Step
from llmplanner.core.zero import OPTIMIZER, share

MOMENTS = {
    Optimizer.ADAMW: 2,
    Optimizer.ADAMW_FUSED: 2,
    Optimizer.ADAMW_LOOP: 2,
    Optimizer.SGD: 0,
    Optimizer.SGD_MOMENTUM: 1,
}
COUNTER = 4  # bytes of a fused step's counter, one a tensor; the others keep theirs in the computer's memory


def state(step: Step) -> list[Part]:
    """Moments in the weight's format."""
    moments, size, split = MOMENTS[step.train.optimizer], step.arithmetic.weight, step.split
    parts = []
    if moments:
        amount = share(moments * size * step.parameters, split.data, split.zero, OPTIMIZER)
        text = f"{moments} × {size} B × {step.parameters:,} parameters{_divided(step)}"
        parts.append(Part("moments", amount, text))
    if step.train.optimizer is Optimizer.ADAMW_FUSED:
        parts.append(Part("step counters", COUNTER * step.tensors, f"{COUNTER} B × {step.tensors:,} tensors"))
    return parts


def temporaries(step: Step) -> list[Part]:
    """What the update makes and drops: foreach AdamW one copy of all weights, the loop two of the largest."""
    size, split = step.arithmetic.weight, step.split
    if step.train.optimizer is Optimizer.ADAMW:
        amount = share(size * step.parameters, split.data, split.zero, OPTIMIZER)
        text = f"{size} B × {step.parameters:,} parameters{_divided(step)}"
        return [Part("all tensors updated at once", amount, text)]
    if step.train.optimizer is Optimizer.ADAMW_LOOP:
        text = f"2 × {size} B × {step.largest:,} elements of the largest tensor"
        return [Part("one tensor's update", 2 * size * step.largest, text)]
    return []


def _divided(step: Step) -> str:
    split = step.split
    return f" / {split.data} devices" if split.zero >= OPTIMIZER and split.data > 1 else ""
