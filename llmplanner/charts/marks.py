"""Painting each kind of mark, in pixels; every one leaves a hover area on the canvas."""

import itertools
from collections.abc import Sequence

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QBrush, QColor, QPolygonF

from llmplanner.charts import hover
from llmplanner.charts.canvas import LABEL, SMALL, STRONG, Canvas, Hit, Style, text_height, text_width
from llmplanner.charts.figure import Band, Bar, Cell, Dash, Line, Point, Rule, Segment, Text
from llmplanner.charts.layout import Plot
from llmplanner.charts.ticks import finite

SEAM = 1.5  # pixels of panel between two segments
THINNEST = 2.5  # pixels: a segment that is there is seen
THICKEST = 40.0
RADIUS = {"dot": 4.0, "ring": 4.5, "square": 4.0, "diamond": 5.0, "plan": 6.5}
INKS = ("#ffffff", "#14171c")  # on a coloured ground, whichever reads better


def band(canvas: Canvas, plot: Plot, mark: Band) -> None:
    """The area between two curves, tinted."""
    upper = _pixels(plot, mark.xs, mark.highs)
    lower = _pixels(plot, mark.xs, mark.lows)
    tint = canvas.colour(mark.colour)
    tint.setAlphaF(0.16)
    canvas.painter.setPen(Qt.PenStyle.NoPen)
    canvas.painter.setBrush(QBrush(tint))
    canvas.painter.drawPolygon(QPolygonF([*upper, *reversed(lower)]))


