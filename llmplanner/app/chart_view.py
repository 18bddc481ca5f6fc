"""Shows a figure in the window with the painter that also makes the files; hover tells, a click pins."""

from PySide6.QtCore import QEvent, QPoint, QPointF, QSize, Qt, Signal
from PySide6.QtGui import (
    QAction,
    QContextMenuEvent,
    QFocusEvent,
    QGuiApplication,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
)
from PySide6.QtWidgets import QLabel, QMenu, QSizePolicy, QToolTip, QWidget

from llmplanner.charts.canvas import Hit
from llmplanner.charts.draw import CARD, Drawn, draw
from llmplanner.charts.figure import HIDDEN, Figure
from llmplanner.charts.palette import LIGHT, Theme

EMPTY = Figure("empty", "", HIDDEN, HIDDEN, ())


class ChartView(QWidget):
    """One figure, drawn to fill the widget.

    `clicked` carries the key of a mark that has one (a bit, a model); a click on any other pins its words.
    With the keyboard, the arrows go from mark to mark, Return is the click, Escape unpins.
    """

    clicked = Signal(str)

    def __init__(self, parent: QWidget | None = None, *, least: QSize | None = None) -> None:
        super().__init__(parent)
        self._figure, self._theme = EMPTY, LIGHT
        self._drawn = Drawn((), (), ())
        self._place = -1  # of the keyboard among the hits
        self._by_keyboard = False
        self.pin = QLabel(self)
        self.pin.setTextFormat(Qt.TextFormat.PlainText)
        self.pin.setWordWrap(True)
        self.pin.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.pin.hide()
        self.setMinimumSize(least or QSize(200, 140))
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setMouseTracking(True)
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)  # what lies beneath is not painted first
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setToolTip(
            "Point at a mark for its exact value; click to keep it; right-click to copy or export."
        )

    def sizeHint(self) -> QSize:
        """What a chart likes to have."""
        return QSize(480, 280)

    def figure(self) -> Figure:
        """What is shown, as Export and Copy take it."""
        return self._figure

    def show_figure(self, figure: Figure) -> None:
        """Shows another figure, or the same one with other data."""
        if figure == self._figure:
            return
        self._figure = figure
        self._place = -1
        self.pin.hide()
        self.setAccessibleName(figure.title)
        self.setAccessibleDescription(figure.description)
        self.update()

    def show_theme(self, theme: Theme) -> None:
        """Takes the colours of a theme."""
        self._theme = theme
        self.pin.setStyleSheet(
            f"background: {theme.panel}; color: {theme.text}; border: 1px solid {theme.mute};"
            "border-radius: 6px; padding: 6px 8px;"
        )
        self.update()

    def drawn(self) -> Drawn:
        """What was painted last: where its words and marks are."""
        return self._drawn

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: ARG002 - the whole is painted
        """Paints the figure, and a ring around it while it has the keyboard."""
        with QPainter(self) as painter:
            self._drawn = draw(painter, self.width(), self.height(), self._figure, self._theme, CARD)
            if self.hasFocus() and self._by_keyboard:
                pen = painter.pen()
                pen.setColor(self._theme.accent)
                painter.setPen(pen)
                painter.setBrush(Qt.BrushStyle.NoBrush)
                painter.drawRoundedRect(self.rect().adjusted(0, 0, -1, -1), 4, 4)

    def focusInEvent(self, event: QFocusEvent) -> None:
        """Remembers whether the keyboard came here: then a ring shows it."""
        self._by_keyboard = event.reason() in {
            Qt.FocusReason.TabFocusReason,
            Qt.FocusReason.BacktabFocusReason,
        }
        super().focusInEvent(event)

    def event(self, event: QEvent) -> bool:
        """Keeps the standing tool tip from covering what the pointer is told."""
        if event.type() is QEvent.Type.ToolTip and self._drawn.hits:
            return True
        return super().event(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Tells what lies under the pointer."""
        self.point_at(event.position())

    def point_at(self, place: QPointF) -> None:
        """Shows the words of the mark at a place, or none."""
        hit = self._drawn.at(place.x(), place.y())
        clickable = hit is not None and bool(hit.key)
        self.setCursor(Qt.CursorShape.PointingHandCursor if clickable else Qt.CursorShape.ArrowCursor)
        words = _as_html(hit.text) if hit else ""
        QToolTip.showText(self.mapToGlobal(place.toPoint()), f"<p>{words}</p>" if words else "", self)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Clicks the mark under the pointer."""
        if event.button() is Qt.MouseButton.LeftButton:
            self.click_at(event.position())

    def click_at(self, place: QPointF) -> None:
        """Reports the key of the mark at a place, else pins its words; beside all marks, unpins."""
        hit = self._drawn.at(place.x(), place.y())
        if hit is None:
            self.pin.hide()
        elif hit.key:
            self.clicked.emit(hit.key)
        else:
            self._pin(hit, place.toPoint())

    def _pin(self, hit: Hit, place: QPoint) -> None:
        """Keeps a mark's words in view, near the place and inside the chart."""
        self.pin.setText(hit.text)
        self.pin.setMaximumWidth(max(120, self.width() - 8))
        self.pin.adjustSize()
        left = max(2, min(place.x() + 12, self.width() - self.pin.width() - 2))
        top = max(2, min(place.y() + 12, self.height() - self.pin.height() - 2))
        self.pin.move(left, top)
        self.pin.show()
        self.pin.raise_()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Goes from mark to mark; Return clicks, Escape unpins."""
        stops = [hit for hit in self._drawn.hits if hit.text and not hit.path]
        step = {Qt.Key.Key_Right: 1, Qt.Key.Key_Down: 1, Qt.Key.Key_Left: -1, Qt.Key.Key_Up: -1}.get(
            Qt.Key(event.key()), 0
        )
        if step and stops:
            self._place = (
                (self._place + step) % len(stops) if self._place >= 0 else (0 if step > 0 else len(stops) - 1)
            )
            hit = stops[self._place]
            self._pin(hit, hit.area.center().toPoint())
        elif event.key() in {
            Qt.Key.Key_Return,
            Qt.Key.Key_Enter,
            Qt.Key.Key_Space,
        } and 0 <= self._place < len(stops):
            if stops[self._place].key:
                self.clicked.emit(stops[self._place].key)
        elif event.key() == Qt.Key.Key_Escape and self.pin.isVisible():
            self.pin.hide()
        else:
            super().keyPressEvent(event)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        """Offers what can be done with the chart."""
        menu = QMenu(self)
        menu.addActions(self.chart_actions(menu))
        menu.exec(event.globalPos())

    def chart_actions(self, owner: QWidget) -> list[QAction]:
        """Copy and Export."""
        copy = QAction("&Copy chart", owner)
        copy.triggered.connect(self.copy)
        export = QAction("&Export chart…", owner)
        export.triggered.connect(self.export)
        return [copy, export]

    def copy(self) -> None:
        """Puts the chart onto the clipboard as image, SVG and table."""
        from llmplanner.charts.render import Look, clipboard  # noqa: PLC0415 - not before it is asked for

        look = Look(width=max(400, self.width()), height=max(300, self.height()), theme=self._theme)
        QGuiApplication.clipboard().setMimeData(clipboard(self.figure(), look))

    def export(self) -> None:
        """Asks for a file and writes the chart."""
        from llmplanner.app.dialogs.export import ExportDialog  # noqa: PLC0415 - not before it is asked for

        ExportDialog(self.figure(), self.window()).open()


def _as_html(text: str) -> str:
    """Plain text for a tool tip that wraps."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("\n", "<br>")
