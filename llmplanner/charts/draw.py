"""Paints a figure at any size: the one function behind the window, PNG, SVG, PDF and the clipboard."""

from msgspec import Struct
from msgspec.structs import replace
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QPainter

from llmplanner.charts import marks
from llmplanner.charts.canvas import (
    HEADING,
    LABEL,
    SMALL,
    STRONG,
    TICK,
    TITLE,
    Canvas,
    Hit,
    TextBox,
    elide,
    load_fonts,
    text_height,
    text_width,
    wrap,
)
from llmplanner.charts.figure import Band, Bar, Cell, Figure, Line, Point, Rule, Text, legend_entries
from llmplanner.charts.labels import Name, Trail, name_curve, name_points, rule_names, rule_rows
from llmplanner.charts.layout import CLOSEST_ROWS, Plot, plot
from llmplanner.charts.palette import Theme

REACH = 12.0  # pixels between pointer and curve
FIRST = 5.0  # points of this priority are named before curves, and in bold
LOWEST_WITH_LEGEND = 150.0  # pixels: below, the plot needs the room


class Options(Struct, frozen=True):
    """What of a figure is painted. A card of the window has the title already, a file needs all."""

    title: bool = True
    source: bool = True
    legend: bool = True
    outlines: bool = False  # text as shapes
    margin: float = 16.0


CARD = Options(title=False, source=False, margin=2.0)
FILE = Options()


class Drawn(Struct, frozen=True):
    """What was painted, in pixels."""

    plots: tuple[Plot, ...]
    texts: tuple[TextBox, ...]
    hits: tuple[Hit, ...]

    def at(self, x: float, y: float) -> Hit | None:
        """What lies under the pointer: the topmost area, else the nearest curve."""
        place = QPointF(x, y)
        for hit in reversed(self.hits):
            if not hit.path and (hit.text or hit.key) and hit.area.contains(place):
                return hit
        near = [
            ((point - place).manhattanLength(), order, words)
            for order, hit in enumerate(self.hits)
            for point, words in hit.path
            if abs(point.x() - x) <= REACH and abs(point.y() - y) <= REACH
        ]
        if not near:
            return None
        _, order, words = min(near)
        return replace(self.hits[order], text=words)


def draw(
    painter: QPainter, width: float, height: float, figure: Figure, theme: Theme, options: Options = FILE
) -> Drawn:
    """Paints the figure on width × height pixels at 96 per inch, from the painter's origin."""
    load_fonts()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setRenderHint(QPainter.RenderHint.TextAntialiasing)
    canvas = Canvas(painter, QRectF(0, 0, width, height), theme, options.outlines)
    canvas.fill(canvas.bounds, "panel")
    margin = min(options.margin, width / 12, height / 12)
    area = canvas.bounds.adjusted(margin, margin, -margin, -margin)
    if options.title:
        area.setTop(_title(canvas, figure, area))
    if options.source:
        area.setBottom(_below(canvas, area, figure.source))
    area.setBottom(_below(canvas, area, figure.note))
    if options.legend and figure.legend and height >= LOWEST_WITH_LEGEND:
        area.setBottom(_legend(canvas, figure, area))
    plots = tuple(_panel(canvas, part, place) for part, place in _panels(figure, area))
    return Drawn(plots, tuple(canvas.texts), tuple(canvas.hits))


def _title(canvas: Canvas, figure: Figure, area: QRectF) -> float:
    """Title and subtitle at the top, unless the picture is too low for them; where they end."""
    top = area.top()
    if area.height() < 6 * text_height(TITLE):
        return top
    most = 2 if area.height() > 240 else 1
    for words, style, colour in ((figure.title, TITLE, "text"), (figure.subtitle, LABEL, "mute")):
        for line in wrap(words, style, area.width(), most):
            canvas.text(line, area.left(), top, style, colour)
            top += text_height(style)
        top += 4 if words else 0
    return top + 4


