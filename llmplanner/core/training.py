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
from llmplanner.core.estimate import DeviceEstimate, Estimate, Part, Phase, Term, holding
from llmplanner.core.formats import Format
from llmplanner.core.fullest import fullest
from llmplanner.core.moments import Moment
from llmplanner.core.pipeline import passes, waiting
from llmplanner.core.plan import Plan, Precision, Serve, Weights
from llmplanner.core.sharding import check_sharding, device_models, with_context_of_one
from llmplanner.core.step import Step, one_step
from llmplanner.core.terms.activations import activations
from llmplanner.core.terms.runtime import runtime
from llmplanner.core.terms.trained import term

SIXTEEN = 16


def train(plan: Plan) -> Estimate:
    """The estimate of every device of the split, in the machine's order. Raises BadInput."""
    if isinstance(plan.workload, Serve):
        raise BadInput("Serving has no training step; choose fine-tuning or pre-training.", "task")
    step, split = plan.workload.step, plan.split
    if step.attention is AttentionKernel.FLASH and step.precision is Precision.FP32:
        raise BadInput(
            "FlashAttention computes in 16 bits only; take sdpa or another precision.", "attention"
        )
    check_sharding(split)
    step = with_context_of_one(step, split.context, plan.model)
    beside = runtime(split.devices, plan.machine.devices[0].vendor)
    told = partial(_told, plan.weights)
    devices: list[DeviceEstimate] = []
    for place, share in enumerate(device_models(plan.model, split)):
        walked = one_step(share.model, step, split)
        held = passes(split, place, step.accumulation)
        phases = tuple(
            Phase(phase.name, (*map(told, phase.terms), beside)) for phase in tensors(walked, held)
        )
        block = plan.machine.devices[place * share.devices : (place + 1) * share.devices]
        devices.extend(holding(phases, block, share.role))
    return Estimate(tuple(devices))


def _told(stored: Weights, each: Term) -> Term:
    """The term with a word on weights that files hold in fewer bits than are trained."""
    if each.name != "weights" or isinstance(stored, Format) or stored.bits >= SIXTEEN:
        return each
    note = (
        f"Training in full unpacks the {stored.name} weights first: they are not trained as they are stored."
    )
    return replace(each, note=note)


def tensors(step: Step, held: int = 1) -> tuple[Phase, ...]:
    """The tensors alive at the worst moment of each phase; `held`: forward passes that a stage has begun."""
    before = waiting(activations(step), step.split, held) if step.split.pipeline > 1 else []
    return (
        Phase("forward", worst(step, _beside(moments.forward(step), before))),
        Phase("backward", worst(step, _beside(moments.backward(step), before))),
        Phase("step", worst(step, moments.update(step))),
    )


def _beside(moments_: Sequence[Moment], more: list[Part]) -> Sequence[Moment]:
    """The moments with further activations."""
    if not more:
        return moments_
    return [moment | {"activations": [*moment["activations"], *more]} for moment in moments_]


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
