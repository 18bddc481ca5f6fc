"""A painter that remembers where its words and its hover areas are, and never lets two texts touch."""

from dataclasses import dataclass, field
from functools import cache, lru_cache
from threading import get_ident

from msgspec import Struct
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QBrush, QColor, QFont, QFontDatabase, QFontMetricsF, QPainter, QPainterPath, QPen

from llmplanner.charts.figure import Dash
from llmplanner.charts.palette import Theme
from llmplanner.resources import folder

FAMILIES = ("Inter", "Segoe UI", "SF Pro Text", "DejaVu Sans")
DASHES: dict[Dash, list[float]] = {"solid": [], "dashed": [4.0, 3.0], "dotted": [1.0, 2.5]}  # in line widths
ELLIPSIS = "…"
GROUND = 3.5  # pixels of panel at both ends of words that lie on a line


class Style(Struct, frozen=True):
    """How words are set. Sizes are pixels at 96 per inch."""

    size: float = 12.0
    bold: bool = False


TICK = Style(12)
LABEL = Style(12)
STRONG = Style(12, bold=True)
TITLE = Style(16, bold=True)
HEADING = Style(13, bold=True)
SMALL = Style(11)


@cache
def load_fonts() -> None:
    """Makes the shipped font known to Qt; needs an application."""
    for path in sorted((folder() / "fonts").glob("*.ttf")):
        QFontDatabase.addApplicationFont(str(path))


def font(style: Style) -> QFont:
    """The font of a style. Without hinting a text is as wide on paper as on screen."""
    return _font(style, get_ident())


@lru_cache(maxsize=64)
def _font(style: Style, _thread: int) -> QFont:
    """A font for one thread: Qt keeps its engine for the thread that used it; exports run in another."""
    made = QFont()
    made.clearFeatures()  # those of the application's own font
    made.setFamilies(list(FAMILIES))
    made.setPixelSize(round(style.size))
    made.setWeight(QFont.Weight.DemiBold if style.bold else QFont.Weight.Normal)
    made.setHintingPreference(QFont.HintingPreference.PreferNoHinting)
    made.setFeature(QFont.Tag("calt"), 0)  # Inter's alternate brackets, and its figures of equal width
    made.setFeature(QFont.Tag("tnum"), 0)  # (tnum), have no letter in a PDF's text: none could search it
    return made


def _metrics(style: Style) -> QFontMetricsF:
    return _font_metrics(style, get_ident())


@lru_cache(maxsize=64)
def _font_metrics(style: Style, _thread: int) -> QFontMetricsF:
    return QFontMetricsF(font(style))


@lru_cache(maxsize=4096)
def text_width(words: str, style: Style) -> float:
    """Pixels that the words take."""
    return _metrics(style).horizontalAdvance(words)


def text_height(style: Style) -> float:
    """Pixels from ascent to descent."""
    return _metrics(style).height()


def elide(words: str, style: Style, room: float) -> str:
    """The words, cut with an ellipsis where wider than `room`; empty where not even a letter fits."""
    if text_width(words, style) <= room:
        return words
    cut = words
    while cut and text_width(cut.rstrip() + ELLIPSIS, style) > room:
        cut = cut[:-1]
    return cut.rstrip() + ELLIPSIS if cut else ""


def wrap(words: str, style: Style, room: float, most: int) -> list[str]:
    """The words in lines of at most `room` pixels; what is over after `most` lines is cut."""
    lines: list[str] = []
    for word in words.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and text_width(longer, style) <= room:
            lines[-1] = longer
        else:
            lines.append(word)
    if len(lines) > most:
        lines[most - 1 :] = [" ".join(lines[most - 1 :])]
    return [line for line in (elide(line, style, room) for line in lines) if line]


class TextBox(Struct, frozen=True):
    """Words as they were painted, and where."""

    text: str
    rect: QRectF