def _below(canvas: Canvas, area: QRectF, words: str) -> float:
    """A line of small words at the bottom, two at most; where they begin."""
    lines = wrap(words, SMALL, area.width(), 2)
    step = text_height(SMALL)
    if not lines or area.height() < 8 * step:
        return area.bottom()
    top = area.bottom() - step * len(lines)
    for place, line in enumerate(lines):
        canvas.text(line, area.left(), top + place * step, SMALL, "mute")
    return top - 6


def _legend(canvas: Canvas, figure: Figure, area: QRectF) -> float:
    """Swatches with names in rows at the bottom; where they begin."""
    entries = legend_entries(figure)
    rows: list[list[tuple[str, str, type]]] = [[]]
    x = area.left()
    for series, colour, kind in entries:
        name = elide(series, LABEL, area.width() - 20)
        wide = 16 + text_width(name, LABEL) + 18
        if rows[-1] and x + wide - 18 > area.right():
            rows.append([])
            x = area.left()
        rows[-1].append((name, colour, kind))
        x += wide
    step = text_height(LABEL) + 4
    if len(entries) < 2 or len(rows) * step > area.height() / 3:
        return area.bottom()
    top = area.bottom() - len(rows) * step
    for place, row in enumerate(rows):
        x, y = area.left(), top + place * step
        for name, colour, kind in row:
            marks.swatch(canvas, QRectF(x, y + step / 2 - 7, 10, 10), colour, kind)
            canvas.text(name, x + 16, y, LABEL, "text")
            x += 16 + text_width(name, LABEL) + 18
    return top - 6


def _panels(figure: Figure, area: QRectF) -> list[tuple[Figure, QRectF]]:
    """The figure and those beside it, each with its share: columns, or rows where columns would be narrow."""
    parts = (figure, *figure.beside)
    gap = 24.0
    columns = area.width() / len(parts) >= 220 or area.width() > area.height()
    size = ((area.width() if columns else area.height()) - gap * (len(parts) - 1)) / len(parts)
    places = (index * (size + gap) for index in range(len(parts)))
    if columns:
        return [
            (part, QRectF(area.left() + at, area.top(), size, area.height()))
            for part, at in zip(parts, places, strict=True)
        ]
    return [
        (part, QRectF(area.left(), area.top() + at, area.width(), size))
        for part, at in zip(parts, places, strict=True)
    ]


def _panel(canvas: Canvas, figure: Figure, area: QRectF) -> Plot:
    """One figure: grid, marks in their order, then names from the most important on."""
    if figure.heading:
        canvas.text(elide(figure.heading, HEADING, area.width()), area.left(), area.top(), HEADING)
        area = area.adjusted(0, text_height(HEADING) + 4, 0, 0)
    laid = plot(figure, area, lambda rules, span: rule_rows(rules, span, area))
    trail = Trail()
    _axes(canvas, laid, area)
    _limits(canvas, laid, area)
    curves = _curves(canvas, laid, trail)
    bars = [(mark, marks.bar(canvas, laid, mark)) for mark in figure.marks if isinstance(mark, Bar)]
    for mark in figure.marks:
        if isinstance(mark, Cell):
            marks.cell(canvas, laid, mark)
        elif isinstance(mark, Rule):
            marks.rule(canvas, laid, mark)
        elif isinstance(mark, Text):
            marks.words(canvas, laid, mark)
    for mark, boxes in bars:
        marks.name_bar(canvas, laid, mark, boxes)
    _levels(canvas, laid)
    names = _points(canvas, laid)
    first = max(1, sum(isinstance(mark, Point) and mark.priority >= FIRST for mark in figure.marks))
    name_points(canvas, laid.rect, names[:first], trail)
    for line, pixels in curves:
        name_curve(canvas, laid.rect, line, pixels, trail)
    name_points(canvas, laid.rect, names[first:], trail)
    return laid


