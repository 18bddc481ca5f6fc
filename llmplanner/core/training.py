"""Memory of one training step on each device: forward and backward pass and the optimizer's step.

Activations and the optimizer's temporaries compete for the peak and never add up: gradients are freed before
the forward pass, activations by the backward pass.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from llmplanner.core import moments
from llmplanner.core.engine import AttentionKernel
from llmplanner.core.errors import BadInput
from llmplanner.core.estimate import Estimate, Phase, Term, holding
from llmplanner.core.formats import Format
from llmplanner.core.fullest import fullest
from llmplanner.core.moments import Moment
from llmplanner.core.plan import Plan, Precision, Serve, Weights
from llmplanner.core.sharding import device_model
from llmplanner.core.step import Step, one_step
from llmplanner.core.terms.runtime import runtime
from llmplanner.core.terms.trained import term

SIXTEEN = 16


def train(plan: Plan) -> Estimate:
    """The estimate of every device of the split; all hold the same. Raises BadInput."""
    if isinstance(plan.workload, Serve):
        raise BadInput("Serving has no training step; choose fine-tuning or pre-training.", "task")
    step, count = plan.workload.step, plan.split.devices
    if step.attention is AttentionKernel.FLASH and step.precision is Precision.FP32:
        raise BadInput(
            "FlashAttention computes in 16 bits only; take sdpa or another precision.", "attention"
        )
    walked = one_step(device_model(plan.model, plan.split.tensor), step, plan.split)
    beside = runtime(count, plan.machine.devices[0].vendor)
    told = partial(_told, plan.weights)
    phases = tuple(Phase(phase.name, (*map(told, phase.terms), beside)) for phase in tensors(walked))
    return Estimate(holding(phases, plan.machine.devices[:count]))


def _told(stored: Weights, each: Term) -> Term:
    """The term with a word on weights that files hold in fewer bits than are trained."""
    if each.name != "weights" or isinstance(stored, Format) or stored.bits >= SIXTEEN:
        return each
    note = (
        f"Training in full unpacks the {stored.name} weights first: they are not trained as they are stored."
    )
    return replace(each, note=note)


def tensors(step: Step) -> tuple[Phase, ...]:
    """The tensors alive at the worst moment of each phase."""
    return (
        Phase("forward", worst(step, moments.forward(step))),
        Phase("backward", worst(step, moments.backward(step))),
        Phase("step", worst(step, moments.update(step))),
    )


def worst(step: Step, moments: Sequence[Moment]) -> tuple[Term, ...]:
    """The terms of the moment that needs most; of maps, plan by plan."""
    if len(moments) == 1:
        return _terms(step, moments[0])
    totals = [sum((part.bytes for parts in moment.values() for part in parts), start=0) for moment in moments]
    if all(isinstance(total, int) for total in totals):
        return _terms(step, moments[max(range(len(moments)), key=totals.__getitem__)])
    names = [name for name in moments[0] if any(moment[name] for moment in moments)]
    return fullest([[term(name, moment[name], step) for name in names] for moment in moments])


def _terms(step: Step, moment: Moment) -> tuple[Term, ...]:
    return tuple(term(name, parts, step) for name, parts in moment.items() if parts)
