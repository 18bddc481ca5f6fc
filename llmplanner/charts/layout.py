"""From data to pixels: the range of each axis, and the rectangle that is left for the marks."""

import math
from collections.abc import Callable, Iterable, Iterator

from msgspec import Struct
from PySide6.QtCore import QRectF

from llmplanner.charts.canvas import LABEL, STRONG, TICK, text_height, text_width
from llmplanner.charts.figure import Axis, Band, Bar, Cell, Figure, Line, Mark, Rule
from llmplanner.charts.ticks import CLOSEST, LARGEST, Tick, finite, fraction, ticks

FAR = 1e5  # pixels: what lies further outside is drawn there; Qt cannot do with more
CLOSEST_ROWS = 34.0  # pixels from tick to tick on a y axis
MOST_TAKEN = 0.7  # of a plot's width, by a bar's total behind it
SMALLEST = 24.0  # pixels: a plot is never narrower or lower


class Span(Struct, frozen=True):
    """One axis laid out: data from low to high lie on pixels from start to end."""

    axis: Axis
    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float | None:
        """The pixel of a value, perhaps outside the plot; None where it has none (NaN, 0 on a log scale)."""
        number = finite(value)
        if number is None or (is_log(self.axis) and number <= 0):
            return None
        share = fraction(self.axis, number, self.low, self.high)
        return max(-FAR, min(FAR, self.start + share * (self.end - self.start)))

    def value(self, pixel: float) -> float:
        """The value at a pixel."""
        share = (pixel - self.start) / (self.end - self.start)
        if is_log(self.axis):
            low, high = math.log(self.low), math.log(self.high)
            return math.exp(low + share * (high - low))
        return self.low + share * (self.high - self.low)

    def ticks(self, size_of: Callable[[str], float], closest: float = CLOSEST) -> tuple[Tick, ...]:
        """The ticks that fit, at least `closest` pixels apart."""
        if self.axis.scale == "category":
            return tuple(Tick(float(place), name) for place, name in enumerate(self.axis.names))
        return ticks(self.axis, self.low, self.high, abs(self.end - self.start), size_of, closest)


class Plot(Struct, frozen=True):
    """Where the marks of one figure go."""

    figure: Figure
    rect: QRectF
    x: Span
    y: Span


def is_log(axis: Axis) -> bool:
    """Whether only positive values have a place."""
    return axis.scale in {"log10", "log2"}


def values(mark: Mark, on: str) -> Iterator[float]:
    """The data of a mark on the axis "x" or "y"."""
    if isinstance(mark, Bar):
        if on == "x":
            yield mark.start
            yield (finite(mark.start) or 0.0) + sum(
                max(0.0, finite(segment.value) or 0.0) for segment in mark.segments
            )
    elif isinstance(mark, Rule):
        if mark.axis == on:
            yield mark.value
    elif isinstance(mark, Line):
        yield from mark.xs if on == "x" else mark.ys
    elif isinstance(mark, Band):
        yield from mark.xs if on == "x" else (*mark.lows, *mark.highs)
    elif isinstance(mark, Cell):
        middle, size = (mark.x, mark.width) if on == "x" else (mark.y, mark.height)
        yield middle - size / 2
        yield middle + size / 2
    else:
        yield mark.x if on == "x" else mark.y


def extent(axis: Axis, figure: Figure, on: str) -> tuple[float, float]:
    """Low and high of an axis: as it says, else what the marks need and a little air."""
    if axis.scale == "category":
        return -0.5, max(len(axis.names), 1) - 0.5
    data = [
        number for mark in figure.marks for value in values(mark, on) if (number := finite(value)) is not None
    ]
    if is_log(axis):
        return _log_extent(axis, [number for number in data if number > 0])
    from_zero = on == "x" and any(isinstance(mark, Bar) for mark in figure.marks)
    cells = any(isinstance(mark, Cell) for mark in figure.marks)
    low, high = (min(data), max(data)) if data else (0.0, 1.0)
    air = 0.0 if cells else (0.12 if on == "y" else 0.05) * (high - low)
    low = low if from_zero else low - air
    high += air
    return _apart(
        low if axis.low is None else finite(axis.low) or 0.0,
        high if axis.high is None else finite(axis.high) or 0.0,
    )


