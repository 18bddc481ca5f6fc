"""The same plan under several engines, methods or precisions: a bar for each, terms in the same order."""

from collections.abc import Sequence

from msgspec import Struct

from llmplanner.charts.figure import Axis, Figure
from llmplanner.charts.memory_bars import AXIS, SOURCE, bar, limits
from llmplanner.charts.memory_phases import at
from llmplanner.charts.words import name_of
from llmplanner.core.estimate import Estimate
from llmplanner.core.plan import Plan
from llmplanner.core.quantities import gib_text
from llmplanner.core.verdict import DOING, verdict

SHOWN_AS = {"engine": "engine", "method": "training method", "precision": "precision"}


class Rival(Struct, frozen=True):
    """A plan with one field at `value`, and what it needs; `refusal` says why it cannot be answered."""

    value: str
    plan: Plan | None = None
    estimate: Estimate | None = None
    refusal: str = ""


def rivals_figure(field: str, rivals: Sequence[Rival]) -> Figure:
    """The fullest device of each rival at its peak. The first is the plan itself."""
    rows = [
        (side, name_of(field, rival.value), rival.plan, rival.estimate)
        for side, rival in enumerate(rivals)
        if rival.plan is not None and rival.estimate is not None
    ]
    _, _, own, needed = rows[0]
    fullest = [(side, name, at(plan, estimate, None)) for side, name, plan, estimate in rows]
    refused = (f"{name_of(field, each.value)}: {each.refusal}" for each in rivals if each.refusal)
    return Figure(
        name="memory-engines",
        title=f"Memory of {own.model.name} by {SHOWN_AS[field]}",
        x=AXIS,
        y=Axis("", "category", names=tuple(name for _, name, _ in fullest)),
        marks=(
            *(
                bar(name, row.need.peak, row.device, side=side, place=row.place, role=row.need.role)
                for side, name, row in fullest
            ),
            *limits([fullest[0][2].device], verdict(own, needed)),
        ),
        subtitle="The fullest device of each, at its peak: "
        + ", ".join(f"{name} {DOING[row.need.peak.name]}" for _, name, row in fullest),
        source=SOURCE,
        description=" ".join(f"{name} needs {gib_text(int(row.need.bytes))}." for _, name, row in fullest),
        note=" ".join(refused),
    )