def _axes(canvas: Canvas, laid: Plot, area: QRectF) -> None:
    """Grid lines, tick labels, axis labels and the base line."""
    rect, row = laid.rect, text_height(TICK)
    figure = laid.figure
    if figure.x.visible:
        for tick in laid.x.ticks(lambda words: text_width(words, TICK)):
            x = laid.x.at(tick.value) or rect.left()
            if figure.x.grid:
                canvas.line(x, rect.top(), x, rect.bottom(), canvas.pen("grid"))
            canvas.text(tick.text, x, rect.bottom() + 6, TICK, "mute", (0.5, 0.0))
        label = elide(figure.x.label, LABEL, rect.width())
        canvas.text(label, rect.center().x(), rect.bottom() + row + 10, LABEL, "mute", (0.5, 0.0))
    if figure.y.visible:
        for tick in laid.y.ticks(lambda _: row, CLOSEST_ROWS):
            y = laid.y.at(tick.value) or rect.top()
            category = figure.y.scale == "category"
            if figure.y.grid and not category:
                canvas.line(rect.left(), y, rect.right(), y, canvas.pen("grid"))
            words = elide(tick.text, TICK, rect.left() - 8 - area.left())
            canvas.text(words, rect.left() - 10, y, TICK, "text" if category else "mute", (1.0, 0.5))
        canvas.text(elide(figure.y.label, LABEL, area.width()), area.left(), area.top(), LABEL, "mute")
        canvas.line(rect.left(), rect.top(), rect.left(), rect.bottom(), canvas.pen("line"))
    if figure.x.visible:
        canvas.line(rect.left(), rect.bottom(), rect.right(), rect.bottom(), canvas.pen("line"))


def _limits(canvas: Canvas, laid: Plot, area: QRectF) -> None:
    """The names of vertical limits, above the plot."""
    row = text_height(LABEL) + 2
    rules = [mark for mark in laid.figure.marks if isinstance(mark, Rule) and mark.axis == "x"]
    for name in rule_names(rules, laid.x, area):
        top = laid.rect.top() - (name.row + 1) * row
        if canvas.text(name.rule.label, name.left, top, LABEL, name.rule.colour) and name.row:
            canvas.line(
                name.x, top + row, name.x, laid.rect.top(), canvas.pen(name.rule.colour, 1.6, name.rule.dash)
            )


def _levels(canvas: Canvas, laid: Plot) -> None:
    """The names of horizontal limits, at the right end of their lines: above them, else below."""
    rules = [mark for mark in laid.figure.marks if isinstance(mark, Rule) and mark.axis == "y"]
    for rule in rules:
        y = laid.y.at(rule.value)
        if y is not None and laid.rect.top() <= y <= laid.rect.bottom():
            for side, anchor in ((-2, 1.0), (2, 0.0)):  # above the line, else below
                if canvas.text(
                    rule.label,
                    laid.rect.right() - 6,
                    y + side,
                    LABEL,
                    rule.colour,
                    (1.0, anchor),
                    grounded=True,
                ):
                    break


def _curves(canvas: Canvas, laid: Plot, trail: Trail) -> list[tuple[Line, list[QPointF]]]:
    """Bands, then lines, cut at the plot's edge. The lines that want a name, with their pixels."""
    named = []
    canvas.painter.save()
    canvas.painter.setClipRect(laid.rect, Qt.ClipOperation.IntersectClip)
    for mark in laid.figure.marks:
        if isinstance(mark, Band):
            marks.band(canvas, laid, mark)
    for mark in laid.figure.marks:
        if isinstance(mark, Line):
            pixels = marks.line(canvas, laid, mark)
            trail.add(pixels)
            if mark.label:
                named.append((mark, pixels))
    canvas.painter.restore()
    return named


def _points(canvas: Canvas, laid: Plot) -> list[Name]:
    """Markers, the most important on top; their names, the most important first."""
    names = []
    for mark in sorted(
        (m for m in laid.figure.marks if isinstance(m, Point)), key=lambda m: (m.marker == "plan", m.priority)
    ):
        place = marks.point(canvas, laid, mark)
        if place is not None and mark.label:
            style = STRONG if mark.priority >= FIRST else SMALL
            ink = mark.colour if mark.marker == "plan" else "text"
            names.append(Name(mark.label, place.x(), place.y(), ink, marks.RADIUS[mark.marker] + 4, style))
    return names[::-1]
