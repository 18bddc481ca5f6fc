"""A chart that can be panned and zoomed. pyqtgraph reads the mouse; the picture is painted as every chart is.

pyqtgraph takes long to import: that happens in a thread after the window's first paint, and until then the
chart stands still.
"""

import importlib
import logging
import math
from functools import cache
from typing import Any

from msgspec.structs import replace
from PySide6.QtCore import QEvent, QObject, QRect, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QAction, QKeyEvent, QMouseEvent, QPaintEvent, QShowEvent
from PySide6.QtWidgets import QWidget

from llmplanner.app.chart_view import ChartView
from llmplanner.app.jobs import ThreadJob
from llmplanner.app.qt_types import make_types
from llmplanner.charts.figure import Axis, Figure
from llmplanner.charts.layout import Span, is_log

SHAKE = 4.0  # pixels that a hand moves in a click
STEP = 0.8  # of the range, for one press of +
Range = tuple[float, float]


class Loader(QObject):
    """Imports pyqtgraph once, in a thread. `ready` comes to the GUI thread when it is there."""

    ready = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.module: Any = None
        self._started = False

    def start(self) -> None:
        """Begins the import; further calls do nothing."""
        if not self._started:
            self._started = True
            make_types(self._load)

    def _load(self) -> None:
        job = ThreadJob("Loading pyqtgraph", _pyqtgraph)
        job.done.connect(self._take)
        job.start()

    def _take(self, module: Any) -> None:  # noqa: ANN401 - a module without types
        if module is not None:
            self.module = module
            self.ready.emit()


def _pyqtgraph() -> object:
    """The module; None where it is not installed: the charts then stand still, nothing else is lost."""
    try:
        return importlib.import_module("pyqtgraph")
    except ImportError as error:
        logging.getLogger(__name__).warning("Charts cannot be zoomed: %s", error)
        return None


@cache
def loader() -> Loader:
    """The one loader of this program."""
    return Loader()


