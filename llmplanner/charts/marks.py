"""Painting each kind of mark, in pixels; every one leaves a hover area on the canvas."""

import itertools
from collections.abc import Sequence

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPolygonF

from llmplanner.charts import hover
from llmplanner.charts.canvas import LABEL, SMALL, STRONG, Canvas, Hit, Style, text_height, text_width
from llmplanner.charts.figure import Band, Bar, Cell, Dash, Line, Point, Rule, Segment, Text
from llmplanner.charts.layout import Plot
from llmplanner.charts.palette import ink_on, mixed
from llmplanner.charts.ticks import finite

SEAM = 1.5  # pixels of panel between two segments
THINNEST = 2.5  # pixels: a segment that is there is seen
THICK = 40.0
BAND = 0.22  # how much of its colour a band shows
CALLOUT = 14.0  # pixels between names under a bar
FARTHEST = 170.0  # pixels from the end of such a name to its segment
THINNEST_NAMED = 20.0  # pixels of a single bar, which has names in it
RADIUS = {"dot": 4.0, "ring": 4.5, "square": 4.0, "diamond": 5.0, "plan": 6.5}


def band(canvas: Canvas, plot: Plot, mark: Band) -> None:
    """The area between two curves, tinted, with thin edges: a narrow band is seen beside its curve."""
    upper = _pixels(plot, mark.xs, mark.highs)
    lower = _pixels(plot, mark.xs, mark.lows)
    tint = QColor(canvas.theme.stroke(mark.colour))
    tint.setAlphaF(BAND)
    canvas.painter.setPen(Qt.PenStyle.NoPen)
    canvas.painter.setBrush(tint)
    canvas.painter.drawPolygon(QPolygonF([*upper, *reversed(lower)]))
    tint.setAlphaF(2 * BAND)
    canvas.painter.setPen(canvas.pen(tint, 1.0))
    canvas.painter.setBrush(Qt.BrushStyle.NoBrush)
    for edge in (upper, lower):
        canvas.painter.drawPolyline(QPolygonF(_thinned(edge)))


def line(canvas: Canvas, plot: Plot, mark: Line) -> list[QPointF]:
    """A curve, dashed outside its fitted range. The pixels it runs through."""
    points = _pixels(plot, mark.xs, mark.ys)
    start, end = (plot.x.at(bound) for bound in mark.fitted) if mark.fitted else (None, None)
    for run, inside in _runs(points, start, end):
        dash: Dash = mark.dash if inside else "dashed"
        canvas.painter.setPen(canvas.pen(QColor(canvas.theme.stroke(mark.colour)), mark.width, dash))
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


def bar(canvas: Canvas, plot: Plot, mark: Bar) -> list[tuple[Segment, QRectF]]:
    """Stacked segments in the row of their category, names inside. The boxes of the segments."""
    boxes = _boxes(plot, mark)
    for segment, box in boxes:
        canvas.fill(box.adjusted(0, 0, -min(SEAM, box.width() / 3), 0), segment.colour)
        canvas.hits.append(Hit(box, hover.of_segment(segment, plot.x.axis), segment.key))
    return boxes


def name_bar(canvas: Canvas, plot: Plot, mark: Bar, boxes: list[tuple[Segment, QRectF]]) -> None:
    """A bar's total; its segments' names with their values inside, or below the topmost bar.

    What finds no room there is named without its value, where that fits.
    """
    place = plot.y.axis.names.index(mark.category)
    start = plot.x.at(mark.start) or plot.rect.left()
    end = boxes[-1][1].right() if boxes else start
    if mark.label:
        _total(canvas, plot, mark, end, plot.y.at(place) or plot.rect.top())
    named = [(segment, box) for segment, box in boxes if segment.label]
    rest = [(seg, box) for seg, box in named if not _name_inside(canvas, plot, seg, box, seg.label)]
    below = plot.rect.height() / len(plot.y.axis.names) - _thickness(plot)
    below = below / 2 if len(plot.y.axis.names) == 1 else below
    if place == 0 and below >= text_height(SMALL) + 9:
        rest = _names_below(canvas, plot, rest)
    for segment, box in rest:
        _name_inside(canvas, plot, segment, box, segment.series)


