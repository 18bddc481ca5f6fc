"""The memory of each device as a stacked bar, against its card and what the verdict counts as available."""

from collections.abc import Sequence

from llmplanner.charts.figure import Axis, Figure
from llmplanner.charts.memory_bars import (
    AXIS,
    MOST_DEVICES,
    SOURCE,
    Row,
    bar,
    limits,
    names_of,
    rows_of,
    spoken,
    when,
    where,
    workload,
)
from llmplanner.core.estimate import Estimate
from llmplanner.core.plan import Plan
from llmplanner.core.quantities import gib_text
from llmplanner.core.verdict import Verdict, verdict


def memory_figure(plan: Plan, estimate: Estimate, judged: Verdict | None = None) -> Figure:
    """One bar for each device, that with the least room first; terms of the peak phase.

    Of more devices than can be read, those alike share a bar; so do those with the same part of the whole.

    `judged` is the plan's verdict, where it is at hand; the limit that it goes by takes its colour.
    """
    judged = judged or verdict(plan, estimate)
    count = len(estimate.devices)
    apart = count <= MOST_DEVICES and not estimate.devices[0].role
    ordered = rows_of(plan, estimate, apart=apart)
    shown = ordered[:MOST_DEVICES]
    names = (f"each of {count:,} GPUs",) if count > 1 and len(ordered) == 1 else names_of(shown)
    doing = dict.fromkeys(when(row.need.peak) for row in shown)
    return Figure(
        name="memory",
        title=f"Memory of {plan.model.name} on {where(plan)}",
        x=AXIS,
        y=Axis("", "category", names=names),
        marks=(
            *(
                bar(name, row.need.peak, row.device, place=row.place, role=row.need.role)
                for name, row in zip(names, shown, strict=True)
            ),
            *limits([row.device for row in shown], judged),
        ),
        subtitle=f"{workload(plan)}, {' and '.join(doing)}",
        source=SOURCE,
        description=f"{judged.message} " + " ".join(spoken(row) for row in shown),
        note=_left_out(ordered[MOST_DEVICES:]),
    )


def _left_out(rest: Sequence[Row]) -> str:
    """What is said of the devices that are not shown."""
    if not rest:
        return ""
    sizes = sorted({gib_text(int(row.need.bytes)) for row in rest})
    needed = sizes[0] if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    count = sum(row.count for row in rest)
    many = "1 more device needs" if count == 1 else f"{count:,} more devices need"
    return f"{many} {needed}{' each' * (count > 1)}; those with the least room are shown."
