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
from llmplanner.core.estimate import Estimate, Part, Phase, PhaseName, Term, placed
from llmplanner.core.formats import Format
from llmplanner.core.fullest import fullest
from llmplanner.core.moments import AT_THE_LOSS, Moment, Terms
from llmplanner.core.offload import host
from llmplanner.core.pipeline import in_flight, passes, waiting
from llmplanner.core.plan import Full, Loss, Plan, Precision, Pretrain, Serve, Weights
from llmplanner.core.sharding import check_sharding, device_models, with_context_of_one
from llmplanner.core.step import Step, one_step
from llmplanner.core.terms.activations import activations
from llmplanner.core.terms.fragmentation import fragments, lays_flat
from llmplanner.core.terms.runtime import runtime
from llmplanner.core.terms.trained import term

SIXTEEN = 16
HEADLESS = {AT_THE_LOSS: "between the passes"}  # of a model, or a stage, that has no loss
EXPERTS = "It also has routed experts in 16 bits: bitsandbytes quantizes linears alone (Transformers 5.23)."
UPCAST = (
    "The upper bound is what prepare_model_for_kbit_training (PEFT) makes of it: all that is not quantized "
    "in FP32."
)


def train(plan: Plan) -> Estimate:
    """The estimate of every device of the split, in the machine's order. Raises BadInput."""
    if isinstance(plan.workload, Serve):
        raise BadInput("Serving has no training step; choose fine-tuning or pre-training.", "task")
    step, split = plan.workload.step, plan.split
    if step.attention is AttentionKernel.FLASH and step.precision is Precision.FP32:
        raise BadInput(
            "FlashAttention computes in 16 bits only; take sdpa or another precision.", "attention"
        )
    if step.loss is Loss.FUSED and not plan.model.head.loss_fp32:
        raise BadInput(
            f"Liger's fused loss is written for decoders and their FP32 loss, not for {plan.model.name}; "
            "take whole or chunked.",
            "loss",
        )
    check_sharding(split)
    step = with_context_of_one(step, split.context, plan.model)
    shares = device_models(plan.model, split)
    begins = isinstance(plan.workload, Pretrain)
    walked = (one_step(share.model, step, split, plan.weights) for share in shares)
    steps = [replace(each, from_nothing=True) for each in walked] if begins else list(walked)
    begun = [passes(split, place, step.accumulation) for place in range(len(shares))]
    blocks = (
        (share.role + in_flight(split, held), _phases(plan, each, held), share.devices)
        for share, each, held in zip(shares, steps, begun, strict=True)
    )
    return Estimate(placed(blocks, plan.machine.devices), host(steps))


def _phases(plan: Plan, step: Step, held: int) -> tuple[Phase, ...]:
    """The phases of one device; `held`: forward passes that it has begun."""
    alive = tensors(step, held)
    reserved = fragments(alive, varied=False, flat=lays_flat(step.split))
    if step.train.padded:  # of varied lengths: given back before the card is full, so no need but a bound
        varied = fragments(alive, varied=True, flat=lays_flat(step.split))
        reserved = reserved._replace(high=varied.high, source=varied.source)
    beside = runtime(plan.split.devices, plan.machine.devices[0].vendor, reserved, plan.runtime)
    told = partial(_told, step, plan.weights)
    return tuple(replace(phase, terms=(*map(told, phase.terms), beside)) for phase in alive)


def _told(step: Step, stored: Weights, each: Term) -> Term:
    """The term with a word on weights that files hold in fewer bits than are trained."""
    if each.name != "weights" or isinstance(stored, Format) or stored.bits >= SIXTEEN:
        return each
    if step.base is not None:
        words = (UPCAST if step.base.wide else "", EXPERTS if step.base.unpacked else "")
        return replace(each, note=" ".join(filter(None, words)))
    way = "in full" if isinstance(step.train.method, Full) else "with adapters in this way"
    note = f"Training {way} unpacks the {stored.name} weights first: they are not trained as they are stored."
    return replace(each, note=note)


def tensors(step: Step, held: int = 1) -> tuple[Phase, ...]:
    """The tensors alive at the worst moment of each phase; `held`: forward passes that a stage has begun."""
    before = waiting(activations(step), step.split, held) if step.split.pipeline > 1 else []
    return (
        worst(step, "forward", _on_stage(step, moments.forward(step), before)),
        worst(step, "backward", _on_stage(step, moments.backward(step), before)),
        worst(step, "step", moments.update(step)),
    )


def _on_stage(step: Step, moments_: Sequence[Moment], waiting_: list[Part]) -> Sequence[Moment]:
    """The moments with what micro-batches in flight keep, and without logits where there is no head."""
    if not waiting_ and step.model.head.linear is not None:
        return moments_
    logits: Terms = {} if step.model.head.linear is not None else {"logits": ()}
    return [
        Moment(
            HEADLESS.get(name, name) if logits else name,
            terms | logits | {"activations": [*terms["activations"], *waiting_]},
        )
        for name, terms in moments_
    ]


def worst(step: Step, phase: PhaseName, moments: Sequence[Moment]) -> Phase:
    """The moment of a phase that needs most; of maps, plan by plan, and so of no one name."""
    if len(moments) == 1:
        return Phase(phase, _terms(step, moments[0].terms), moments[0].name)
    totals = [
        sum((part.bytes for parts in moment.terms.values() for part in parts), start=0) for moment in moments
    ]
    if all(isinstance(total, int) for total in totals):
        most = moments[max(range(len(moments)), key=totals.__getitem__)]
        return Phase(phase, _terms(step, most.terms), most.name)
    names = [name for name in moments[0].terms if any(moment.terms[name] for moment in moments)]
    each = [[term(name, moment.terms[name], step) for name in names] for moment in moments]
    return Phase(phase, fullest(each))


def _terms(step: Step, moment: Terms) -> tuple[Term, ...]:
    return tuple(term(name, parts, step) for name, parts in moment.items() if parts)
