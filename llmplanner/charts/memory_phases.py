"""One device's phases in their order in time, each at its worst moment; the peak is named."""

from msgspec.structs import replace

from llmplanner.charts.figure import Axis, Figure
from llmplanner.charts.memory_bars import (
    AXIS,
    PHASES,
    SOURCE,
    Row,
    bar,
    limits,
    rows_of,
    when,
    workload,
)
from llmplanner.core.estimate import Estimate, Phase
from llmplanner.core.plan import Plan, Serve
from llmplanner.core.quantities import gib_text
from llmplanner.core.verdict import DOING, Verdict, verdict


def phases_figure(
    plan: Plan, estimate: Estimate, judged: Verdict | None = None, place: int | None = None
) -> Figure:
    """A bar for each phase of the device at `place`; None: the one with the least room."""
    judged = judged or verdict(plan, estimate)
    row = at(plan, estimate, place)
    peak = row.need.peak
    names = tuple(f"{number}. {PHASES[phase.name]}" for number, phase in enumerate(row.need.phases, 1))
    on = row.part or row.device.name
    over = "Serving" if isinstance(plan.workload, Serve) else "A training step of"
    bars = (
        replace(bar(name, phase, row.device, place=row.place, role=row.need.role), label=_total(phase, peak))
        for name, phase in zip(names, row.need.phases, strict=True)
    )
    return Figure(
        name="memory-phases",
        title=f"{over} {plan.model.name} on {on}, phase by phase",
        x=AXIS,
        y=Axis("", "category", names=names),
        marks=(*bars, *limits([row.device], judged)),
        subtitle=f"{workload(plan)}. {peak_words(peak)}",
        source=SOURCE,
        description=f"{peak_words(peak)} "
        + " ".join(f"{gib_text(int(phase.bytes))} {when(phase)}." for phase in row.need.phases),
    )


def at(plan: Plan, estimate: Estimate, place: int | None) -> Row:
    """The device at a place, with those that are alike; None: the one with the least room."""
    rows = rows_of(plan, estimate, apart=False)
    if place is None or place >= len(estimate.devices):
        return rows[0]
    wanted = estimate.devices[place], plan.machine.devices[place]
    return next(row for row in rows if (row.need, row.device) == wanted)


def peak_words(peak: Phase) -> str:
    """Which phase is the peak, and where in it: in the backward pass, at the loss."""
    return f"Peak: {', '.join(filter(None, (DOING[peak.name], peak.moment)))}."


def _total(phase: Phase, peak: Phase) -> str:
    """The bar's sum; the peak says that it is one, and every phase its moment."""
    said = (gib_text(int(phase.bytes)), "peak" if phase is peak else "", phase.moment)
    return " · ".join(filter(None, said))