class Hit(Struct, frozen=True):
    """What the pointer finds: an area, or a curve's points, with the words to show there."""

    area: QRectF
    text: str
    key: str = ""
    path: tuple[tuple[QPointF, str], ...] = ()  # of a curve: its points, each with its own words


@dataclass(slots=True)
class Canvas:
    """One picture being painted. `outlines` draws text as shapes, for readers without the font."""

    painter: QPainter
    bounds: QRectF
    theme: Theme
    outlines: bool = False
    texts: list[TextBox] = field(default_factory=list)
    hits: list[Hit] = field(default_factory=list)
    blocked: list[QRectF] = field(default_factory=list)  # markers and the like, which no label may cover

    def colour(self, key: str) -> QColor:
        """A palette key as a colour."""
        return QColor(self.theme.colour(key))

    def pen(self, colour: QColor | str, width: float = 1.0, dash: Dash = "solid") -> QPen:
        """A pen of a width in pixels; never a cosmetic one, which files get wrong."""
        pen = QPen(self.colour(colour) if isinstance(colour, str) else colour, max(width, 0.1))
        pen.setCosmetic(False)
        pen.setCapStyle(Qt.PenCapStyle.FlatCap)
        if DASHES[dash]:
            pen.setDashPattern(DASHES[dash])
        return pen

    def line(self, x1: float, y1: float, x2: float, y2: float, pen: QPen) -> None:
        """A straight line."""
        self.painter.setPen(pen)
        self.painter.drawLine(QPointF(x1, y1), QPointF(x2, y2))

    def fill(self, rect: QRectF, colour: QColor | str, radius: float = 0.0) -> None:
        """A filled box without an edge."""
        self.painter.setPen(Qt.PenStyle.NoPen)
        self.painter.setBrush(self.colour(colour) if isinstance(colour, str) else colour)
        if radius:
            self.painter.drawRoundedRect(rect, radius, radius)
        else:
            self.painter.drawRect(rect)

    def is_free(self, rect: QRectF, *, marks_too: bool = True) -> bool:
        """Whether a text may stand here: inside the picture, on no other text and, if asked, on no marker."""
        if not self.bounds.contains(rect):
            return False
        if any(rect.intersects(box.rect) for box in self.texts):
            return False
        return not marks_too or not any(rect.intersects(mark) for mark in self.blocked)

    def box(self, words: str, x: float, y: float, style: Style, anchor: tuple[float, float]) -> QRectF:
        """Where words would stand: anchor (0, 0) puts their top left corner there, (1, 1) the opposite."""
        width, height = text_width(words, style), text_height(style)
        return QRectF(x - anchor[0] * width, y - anchor[1] * height, width, height)

    def text(
        self,
        words: str,
        x: float,
        y: float,
        style: Style = LABEL,
        colour: QColor | str = "text",
        anchor: tuple[float, float] = (0.0, 0.0),
        *,
        grounded: bool = False,
    ) -> bool:
        """Writes words, unless they would touch others or leave the picture. Whether they were written."""
        rect = self.box(words, x, y, style, anchor)
        if not words or not self.is_free(rect, marks_too=False):
            return False
        if grounded:
            ground = self.colour("panel")
            ground.setAlphaF(0.86)
            self.fill(rect.adjusted(-GROUND, 0, GROUND, 0), ground, radius=2)
        self.texts.append(TextBox(words, rect))
        ink = QColor(self.theme.ink(colour)) if isinstance(colour, str) else colour
        baseline = QPointF(rect.left(), rect.top() + _metrics(style).ascent())
        if self.outlines:
            path = QPainterPath()
            path.addText(baseline, font(style), words)
            self.painter.fillPath(path, QBrush(ink))
            ink = QColor(
                ink.red(), ink.green(), ink.blue(), 0
            )  # the words themselves, unseen: to search and copy
        self.painter.setPen(QPen(ink))
        self.painter.setFont(font(style))
        self.painter.drawText(baseline, words)
        return True