def _thickness(plot: Plot) -> float:
    """Of a bar; a single one leaves room above and below for words, where it can."""
    rows = max(1, len(plot.y.axis.names))
    row = plot.rect.height() / rows
    thick = max(2.0, min(0.56 * row, max(THICK, 0.28 * row)))
    room = 2 * (text_height(SMALL) + 11)
    return thick if rows > 1 else min(thick, max(THINNEST_NAMED, row - room))


def _boxes(plot: Plot, mark: Bar) -> list[tuple[Segment, QRectF]]:
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
    thick = _thickness(plot)
    top = (plot.y.at(plot.y.axis.names.index(mark.category)) or plot.rect.top()) - thick / 2
    return [
        (segment, QRectF(left, top, max(width, 1.0), thick))
        for (segment, _), left, width in zip(shown, lefts, widths, strict=False)
    ]


def _name_inside(canvas: Canvas, plot: Plot, segment: Segment, box: QRectF, words: str) -> bool:
    """Writes words into a segment, if they fit beside the lines of limits."""
    edges = [box.left(), *sorted(x for x in _limits(plot) if box.left() < x < box.right()), box.right()]
    left, right = max(itertools.pairwise(edges), key=lambda ends: ends[1] - ends[0])
    ink = QColor(ink_on(canvas.theme.colour(segment.colour)))
    for style in (LABEL, SMALL):
        if text_width(words, style) + 8 <= right - left and text_height(style) <= box.height():
            return canvas.text(words, (left + right) / 2, box.center().y(), style, ink, (0.5, 0.5))
    return False


def _total(canvas: Canvas, plot: Plot, mark: Bar, end: float, middle: float) -> None:
    """The bar's label where no limit's line runs: behind its end, above it, behind the lines, or inside."""
    width = text_width(mark.label, STRONG)
    upper, alone = middle - _thickness(plot) / 2 - 3, len(plot.y.axis.names) == 1
    crossed = [x for x in _limits(plot) if end - width - 4 < x < end + width + 12]
    places = [(end + 8, middle, 0.5)]
    if alone:
        highest = max(end, plot.rect.left() + width)
        places += [(right - width, upper, 1.0) for right in (highest, *(x - 6 for x in crossed))]
    places += [(x + 8, middle, 0.5) for x in sorted(crossed)]
    places += [(right - width, middle, 0.5) for right in (end - 6, *(x - 6 for x in sorted(crossed)))]
    for x, y, anchor in places:
        inside = canvas.bounds.left() <= x and x + width <= canvas.bounds.right()
        if not inside or _limit_between(plot, x - 4, x + width + 4):
            continue
        if canvas.text(mark.label, x, y, STRONG, mark.label_colour, (0.0, anchor), grounded=True):
            if mark.hover:
                canvas.hits.append(Hit(canvas.texts[-1].rect, mark.hover))
            return


def _limits(plot: Plot) -> list[float]:
    """Where the lines of vertical limits run."""
    rules = (mark for mark in plot.figure.marks if isinstance(mark, Rule) and mark.axis == "x")
    return [place for mark in rules if (place := plot.x.at(mark.value)) is not None]


def _limit_between(plot: Plot, left: float, right: float) -> bool:
    return any(left <= place <= right for place in _limits(plot))


def _names_below(
    canvas: Canvas, plot: Plot, outside: Sequence[tuple[Segment, QRectF]]
) -> list[tuple[Segment, QRectF]]:
    """Names of narrow segments in a row under the bar, each led to its segment by a hair line.

    They stand between the lines of limits, near their segments; where not all fit, the narrowest are left
    out. Those that were not written.
    """
    wanted, gaps = list(outside), _gaps(plot)
    while wanted:
        lefts = _beneath(wanted, gaps)
        if lefts is not None:
            break
        wanted.remove(min(wanted, key=lambda pair: pair[1].width()))
    else:
        return list(outside)
    written = []
    for (segment, box), x in zip(wanted, lefts, strict=True):
        width, top = text_width(segment.label, SMALL), box.bottom() + 7
        if canvas.text(segment.label, x, top, SMALL, "mute", grounded=True):
            foot = min(max(box.center().x(), x + 3), x + width - 3)
            canvas.line(box.center().x(), box.bottom() + 1, foot, top + 1, canvas.pen("mute", 0.8))
            written.append(segment)
    return [pair for pair in outside if pair[0] not in written]


