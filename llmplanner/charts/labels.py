"""Where names go: on limits, on curves, beside points. What finds no room is left to hover."""

import itertools
from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct
from PySide6.QtCore import QPointF, QRectF
from PySide6.QtGui import QColor

from llmplanner.charts.canvas import GROUND, LABEL, SMALL, STRONG, Canvas, Style, text_height, text_width
from llmplanner.charts.figure import Line, Rule
from llmplanner.charts.layout import Span

MOST_RULES = 4  # limits named above one plot
SHARES = (1.0, 0.95, 0.9, 0.85, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.0)  # of a curve, to name it at
COVERED = 50  # what it costs to cover another point, in the same
FAR = 10.0  # what it costs to name a curve at its other end, in squares of curves that the name covers
WRONG_SIDE = 8.0  # what it costs to name a curve on the other side, in the same
CURVE_ANCHORS = (  # anchor of the text, pixels to the right and heights down from the curve, cost
    ((0.0, 1.0), 6, -0.3, 0.0),
    ((1.0, 1.0), -6, -0.3, 0.0),
    ((0.0, 0.0), 6, 0.3, 0.0),
    ((1.0, 0.0), -6, 0.3, 0.0),
    ((0.5, 1.0), 0, -0.3, 0.0),
    ((0.5, 0.0), 0, 0.3, 0.0),
    ((1.0, 1.0), -2, -1.0, 3.0),
    ((1.0, 0.0), -2, 1.0, 3.0),
)
BUCKET = 8.0  # pixels: curves are remembered in squares of this size
ANCHORS = (  # direction from the point, anchor of the text; the best places first
    ((1, 0), (0.0, 0.5)),
    ((-1, 0), (1.0, 0.5)),
    ((0, -1), (0.5, 1.0)),
    ((0, 1), (0.5, 0.0)),
    ((0.7, -0.7), (0.0, 0.85)),
    ((0.7, 0.7), (0.0, 0.15)),
    ((-0.7, -0.7), (1.0, 0.85)),
    ((-0.7, 0.7), (1.0, 0.15)),
)


class RuleName(Struct, frozen=True):
    """A vertical limit's name above the plot: its line's x, its row (0 is the lowest), and its extent."""

    rule: Rule
    x: float
    row: int
    left: float
    right: float

    def touches(self, other: "RuleName") -> bool:
        """Whether the names, or a name and the other's line, come too close."""
        if self.row == other.row:
            return self.left < other.right + 10 and other.left < self.right + 10
        lower, upper = (self, other) if self.row < other.row else (other, self)
        return lower.left - 1 < upper.x < lower.right + 1


def rule_names(rules: Iterable[Rule], span: Span, area: QRectF) -> tuple[RuleName, ...]:
    """Names of vertical limits in as few rows as do without touching."""
    inside = [(rule, x) for rule in rules if rule.label and (x := span.at(rule.value)) is not None]
    wanted = sorted(
        ((r, x) for r, x in inside if span.start - 1 <= x <= span.end + 1), key=lambda pair: pair[1]
    )
    for rows in (1, 2, 3):
        found = _arrange(wanted[:MOST_RULES], (), rows, area)
        if found is not None:
            return found
    return ()


def rule_rows(rules: Iterable[Rule], span: Span, area: QRectF) -> int:
    """How many rows the names take."""
    return max((name.row + 1 for name in rule_names(rules, span, area)), default=0)


def _arrange(
    wanted: Sequence[tuple[Rule, float]], done: tuple[RuleName, ...], rows: int, area: QRectF
) -> tuple[RuleName, ...] | None:
    """The first arrangement of all names in which none touches another; None if there is none."""
    if not wanted:
        return done
    (rule, x), *rest = wanted
    for name in _choices(rule, x, rows):
        if area.left() <= name.left and name.right <= area.right() and not any(map(name.touches, done)):
            found = _arrange(rest, (*done, name), rows, area)
            if found is not None:
                return found
    return None


