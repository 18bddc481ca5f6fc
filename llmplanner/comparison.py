"""The same plan under another engine, method or precision: what is looked at side by side."""

from dataclasses import replace
from typing import Any

from llmplanner.charts.memory_rivals import Rival
from llmplanner.compose import machine_named, plan_of
from llmplanner.core.errors import BadInput
from llmplanner.core.estimating import estimate
from llmplanner.core.machine import Machine
from llmplanner.core.model import Model
from llmplanner.plan_fields import CACHES, FIELDS, used
from llmplanner.plans import Draft

AS_THEY_COME = Draft()
SIZES = ("dp", "tp", "pp", "cp", "ep")
STEERS = ("task", "engine", "method")  # which fields are used follows from these
COMPARED = {"serve": "engine", "finetune": "method", "pretrain": "precision"}  # by task


def compared(draft: Draft) -> str:
    """The field whose values are set side by side for such a plan."""
    return COMPARED[draft.task]


def answered(draft: Draft, model: Model, local: Machine | None, value: str) -> Rival:
    """The plan with that value of the compared field."""
    entries: dict[str, Any] = {compared(draft): value}
    other = replace(draft, **(adapted(draft, compared(draft), value) | entries))
    try:
        plan = plan_of(other, model, machine_named(other, local))
        return Rival(value, plan, estimate(plan))
    except BadInput as error:
        return Rival(value, refusal=str(error))


def each(draft: Draft, model: Model, local: Machine | None) -> tuple[Rival, ...]:
    """The plan with every value of the compared field, the plan's own first."""
    name = compared(draft)
    own = getattr(draft, name)
    others = (value for value in FIELDS[name].choices if value != own)
    return tuple(answered(draft, model, local, value) for value in (own, *others))


def adapted(draft: Draft, name: str, value: str) -> dict[str, Any]:
    """What else has to change with the task, the engine or the method, so that the plan can be answered.

    A split that is not used there goes back to one GPU each, and a KV cache in what the engine does not
    keep to its own format.
    """
    if name not in STEERS:
        return {}
    task, engine, method = (value if each == name else getattr(draft, each) for each in STEERS)
    known = used(task, engine, method)
    entries: dict[str, Any] = {
        size: getattr(AS_THEY_COME, size)
        for size in SIZES
        if size not in known and getattr(draft, size) != getattr(AS_THEY_COME, size)
    }
    if entries:
        entries["count"] = None
    kept = (None, *CACHES[engine])
    return entries | {each: None for each in ("kv", "kv_values") if getattr(draft, each) not in kept}
