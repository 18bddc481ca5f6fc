"""Memory of one training step on each device: forward and backward pass and the optimizer's step.

Activations and the optimizer's temporaries compete for the peak and never add up: gradients are freed before
the forward pass, activations by the backward pass.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from llmplanner.core import moments
from llmplanner.core.errors import BadInput
from llmplanner.core.estimate import Bytes, DeviceEstimate, Phase, Term
from llmplanner.core.moments import Moment
from llmplanner.core.plan import AttentionKernel, Plan, Precision, Serve
from llmplanner.core.sharding import device_model
from llmplanner.core.step import Step, one_step
from llmplanner.core.terms.runtime import runtime
from llmplanner.core.terms.trained import term


def devices(plan: Plan) -> tuple[DeviceEstimate, ...]:
    """The estimate of every device of the split; all hold the same. Raises BadInput."""
    if isinstance(plan.workload, Serve):
        raise BadInput("Serving has no training step; choose fine-tuning or pre-training.", "task")
    train, count = plan.workload.step, plan.split.devices
    if len(plan.machine.devices) < count:
        have = len(plan.machine.devices)
        raise BadInput(f"The split takes {count} devices, the machine has {have}; divide less.", "count")
    if train.attention is AttentionKernel.FLASH and train.precision is Precision.FP32:
        raise BadInput(
            "FlashAttention computes in 16 bits only; take sdpa or another precision.", "attention"
        )
    step = one_step(device_model(plan.model, plan.split.tensor), train, plan.split)
    beside = runtime(count)
    phases = tuple(Phase(phase.name, (*phase.terms, beside)) for phase in tensors(step))
    return tuple(DeviceEstimate(device.name, phases) for device in plan.machine.devices[:count])


def tensors(step: Step) -> tuple[Phase, ...]:
    """The tensors alive at the worst moment of each phase."""
    return (
        Phase("forward", worst(step, moments.forward(step))),
        Phase("backward", worst(step, moments.backward(step))),
        Phase("step", worst(step, moments.update(step))),
    )


def worst(step: Step, moments: Sequence[Moment]) -> tuple[Term, ...]:
    """The terms of the moment that needs most; of maps, plan by plan."""
    totals = [sum((part.bytes for parts in moment.values() for part in parts), start=0) for moment in moments]
    if all(isinstance(total, int) for total in totals):
        moment = moments[max(range(len(moments)), key=totals.__getitem__)]
        return tuple(term(name, parts, step.split) for name, parts in moment.items() if parts)
    return _worst_of_maps(step, moments, totals)


def _worst_of_maps(step: Step, moments: Sequence[Moment], totals: Sequence[Bytes]) -> tuple[Term, ...]:
    shape = np.broadcast_shapes(*(np.shape(total) for total in totals))
    chosen = np.argmax(np.stack([np.broadcast_to(total, shape) for total in totals]), axis=0)

    def pick(amounts: Iterable[Bytes]) -> Bytes:
        choices = [np.broadcast_to(amount, shape) for amount in amounts]
        return np.take_along_axis(np.stack(choices), chosen[np.newaxis], axis=0)[0].astype(np.int64)

    found = []
    for name in moments[0]:
        terms = [term(name, moment[name], step.split) for moment in moments]
        formula = " or ".join(dict.fromkeys(each.formula for each in terms if each.formula))
        amount, low, high = (pick(getattr(each, side) for each in terms) for side in ("bytes", "low", "high"))
        found.append(Term(name, amount, low, high, formula, terms[0].source))
    return tuple(found)
