"""What the pointer is told: the exact value, then its formula and source, a line each."""

from llmplanner.charts.figure import Axis, Line, Point, Rule, Segment


def exact(value: float, axis: Axis) -> str:
    """A value in full: 16,060,522,496 bytes; 5.76e+23 FLOPs."""
    whole = isinstance(value, int) or (float(value).is_integer() and abs(value) < 1e15)
    number = f"{int(value):,}" if whole else f"{value:.6g}"
    return f"{number} {axis.unit}".strip()


def of_segment(segment: Segment, axis: Axis) -> str:
    """A share of a bar: 'Weights: 16,060,522,496 bytes' and how it is computed."""
    return segment.hover or _lines(
        f"{segment.series}: {exact(segment.value, axis)}", segment.formula, segment.source
    )


def of_point(point: Point, x: Axis, y: Axis) -> str:
    """A point by its name and both values."""
    name = point.label or point.series
    return point.hover or _lines(name, _named(x, point.x), _named(y, point.y), point.source)


def of_line(line: Line, place: int, x: Axis, y: Axis) -> str:
    """A curve at one of its points."""
    here = (_named(x, line.xs[place]), _named(y, line.ys[place]))
    beyond = "" if is_fitted(line, line.xs[place]) else "extrapolated: outside the fitted range"
    return _lines(line.series, *here, beyond, line.hover or _lines(line.formula, line.source))


def of_rule(rule: Rule, axis: Axis) -> str:
    """A limit by its name and value."""
    return rule.hover or _lines(f"{rule.label}: {exact(rule.value, axis)}".lstrip(": "), rule.source)


def is_fitted(line: Line, x: float) -> bool:
    """Whether the law was fitted on data there."""
    return line.fitted is None or line.fitted[0] <= x <= line.fitted[1]


def _named(axis: Axis, value: float) -> str:
    return f"{axis.label}: {exact(value, axis)}".lstrip(": ")


def _lines(*lines: str) -> str:
    return "\n".join(line for line in lines if line)