def _log_extent(axis: Axis, data: list[float]) -> tuple[float, float]:
    low, high = (min(data), max(data)) if data else (1.0, 10.0)
    air = (high / low) ** 0.04 if high / low < LARGEST else 1.0
    low = axis.low if axis.low and axis.low > 0 else max(low / air, 1 / LARGEST)
    high = axis.high if axis.high and axis.high > 0 else min(high * air, LARGEST)
    low, high = min(low, high), max(low, high)
    return (low / 2, high * 2) if high / low < 1 + 1e-9 else (low, high)


def _apart(low: float, high: float) -> tuple[float, float]:
    """The two in order, not too large, and apart by more than rounding."""
    most = LARGEST / 4
    low, high = sorted((max(-most, min(most, low)), max(-most, min(most, high))))
    size = max(abs(low), abs(high))
    return (low, high) if high - low > 1e-9 * size else (low - 0.1 * size, high + (0.1 * size or 1.0))


def room_for_totals(figure: Figure, span: Span) -> Span:
    """The x axis made longer, where it may be, until each bar's total fits behind it.

    Where the line of a limit would run through the total, it is to fit behind that line; a single bar has
    room for it above.
    """
    if is_log(figure.x) or figure.x.high is not None:
        return span
    width = span.end - span.start
    high, single = span.high, len(figure.y.names) == 1
    limits = sorted(mark.value for mark in figure.marks if isinstance(mark, Rule) and mark.axis == "x")
    for mark in figure.marks:
        if isinstance(mark, Bar) and mark.label:
            end = max(finite(value) or 0.0 for value in values(mark, "x"))
            taken = (text_width(mark.label, STRONG) + 12) / width
            for limit in () if single else limits:
                if end <= limit <= end + 1.05 * taken * (high - span.low):
                    end = limit
            if taken < MOST_TAKEN:
                high = max(high, span.low + (end - span.low) / (1 - taken))
    return Span(span.axis, span.low, min(high, LARGEST), span.start, span.end)


def tick_widths(span: Span, most: float) -> float:
    """Pixels that the widest tick label takes, at most `most`."""
    widths = [text_width(tick.text, TICK) for tick in span.ticks(lambda _: text_height(TICK), CLOSEST_ROWS)]
    return min(max(widths, default=0.0), most)


def plot(figure: Figure, area: QRectF, rule_rows: Callable[[Iterable[Rule], Span], int]) -> Plot:
    """Lays out one figure in an area: y tick labels left, x ticks and label below, limits' names above.

    `rule_rows` tells how many rows the names of the vertical limits take over a given x axis.
    """
    row = text_height(LABEL)
    shown_x, shown_y = figure.x.visible, figure.y.visible
    top = area.top() + (1.5 * row + 6 if shown_y and figure.y.label else 4)
    bottom = area.bottom() - (row + 8 if shown_x else 4) - (row + 4 if shown_x and figure.x.label else 0)
    bottom = max(bottom, top + SMALLEST)
    y = _y_span(figure, top, bottom)
    left = area.left() + (tick_widths(y, 0.38 * area.width()) + 10 if shown_y else 2)
    right = max(area.right() - (16 if shown_x else 2), left + SMALLEST)
    x = room_for_totals(figure, Span(figure.x, *extent(figure.x, figure, "x"), left, right))
    rules = [mark for mark in figure.marks if isinstance(mark, Rule) and mark.axis == "x"]
    top = min(top + rule_rows(rules, x) * (row + 2), bottom - SMALLEST)
    return Plot(figure, QRectF(left, top, right - left, bottom - top), x, _y_span(figure, top, bottom))


def _y_span(figure: Figure, top: float, bottom: float) -> Span:
    """The y axis: values rise upwards, categories are read downwards."""
    low, high = extent(figure.y, figure, "y")
    down = figure.y.down or figure.y.scale == "category"
    return Span(figure.y, low, high, top, bottom) if down else Span(figure.y, low, high, bottom, top)
