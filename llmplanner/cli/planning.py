"""From the command line to an estimate: the plan, the model and the machine that its names stand for."""

import argparse
from dataclasses import dataclass, replace

from llmplanner import compose
from llmplanner.cli.machines import probe_for
from llmplanner.cli.plan_options import Stated, stated
from llmplanner.core.engine import LlamaCpp
from llmplanner.core.estimate import Estimate
from llmplanner.core.estimating import estimate
from llmplanner.core.machine import Machine
from llmplanner.core.model import Model
from llmplanner.core.plan import FULL, Adapters, Full, Offload, Plan, Serve, Sharding
from llmplanner.gpus.local import Probe
from llmplanner.plans import Draft, precision_of


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan put together, and what it needs. `probe` is the look at this computer, where one was taken.

    `ignored` are the fields that were typed and on which the estimate does not depend.
    """

    draft: Draft
    plan: Plan
    estimate: Estimate
    probe: Probe | None
    ignored: tuple[str, ...] = ()

    @property
    def local(self) -> Machine | None:
        """This computer's machine, where it was looked at."""
        return self.probe.machine if self.probe is not None else None


def planned(arguments: argparse.Namespace, otherwise: Draft | None = None) -> Planned:
    """The plan that the arguments state, estimated; `otherwise` where they name no model. Raises BadInput."""
    return planned_from(stated(arguments, otherwise))


def planned_from(said: Stated) -> Planned:
    """A stated plan, estimated. Raises BadInput."""
    model = compose.model_of(said.draft, said.access)
    draft = _within_model(said, model)
    probe = probe_for(draft)
    machine = compose.machine_named(draft, probe.machine if probe is not None else None)
    plan = compose.plan_of(draft, model, machine)
    return Planned(draft, plan, estimate(plan), probe, (*said.ignored, *_idle(said, plan)))


def _idle(said: Stated, plan: Plan) -> tuple[str, ...]:
    """What was typed of a training step's split though there is nothing to divide."""
    if isinstance(plan.workload, Serve):
        return ()
    split = plan.split
    buffers = split.sharding is Sharding.DEEPSPEED  # which it has on one GPU too
    divides = split.replicas > 1 or split.offload is not Offload.NONE or buffers
    idle = {
        "zero": said.draft.zero > 0 and not divides,
        "sequence_parallel": said.draft.sequence_parallel and split.tensor == 1,
    }
    return tuple(name for name, on in idle.items() if on and name in said.typed)


def _within_model(said: Stated, model: Model) -> Draft:
    """The draft with lengths that nobody stated brought within what the model was built for."""
    draft, longest = said.draft, model.context_length
    if longest is None:
        return draft
    if "context" not in said.fields and draft.context > longest:
        draft = replace(draft, context=longest)
    if "sequence" not in said.fields and draft.sequence > longest:
        draft = replace(draft, sequence=longest)
    return draft


def title(found: Planned) -> str:
    """The plan in one line."""
    draft, plan = found.draft, found.plan
    if draft.task == "serve":
        kv = f", {draft.kv.upper()} KV cache" if draft.kv else ""
        what = (
            f"served in {plan.weights.name}{kv}, {draft.context:,} tokens of context, "
            f"{draft.batch:,} {'sequence' if draft.batch == 1 else 'sequences'} at once"
        )
    else:
        verb = "fine-tuned" if draft.task == "finetune" else "pre-trained"
        what = (
            f"{verb}{_method(plan)} in {precision_of(draft)} with {draft.optimizer}, "
            f"{draft.micro_batch:,} × {draft.sequence:,} tokens per GPU, "
            f"{draft.attention} attention, checkpointing {draft.checkpointing}"
        )
    return f"{plan.model.name} {what}, on {_machine(found)}"


def _method(plan: Plan) -> str:
    """What is trained, where it is not the whole model."""
    method = FULL if isinstance(plan.workload, Serve) else plan.workload.step.method
    if isinstance(method, Full):
        return f", {method.frozen_layers:,} layers frozen," if method.frozen_layers else ""
    if isinstance(method, Adapters):
        return f" by adapters of width {method.width:,}"
    base = f" on {plan.weights.name}" if method.quantized else ""
    return f" by {'DoRA' if method.dora else 'QLoRA' if base else 'LoRA'} of rank {method.rank:,}{base}"


def remarks(found: Planned) -> list[str]:
    """What is to be known of the plan beside its title, a sentence each."""
    note = found.plan.model.note
    return [*([note] if note else []), *without_effect(found.ignored)]


def without_effect(ignored: tuple[str, ...]) -> list[str]:
    """The sentence on fields that were typed for nothing, where there are any."""
    return [f"Without effect on this answer: {', '.join(ignored)}."] if ignored else []


def _tensor(plan: Plan) -> str:
    if isinstance(plan.engine, LlamaCpp):
        return "shares of the layers"
    return "tensor and sequence parallel" if plan.split.sequence_parallel else "tensor parallel"


def _machine(found: Planned) -> str:
    split, devices = found.plan.split, found.plan.machine.devices
    parts = (
        (split.data, "data parallel"),
        (split.tensor, _tensor(found.plan)),
        (split.pipeline, "pipeline stages"),
        (split.context, "context parallel"),
        (split.expert, "expert parallel"),
    )
    ways = [f"{size:,} {name}" for size, name in parts if size > 1]
    within = f" in groups of {split.group:,}" if split.group else ""
    ways += [f"ZeRO {split.zero}{within}"] if split.zero else []
    how = f" ({', '.join(ways)})" if ways else ""
    name = devices[0].name if found.probe is None or found.probe.devices else "GPU of this computer"
    return f"{split.devices:,} × {name}{how}" if split.devices > 1 else name