def line(canvas: Canvas, plot: Plot, mark: Line) -> list[QPointF]:
    """A curve, dashed outside its fitted range. The pixels it runs through."""
    points = _pixels(plot, mark.xs, mark.ys)
    start, end = (plot.x.at(bound) for bound in mark.fitted) if mark.fitted else (None, None)
    for run, inside in _runs(points, start, end):
        dash: Dash = mark.dash if inside else "dashed"
        canvas.painter.setPen(canvas.pen(mark.colour, mark.width, dash))
        canvas.painter.setBrush(Qt.BrushStyle.NoBrush)
        canvas.painter.drawPolyline(QPolygonF(_thinned(run)))
    path = tuple(
        (QPointF(x, y), hover.of_line(mark, place, plot.x.axis, plot.y.axis))
        for place in range(0, len(mark.xs), max(1, len(mark.xs) // 400))
        if (x := plot.x.at(mark.xs[place])) is not None and (y := plot.y.at(mark.ys[place])) is not None
        if plot.rect.contains(QPointF(x, y))
    )
    if path:
        canvas.hits.append(Hit(plot.rect, mark.series, mark.key, path))
    return points


def _pixels(plot: Plot, xs: Sequence[float], ys: Sequence[float]) -> list[QPointF]:
    """The points that have a place, in order."""
    placed = ((plot.x.at(x), plot.y.at(y)) for x, y in zip(xs, ys, strict=True))
    return [QPointF(x, y) for x, y in placed if x is not None and y is not None]


def _runs(points: list[QPointF], start: float | None, end: float | None) -> list[tuple[list[QPointF], bool]]:
    """The curve cut at the pixels where its fitted range starts and ends; True for what is inside."""
    if start is None or end is None:
        return [(points, True)]
    runs: list[tuple[list[QPointF], bool]] = []
    for before, after in itertools.pairwise(points):
        cuts = [x for x in (start, end) if min(before.x(), after.x()) < x < max(before.x(), after.x())]
        stops = [
            before,
            *(_between(before, after, x) for x in sorted(cuts, reverse=before.x() > after.x())),
            after,
        ]
        for here, there in itertools.pairwise(stops):
            inside = start <= (here.x() + there.x()) / 2 <= end
            if runs and runs[-1][1] == inside:
                runs[-1][0].append(there)
            else:
                runs.append(([here, there], inside))
    return runs


def _between(before: QPointF, after: QPointF, x: float) -> QPointF:
    share = (x - before.x()) / (after.x() - before.x())
    return QPointF(x, before.y() + share * (after.y() - before.y()))


def _thinned(points: list[QPointF]) -> list[QPointF]:
    """The points without those less than half a pixel from the last one kept: long curves make huge files."""
    kept = points[:1]
    for point in points[1:-1]:
        if (point - kept[-1]).manhattanLength() >= 0.5:
            kept.append(point)
    return kept + points[-1:] if len(points) > 1 else kept


def bar(canvas: Canvas, plot: Plot, mark: Bar) -> None:
    """Stacked segments in the row of their category, names inside or under it, the total behind it."""
    row = plot.rect.height() / max(1, len(plot.y.axis.names))
    middle = plot.y.at(plot.y.axis.names.index(mark.category)) or plot.rect.top()
    thick = max(2.0, min(0.56 * row, THICKEST))
    boxes = _boxes(plot, mark, middle - thick / 2, thick)
    unnamed = []
    for segment, box in boxes:
        canvas.fill(box.adjusted(0, 0, -min(SEAM, box.width() / 3), 0), segment.colour)
        canvas.hits.append(Hit(box, hover.of_segment(segment, plot.x.axis), segment.key))
        if segment.label and not _name_inside(canvas, segment, box):
            unnamed.append((segment, box))
    end = max((box.right() for _, box in boxes), default=plot.x.at(mark.start) or plot.rect.left())
    _total(canvas, plot, mark, end, middle)
    if (row - thick) / 2 >= text_height(SMALL) + 8:
        _names_below(canvas, plot, unnamed)


def _boxes(plot: Plot, mark: Bar, top: float, thick: float) -> list[tuple[Segment, QRectF]]:
    """Where each segment with a value lies. Thin ones widen at the cost of the widest; the end stays."""
    shown = [
        (segment, number) for segment in mark.segments if (number := finite(segment.value)) and number > 0
    ]
    edges, total = [plot.x.at(mark.start)], finite(mark.start) or 0.0
    for _, number in shown:
        total += number
        edges.append(plot.x.at(total))
    clipped = [
        max(plot.rect.left(), min(plot.rect.right(), plot.rect.left() if e is None else e)) for e in edges
    ]
    widths = [after - before for before, after in itertools.pairwise(clipped)]
    if sum(widths) > 2 * THINNEST * len(widths):
        raised = [max(width, THINNEST) for width in widths]
        raised[raised.index(max(raised))] -= sum(raised) - sum(widths)
        widths = raised
    lefts = itertools.accumulate(widths, initial=clipped[0])
    return [
        (segment, QRectF(left, top, max(width, 1.0), thick))
        for (segment, _), left, width in zip(shown, lefts, widths, strict=False)
    ]


def _name_inside(canvas: Canvas, segment: Segment, box: QRectF) -> bool:
    """Writes the segment's label into it, or its series alone, if one fits."""
    if box.height() < text_height(LABEL):
        return False
    for words in (segment.label, segment.series):
        if text_width(words, LABEL) + 12 <= box.width():
            return canvas.text(words, *_middle(box), LABEL, ink_on(canvas.colour(segment.colour)), (0.5, 0.5))
    return False


def _total(canvas: Canvas, plot: Plot, mark: Bar, end: float, middle: float) -> None:
    room = canvas.bounds.right() - end - 8
    if mark.label and text_width(mark.label, STRONG) <= room:
        canvas.text(mark.label, end + 8, middle, STRONG, mark.label_colour, (0.0, 0.5), ground=True)
        if mark.hover:
            canvas.hits.append(Hit(canvas.texts[-1].rect, mark.hover))
    elif mark.label:  # the bar runs to the edge: its total stands in its end, on panel
        canvas.text(
            mark.label, plot.rect.right() - 6, middle, STRONG, mark.label_colour, (1.0, 0.5), ground=True
        )


def _names_below(canvas: Canvas, plot: Plot, unnamed: Sequence[tuple[Segment, QRectF]]) -> None:
    """Names of narrow segments in a row under the bar, each led to its segment by a hair line."""
    left = plot.rect.left()
    for place, (segment, box) in enumerate(unnamed):
        width = text_width(segment.label, SMALL)
        rest = sum(text_width(other.label, SMALL) + 14 for other, _ in unnamed[place + 1 :])
        x = max(left, min(box.center().x() - width / 2, plot.rect.right() - width - rest))
        if x + width > plot.rect.right() + 12:
            return
        top = box.bottom() + 7
        if canvas.text(segment.label, x, top, SMALL, "mute", ground=True):
            foot = min(max(box.center().x(), x + 3), x + width - 3)
            canvas.line(box.center().x(), box.bottom() + 1, foot, top + 1, canvas.pen("mute", 0.8))
            left = x + width + 14


def rule(canvas: Canvas, plot: Plot, mark: Rule) -> None:
    """A limit's line across the plot."""
    rect = plot.rect
    span = plot.x if mark.axis == "x" else plot.y
    place = span.at(mark.value)
    if place is None or not min(span.start, span.end) - 1 <= place <= max(span.start, span.end) + 1:
        return
    pen = canvas.pen(mark.colour, 1.6, mark.dash)
    if mark.axis == "x":
        canvas.line(place, rect.top(), place, rect.bottom(), pen)
        area = QRectF(place - 4, rect.top(), 8, rect.height())
    else:
        canvas.line(rect.left(), place, rect.right(), place, pen)
        area = QRectF(rect.left(), place - 4, rect.width(), 8)
    canvas.hits.append(Hit(area, hover.of_rule(mark, span.axis)))


def point(canvas: Canvas, plot: Plot, mark: Point) -> QPointF | None:
    """A marker; where it is, if it is in the plot."""
    x, y = plot.x.at(mark.x), plot.y.at(mark.y)
    if x is None or y is None or not plot.rect.adjusted(-1, -1, 1, 1).contains(QPointF(x, y)):
        return None
    radius = RADIUS[mark.marker]
    ground, ink = canvas.colour("panel"), canvas.colour(mark.colour)
    canvas.painter.setPen(
        canvas.pen(ink if mark.marker == "ring" else ground, 2.0 if mark.marker == "plan" else 1.2)
    )
    canvas.painter.setBrush(QBrush(ground if mark.marker == "ring" else ink))
    middle = QPointF(x, y)
    if mark.marker == "square":
        canvas.painter.drawRect(QRectF(x - radius, y - radius, 2 * radius, 2 * radius))
    elif mark.marker == "diamond":
        corners = [(0.0, -radius), (radius, 0.0), (0.0, radius), (-radius, 0.0)]
        canvas.painter.drawPolygon(QPolygonF([middle + QPointF(dx, dy) for dx, dy in corners]))
    else:
        canvas.painter.drawEllipse(middle, radius, radius)
    box = QRectF(x - radius, y - radius, 2 * radius, 2 * radius)
    canvas.blocked.append(box)
    canvas.hits.append(
        Hit(box.adjusted(-3, -3, 3, 3), hover.of_point(mark, plot.x.axis, plot.y.axis), mark.key)
    )
    return middle


def cell(canvas: Canvas, plot: Plot, mark: Cell) -> None:
    """A box with a text, such as a bit: full colour where it is strong, else a tint of it."""
    corners = [plot.x.at(mark.x + side * mark.width / 2) for side in (-1, 1)]
    ends = [plot.y.at(mark.y + side * mark.height / 2) for side in (-1, 1)]
    left, right, top, bottom = (0.0 if place is None else place for place in (*corners, *ends))
    box = QRectF(QPointF(left, top), QPointF(right, bottom)).normalized()
    box = box.adjusted(
        *(2 * (1 if min(box.width(), box.height()) > 8 else 0) * s for s in (0.5, 0.5, -0.5, -0.5))
    )
    ink = canvas.colour(mark.colour)
    ground = ink if mark.strong else mixed(ink, canvas.colour("panel"), 0.22)
    canvas.fill(box, ground, radius=min(3.0, box.width() / 4))
    canvas.hits.append(Hit(box, mark.hover, mark.key))
    style = Style(max(8.0, min(13.0, 0.62 * box.height())))
    if text_width(mark.text, style) <= box.width() and text_height(style) <= box.height() + 4:
        words = ink_on(ground) if mark.strong else canvas.colour("text")
        canvas.text(mark.text, *_middle(box), style, words, (0.5, 0.5))


def words(canvas: Canvas, plot: Plot, mark: Text) -> None:
    """Words at a place of the plot."""
    x, y = plot.x.at(mark.x), plot.y.at(mark.y)
    if x is None or y is None:
        return
    anchor = {"left": 0.0, "centre": 0.5, "right": 1.0}[mark.align]
    if (
        canvas.text(mark.text, x, y, STRONG if mark.bold else LABEL, mark.colour, (anchor, 0.5))
        and mark.hover
    ):
        canvas.hits.append(Hit(canvas.texts[-1].rect, mark.hover))


def ink_on(ground: QColor) -> QColor:
    """White or near black, whichever has the higher contrast."""
    return max((QColor(ink) for ink in INKS), key=lambda ink: _contrast(ink, ground))


def mixed(over: QColor, under: QColor, share: float) -> QColor:
    """One opaque colour over another."""
    pairs = zip(_channels(over), _channels(under), strict=True)
    return QColor.fromRgbF(*(share * top + (1 - share) * ground for top, ground in pairs))


def _channels(colour: QColor) -> tuple[float, float, float]:
    return colour.redF(), colour.greenF(), colour.blueF()


def _contrast(one: QColor, other: QColor) -> float:
    """The ratio of relative luminances (WCAG 2.1)."""
    bright, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def _luminance(colour: QColor) -> float:
    channels = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in _channels(colour))
    return sum(weight * channel for weight, channel in zip((0.2126, 0.7152, 0.0722), channels, strict=True))


def _middle(box: QRectF) -> tuple[float, float]:
    return box.center().x(), box.center().y()