def _choices(rule: Rule, x: float, rows: int) -> Iterator[RuleName]:
    width = text_width(rule.label, LABEL)
    for row in range(rows):
        for left in (x - width / 2, x - width - 2, x + 2):
            yield RuleName(rule, x, row, left, left + width)


class Trail:
    """Which small squares of the picture a curve runs through, so that labels can keep off it."""

    def __init__(self) -> None:
        self._squares: set[tuple[int, int]] = set()

    def add(self, points: Sequence[QPointF]) -> None:
        """A curve's pixels, in order."""
        for before, after in itertools.pairwise(points):
            dx, dy = after.x() - before.x(), after.y() - before.y()
            steps = min(2000, max(1, int(max(abs(dx), abs(dy)) / (BUCKET / 2))))
            for step in range(steps + 1):
                x, y = before.x() + dx * step / steps, before.y() + dy * step / steps
                self._squares.add((int(x // BUCKET), int(y // BUCKET)))

    def crossings(self, rect: QRectF) -> int:
        """How much of the curves lies under a rectangle."""
        columns = range(int(rect.left() // BUCKET), int(rect.right() // BUCKET) + 1)
        rows = range(int(rect.top() // BUCKET), int(rect.bottom() // BUCKET) + 1)
        return sum((column, row) in self._squares for column in columns for row in rows)


class Name(Struct, frozen=True):
    """A label to be placed at a point."""

    text: str
    x: float
    y: float
    colour: QColor | str
    away: float  # pixels from the point's middle to the text
    style: Style = SMALL


def name_points(canvas: Canvas, within: QRectF, names: Iterable[Name], trail: Trail) -> None:
    """Places labels beside their points, in the order given, where they touch nothing; the rest is left."""
    for name in names:
        places = []
        far = (1.0, 2.5) if name.style is STRONG else (1.0,)  # what must be named may stand farther off
        for order, (away, ((dx, dy), anchor)) in enumerate(itertools.product(far, ANCHORS)):
            x, y = name.x + dx * away * name.away, name.y + dy * away * name.away
            rect = canvas.box(name.text, x, y, name.style, anchor)
            wide = rect.adjusted(-GROUND, 0, GROUND, 0)
            covers = not canvas.is_free(wide)
            if not within.contains(rect) or (covers and name.style is not STRONG):
                continue
            if canvas.is_free(wide, marks_too=False):  # in a crowd, what must be named covers other points
                crossings = trail.crossings(rect) + COVERED * covers
                cost = crossings + (FAR if order >= len(ANCHORS) else 0)
                places.append((cost, order, crossings, x, y, anchor))
        if places:
            _, _, crossings, x, y, anchor = min(places)
            canvas.text(name.text, x, y, name.style, name.colour, anchor, grounded=crossings > 0)


def name_curve(canvas: Canvas, within: QRectF, line: Line, curve: Sequence[QPointF], trail: Trail) -> None:
    """Writes a curve's name beside it, near where it asks for if there is room."""
    inside = [point for point in curve if within.contains(point)]
    if not inside:
        return
    style = SMALL if line.dash == "dotted" else STRONG  # dotted lines are for orientation
    height = text_height(style)
    places = []
    for share in SHARES:
        point = inside[round(share * (len(inside) - 1))]
        far = FAR * abs(share - line.label_at)
        for anchor, dx, dy, cost in CURVE_ANCHORS:
            side = WRONG_SIDE * (line.label_side == ("below" if dy < 0 else "above"))
            x, y = point.x() + dx, point.y() + dy * height
            rect = canvas.box(line.label, x, y, style, anchor)
            if within.contains(rect) and canvas.is_free(rect.adjusted(-GROUND, -1, GROUND, 1)):
                crossings = trail.crossings(rect)
                places.append((crossings + far + cost + side, crossings, x, y, anchor))
    if places:
        _, crossings, x, y, anchor = min(places)
        canvas.text(line.label, x, y, style, line.colour, anchor, grounded=crossings > 0)
