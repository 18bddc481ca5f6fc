"""Which magnitudes each format holds, from the smallest to the largest, on an axis of powers of two."""

from collections.abc import Iterator
from fractions import Fraction

from llmplanner.charts.bits import SOURCE
from llmplanner.charts.figure import Axis, Bar, Figure, Rule, Segment, Text
from llmplanner.core.formats import FP16, Exact
from llmplanner.core.quantities import decimal_text, significant
from llmplanner.core.stored import Stored, Typed

AWAY = 16.0  # from a bar's end to a name beside it
LOW, HIGH = 2.0**-152, 2.0**131  # FP32 reaches from 2^-149 to just below 2^128


def ranges_figure(typed: Typed, rows: tuple[Stored, ...]) -> Figure:
    """The figure; the typed value is a line where its magnitude is on the axis."""
    place = _place(typed.value)
    name = typed.text if len(typed.text) <= 24 else significant(typed.value, 4)
    label = f"|{name}|" if place is not None and typed.value < 0 else name
    return Figure(
        name="ranges",
        title="Magnitudes that each format stores",
        subtitle="From the smallest to the largest",
        x=Axis("", "log2", LOW, HIGH, ticks="power"),
        y=Axis("", "category", names=tuple(row.name for row in rows), grid=False),
        marks=(
            *(_bar(row) for row in rows),
            *_names(rows),
            *(() if place is None else (Rule("x", place, label, "accent", hover=f"{label}: {place:.6g}"),)),
        ),
        source=SOURCE,
        description="; ".join(
            f"{row.name} from {significant(_smallest(row))} to {significant(row.largest)}" for row in rows
        ),
        legend=False,
        table=_table(typed, rows),
        note="" if place is not None else f"{significant(typed.value, 4)} has no place on this axis.",
    )


def _names(rows: tuple[Stored, ...]) -> Iterator[Text]:
    """What the two colours mean, written beside the bar with room on both sides: FP16's."""
    for place, row in enumerate(rows):
        if row.format == FP16:
            start, end = _on_axis(row.format.smallest), _on_axis(row.format.largest)
            yield Text(start / AWAY, place, "fewer digits", "subnormal", "right", grounded=True)
            yield Text(end * AWAY, place, "all digits", "normal", grounded=True)


def _bar(row: Stored) -> Bar:
    smallest, normal = _smallest(row), _smallest_normal(row)
    start, middle, end = (_on_axis(each) for each in (smallest, normal, row.largest))
    below = f"{row.name}, subnormal: {significant(smallest)} to {significant(normal)}"
    above = f"{row.name}: {significant(normal)} to {significant(row.largest, 5)}"
    segments = (
        Segment("subnormal: fewer digits", middle - start, "subnormal", hover=below),
        Segment("normal", end - middle, "normal", hover=above),
    )
    return Bar(row.name, segments, start=start)


def _table(typed: Typed, rows: tuple[Stored, ...]) -> tuple[tuple[str, ...], ...]:
    """The magnitudes with every digit, the typed value in the last row."""
    heads = ("format", "smallest", "smallest_normal", "largest", "source")
    held = (
        (row.name, *map(decimal_text, (_smallest(row), _smallest_normal(row), row.largest)), SOURCE)
        for row in rows
    )
    return (heads, *held, (typed.text, decimal_text(typed.value), "", "", "typed"))


def _on_axis(magnitude: Fraction) -> float:
    return float(max(Fraction(LOW), min(Fraction(HIGH), magnitude)))


def _smallest(row: Stored) -> Fraction:
    return row.scale.scale if row.scale else row.format.smallest


def _smallest_normal(row: Stored) -> Fraction:
    return row.scale.scale if row.scale else row.format.smallest_normal


def _place(value: Exact) -> float | None:
    """The magnitude as a float; None where it is off the axis."""
    if isinstance(value, float) or not Fraction(LOW) <= abs(value) <= Fraction(HIGH):
        return None
    return float(abs(value))