def _gaps(plot: Plot) -> list[tuple[float, float]]:
    """The room between the lines of limits, from left to right."""
    left, right = plot.rect.left() - 4, plot.rect.right() + 10
    edges = [left, *sorted(x for x in _limits(plot) if left < x < right), right]
    return [(low + 4, high - 4) for low, high in itertools.pairwise(edges)]


def _beneath(
    wanted: Sequence[tuple[Segment, QRectF]], gaps: Sequence[tuple[float, float]]
) -> list[float] | None:
    """Left edges of the names, in their order; None where they do not all fit near their segments."""
    filled: list[list[tuple[float, float]]] = [[] for _ in gaps]  # (centre, width)
    first = 0
    for segment, box in wanted:
        centre, width = box.center().x(), text_width(segment.label, SMALL)
        fits = [
            place
            for place, (low, high) in enumerate(gaps)
            if place >= first and sum(w + CALLOUT for _, w in filled[place]) + width <= high - low
        ]
        if not fits:
            return None
        first = min(fits, key=lambda place: max(gaps[place][0] - centre, centre - gaps[place][1], 0.0))
        filled[first].append((centre, width))
    lefts: list[float] = []
    for names, (low, high) in zip(filled, gaps, strict=True):
        centres, widths = [centre for centre, _ in names], [width for _, width in names]
        found = spread(centres, widths, low, high)
        far = [abs(x + w / 2 - at) - w / 2 for x, w, at in zip(found, widths, centres, strict=True)]
        if max(far, default=0.0) > FARTHEST:
            return None
        lefts += found
    return lefts


def spread(centres: Sequence[float], widths: Sequence[float], low: float, high: float) -> list[float]:
    """Left edges that put each width near its centre without touching, all between low and high."""
    lefts: list[float] = []
    for place, (centre, width) in enumerate(zip(centres, widths, strict=True)):
        free = lefts[-1] + widths[place - 1] + CALLOUT if lefts else low
        lefts.append(max(centre - width / 2, free))
    if lefts:  # pushed to the right one by one: move all back by half of the push, but not over the edges
        push = lefts[-1] + widths[-1] / 2 - centres[-1]
        back = max(push / 2, lefts[-1] + widths[-1] - high, 0.0)
        lefts = [left - back for left in lefts]
        for place, left in enumerate(lefts):
            lefts[place] = max(left, low if not place else lefts[place - 1] + widths[place - 1] + CALLOUT)
    return lefts


def swatch(canvas: Canvas, box: QRectF, colour: str, kind: type) -> None:
    """A series in the legend, as its marks look: a line, a dot, a tint or a box."""
    if kind is Line:
        canvas.line(
            box.left() - 1,
            box.center().y(),
            box.right() + 1,
            box.center().y(),
            canvas.pen(QColor(canvas.theme.stroke(colour)), 2.5),
        )
    elif kind is Point:
        canvas.fill(box.adjusted(1, 1, -1, -1), colour, radius=4)
    else:
        theme = canvas.theme
        tint = QColor(mixed(theme.colour(colour), theme.panel, 0.3))
        canvas.fill(box, tint if kind is Band else colour, radius=2)


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
    canvas.painter.setBrush(ground if mark.marker == "ring" else ink)
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
    full = canvas.theme.colour(mark.colour)
    ground = full if mark.strong else mixed(full, canvas.theme.panel, 0.22)
    canvas.fill(box, QColor(ground), radius=min(3.0, box.width() / 4))
    canvas.hits.append(Hit(box, mark.hover, mark.key))
    style = Style(max(8.0, min(13.0, 0.62 * box.height())))
    if text_width(mark.text, style) <= box.width() and text_height(style) <= box.height() + 4:
        canvas.text(mark.text, *_middle(box), style, QColor(ink_on(ground)), (0.5, 0.5))


def words(canvas: Canvas, plot: Plot, mark: Text) -> None:
    """Words at a place of the plot."""
    x, y = plot.x.at(mark.x), plot.y.at(mark.y)
    if x is None or y is None:
        return
    anchor = {"left": 0.0, "centre": 0.5, "right": 1.0}[mark.align]
    style = STRONG if mark.bold else LABEL
    written = canvas.text(mark.text, x, y, style, mark.colour, (anchor, 0.5), grounded=mark.grounded)
    if written and mark.hover:
        canvas.hits.append(Hit(canvas.texts[-1].rect, mark.hover))


def _middle(box: QRectF) -> tuple[float, float]:
    return box.center().x(), box.center().y()
