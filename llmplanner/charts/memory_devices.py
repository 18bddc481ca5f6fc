"""Devices that differ as aligned bars, worst first, by their part of the whole; and what the host keeps."""

from llmplanner.charts.figure import Axis, Bar, Figure, Segment
from llmplanner.charts.memory_bars import (
    AXIS,
    SOURCE,
    bar,
    limits,
    names_of,
    rows_of,
    spoken,
    where,
    workload,
)
from llmplanner.charts.palette import TERM_TITLES
from llmplanner.core.estimate import Estimate, Host, Part
from llmplanner.core.plan import Plan
from llmplanner.core.quantities import exact_text, gib_figure, gib_text
from llmplanner.core.verdict import Verdict, verdict

MOST_ROWS = 16
KINDS = (  # words in the name of what the host keeps, and the term that it would be on a device
    ("cache", "kv_cache"),
    ("logits", "logits"),
    ("gradient", "gradients"),
    ("moment", "optimizer"),
    ("optimizer", "optimizer"),
    ("master", "master_weights"),
    ("buffer", "activations"),
    ("activation", "activations"),
    ("weight", "weights"),
    ("parameter", "weights"),
    ("layer", "weights"),
    ("embedding", "weights"),
    ("expert", "weights"),
)


def devices_figure(plan: Plan, estimate: Estimate, judged: Verdict | None = None) -> Figure:
    """One bar for each device that differs from the others, at its own peak; below them the host's."""
    judged = judged or verdict(plan, estimate)
    rows = rows_of(plan, estimate, apart=False)
    shown = rows[:MOST_ROWS]
    names, host = names_of(shown), estimate.host
    bars = [
        bar(name, row.need.peak, row.device, place=row.place, role=row.need.role)
        for name, row in zip(names, shown, strict=True)
    ]
    if host is not None:
        bars.append(_host_bar(host))
    return Figure(
        name="memory-devices",
        title=f"Memory of {plan.model.name} on {where(plan)}, device by device",
        x=AXIS,
        y=Axis("", "category", names=tuple(one.category for one in bars)),
        marks=(*bars, *limits([row.device for row in shown], judged)),
        subtitle=f"{workload(plan)}, each device at its own peak, worst first",
        source=SOURCE,
        description=f"{judged.message} " + " ".join(spoken(row) for row in shown),
        note=" ".join(filter(None, (_left_out(len(rows) - len(shown)), link_words(host)))),
    )


def link_words(host: Host | None) -> str:
    """How long the host's link takes, where it is known."""
    if host is None or host.seconds is None:
        return ""
    return f"To and from the {host.place}: {host.seconds:,.3g} s ({host.formula})."


def _left_out(count: int) -> str:
    return f"{count:,} more kinds of device need no more." if count > 0 else ""


def _host_bar(host: Host) -> Bar:
    """What the computer keeps for its devices; the limits in the picture are the cards', not its own."""
    size = int(host.bytes)
    return Bar(
        category=f"{host.place[:1].upper()}{host.place[1:]}",
        segments=tuple(_host_segment(part) for part in host.parts if int(part.bytes) > 0),
        label=gib_text(size),
        hover=f"{host.place}: {gib_text(size)} ({exact_text(size)} bytes)",
    )


def _host_segment(part: Part) -> Segment:
    """One thing on the host, in the colour of the term that it would be on a device."""
    size, name = int(part.bytes), part.name
    term = next((term for word, term in KINDS if word in name.lower()), "")
    return Segment(
        series=TERM_TITLES[term] if term else "Other",
        value=size,
        colour=term or "other",
        label=f"{name} {gib_figure(size)}",
        hover=f"{name}: {gib_text(size)} ({exact_text(size)} bytes)\n{part.formula}",
        formula=f"{name}: {part.formula}",
        source="kept by the computer for its devices",
    )