class ZoomView(ChartView):
    """Drag to pan, wheel to zoom, double-click for the whole range; +, − and 0 on the keyboard."""

    def __init__(self, parent: QWidget | None = None, *, least: QSize | None = None) -> None:
        super().__init__(parent, least=least)
        self._whole = self._figure  # with the ranges that its builder gave it
        self._mouse: Any = None  # pyqtgraph's view, which is seen through
        self._box: Any = None  # its ViewBox
        self._pressed: QMouseEvent | None = None
        self.setToolTip("Drag to move, turn the wheel to zoom, double-click for the whole range.")

    def show_figure(self, figure: Figure) -> None:
        """Shows other data; ranges that the user chose stay as long as the axes are the same."""
        zoomed = self._figure != self._whole and self._whole.x == figure.x and self._whole.y == figure.y
        ranges = (self._figure.x, self._figure.y)
        self._whole = figure
        super().show_figure(replace(figure, x=ranges[0], y=ranges[1]) if zoomed else figure)

    def reset(self) -> None:
        """Shows the whole range."""
        super().show_figure(self._whole)
        self.update()

    def zoom(self, factor: float) -> None:
        """Shows `factor` of the ranges, about their middle; more than 1 shows more."""
        if self._drawn.plots:
            spans = (self._drawn.plots[0].x, self._drawn.plots[0].y)
            self.show_ranges(*(_scaled(_inner(span), factor) for span in spans))

    def show_ranges(self, x: Range, y: Range) -> None:
        """Shows these ranges: values, or their logarithms on log axes."""
        figure = replace(self._figure, x=_ranged(self._figure.x, x), y=_ranged(self._figure.y, y))
        super().show_figure(figure)

    # pyqtgraph's part

    def showEvent(self, event: QShowEvent) -> None:
        """Asks for pyqtgraph once the chart is on the screen."""
        super().showEvent(event)
        if self._mouse is None:
            loader().ready.connect(self._attach, Qt.ConnectionType.UniqueConnection)
            QTimer.singleShot(0, self._ask)

    def _ask(self) -> None:
        if loader().module is None:
            loader().start()
        else:
            self._attach()

    def _attach(self) -> None:
        """Lays pyqtgraph's view over the plot; it paints nothing."""
        if self._mouse is not None:
            return
        pyqtgraph = loader().module
        self._mouse = pyqtgraph.GraphicsView(self, background=None)
        self._box = pyqtgraph.ViewBox(enableMenu=False)
        self._mouse.setCentralItem(self._box)
        self._mouse.setStyleSheet("background: transparent; border: 0;")
        self._mouse.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._mouse.setAccessibleName("Pan and zoom")
        self._mouse.setToolTip(self.toolTip())
        self._mouse.viewport().setMouseTracking(True)
        self._mouse.viewport().installEventFilter(self)
        self._box.sigRangeChangedManually.connect(self._moved)
        self._lay_over()
        self._mouse.show()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paints the figure, then keeps pyqtgraph's view on the plot."""
        super().paintEvent(event)
        if self._mouse is not None and self._mouse.geometry() != self._plot_area():
            QTimer.singleShot(0, self._lay_over)

    def _plot_area(self) -> QRect:
        plots = self._drawn.plots
        return plots[0].rect.toAlignedRect() if len(plots) == 1 else QRect()

    def _lay_over(self) -> None:
        if not self._drawn.plots:
            return
        self._mouse.setGeometry(self._plot_area())
        x, y = _inner(self._drawn.plots[0].x), _inner(self._drawn.plots[0].y)
        self._box.setRange(xRange=x, yRange=y, padding=0)
        self._mouse.setVisible(not self._plot_area().isEmpty())

    def _moved(self, *_: object) -> None:
        x, y = self._box.viewRange()
        self.show_ranges((x[0], x[1]), (y[0], y[1]))

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Passes on what pyqtgraph does not use: pointing, clicks that do not drag, double-clicks."""
        if not isinstance(event, QMouseEvent):
            return super().eventFilter(watched, event)
        here = event.position() + self._mouse.pos().toPointF()
        if event.type() is QEvent.Type.MouseMove and not event.buttons():
            self.point_at(here)
        elif event.type() is QEvent.Type.MouseButtonPress and event.button() is Qt.MouseButton.LeftButton:
            self._pressed = event.clone()
            self.setFocus(Qt.FocusReason.MouseFocusReason)
        elif event.type() is QEvent.Type.MouseButtonRelease and self._pressed is not None:
            still = (event.position() - self._pressed.position()).manhattanLength() < SHAKE
            self._pressed = None
            if still:
                self.click_at(here)
        elif event.type() is QEvent.Type.MouseButtonDblClick:
            self.reset()
            return True
        return super().eventFilter(watched, event)

    # Keyboard and menu

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Zooms with + and −, shows all with 0."""
        if event.text() in {"+", "="}:
            self.zoom(STEP)
        elif event.text() == "-":
            self.zoom(1 / STEP)
        elif event.text() == "0":
            self.reset()
        else:
            super().keyPressEvent(event)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:  # noqa: ARG002 - anywhere in the chart
        """Shows the whole range."""
        self.reset()

    def chart_actions(self, owner: QWidget) -> list[QAction]:
        """Reset view, Copy and Export."""
        reset = QAction("&Reset view", owner)
        reset.setEnabled(self._figure != self._whole)
        reset.triggered.connect(self.reset)
        return [reset, *super().chart_actions(owner)]


def _inner(span: Span) -> Range:
    """A span's range as pyqtgraph is told: logarithms on log axes, upwards on the screen."""
    low, high = (math.log10(span.low), math.log10(span.high)) if is_log(span.axis) else (span.low, span.high)
    return low, high


def _scaled(ends: Range, factor: float) -> Range:
    middle, half = (ends[0] + ends[1]) / 2, (ends[1] - ends[0]) / 2 * factor
    return middle - half, middle + half


def _ranged(axis: Axis, ends: Range) -> Axis:
    """The axis with this range."""
    if is_log(axis):
        low, high = (10 ** max(-290.0, min(290.0, end)) for end in ends)
        return replace(axis, low=low, high=high)
    return replace(axis, low=ends[0], high=ends[1])
