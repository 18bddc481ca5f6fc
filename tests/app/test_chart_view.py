"""The chart in the window: the same picture as the file, hover, pins, keyboard, zoom."""

import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QColor, QGuiApplication, QImage, QPainter, QWheelEvent
from PySide6.QtWidgets import QApplication, QToolTip
from pytestqt.qtbot import QtBot

from llmplanner.app.chart_view import ChartView
from llmplanner.app.zoom_view import ZoomView, loader
from llmplanner.charts.draw import CARD, draw
from llmplanner.charts.figure import Figure
from llmplanner.charts.palette import DARK, LIGHT, Theme
from tests.charts.figures import GIB, bits, memory, scaling

pytestmark = pytest.mark.qt_log_ignore("This plugin does not support")  # offscreen says so of every tool tip
LEFT = Qt.MouseButton.LeftButton


def shown(qtbot: QtBot, view: ChartView, figure: Figure, theme: Theme = LIGHT) -> ChartView:
    qtbot.addWidget(view)
    view.show_theme(theme)
    view.show_figure(figure)
    view.resize(800, 400)
    with qtbot.waitExposed(view):
        view.show()
    qtbot.waitUntil(lambda: bool(view.drawn().plots))
    return view


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("kind", [ChartView, ZoomView])
def test_the_window_shows_what_the_file_shows(qtbot: QtBot, kind: type[ChartView], theme: Theme) -> None:
    view = shown(qtbot, kind(), scaling(), theme)
    view.setStyleSheet(f"background: {theme.panel};")
    seen = view.grab().toImage().convertToFormat(QImage.Format.Format_RGB32)
    drawn = QImage(800, 400, QImage.Format.Format_RGB32)
    with QPainter(drawn) as painter:
        draw(painter, 800, 400, scaling(), theme, CARD)
    places = [(x, y) for y in range(4, 396, 2) for x in range(4, 796, 2)]
    unlike = sum(
        abs(QColor(seen.pixel(x, y)).lightness() - QColor(drawn.pixel(x, y)).lightness()) > 24
        for x, y in places
    )
    assert unlike <= len(places) // 1000


def middle_of_weights(view: ChartView) -> QPoint:
    plot = view.drawn().plots[0]
    return QPointF(plot.x.at(8 * GIB) or 0, plot.rect.center().y()).toPoint()


def test_pointing_tells_and_a_click_keeps_it(qtbot: QtBot) -> None:
    view = shown(qtbot, ChartView(), memory())
    qtbot.mouseMove(view, middle_of_weights(view))
    qtbot.waitUntil(lambda: "16,060,522,496 bytes" in QToolTip.text())
    qtbot.mouseClick(view, LEFT, pos=middle_of_weights(view))
    assert view.pin.isVisible()
    assert "16,060,522,496 bytes" in view.pin.text()
    assert view.rect().contains(view.pin.geometry())
    qtbot.keyClick(view, Qt.Key.Key_Escape)
    assert not view.pin.isVisible()


def test_a_click_on_a_bit_reports_it(qtbot: QtBot) -> None:
    view = shown(qtbot, ChartView(), bits())
    hit = next(hit for hit in view.drawn().hits if hit.key == "3")
    with qtbot.waitSignal(view.clicked) as caught:
        qtbot.mouseClick(view, LEFT, pos=hit.area.center().toPoint())
    assert caught.args == ["3"]


def test_the_keyboard_goes_from_mark_to_mark(qtbot: QtBot) -> None:
    view = shown(qtbot, ChartView(), memory())
    qtbot.keyClick(view, Qt.Key.Key_Right)
    first = view.pin.text()
    qtbot.keyClick(view, Qt.Key.Key_Right)
    assert view.pin.text() != first
    qtbot.keyClick(view, Qt.Key.Key_Left)
    assert view.pin.text() == first


def test_a_chart_speaks(qtbot: QtBot) -> None:
    view = shown(qtbot, ChartView(), memory())
    assert view.accessibleName() == memory().title
    assert view.accessibleDescription() == memory().description


def test_copy_fills_the_clipboard(qtbot: QtBot) -> None:
    view = shown(qtbot, ChartView(), memory())
    view.copy()
    data = QGuiApplication.clipboard().mimeData()
    assert data.hasImage()
    assert "16060522496" in data.text()


def overlay(qtbot: QtBot, view: ZoomView) -> object:
    qtbot.waitUntil(lambda: loader().module is not None, timeout=20_000)
    qtbot.waitUntil(lambda: view._mouse is not None and view._mouse.isVisible(), timeout=5000)
    return view._mouse.viewport()


def test_the_wheel_zooms_and_a_double_click_resets(qtbot: QtBot) -> None:
    view = ZoomView()
    shown(qtbot, view, scaling())
    surface = view._mouse.viewport() if overlay(qtbot, view) else None
    assert surface is not None
    middle = QPointF(surface.rect().center())
    wheel = QWheelEvent(
        middle, surface.mapToGlobal(middle), QPoint(), QPoint(0, 120), Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    QApplication.sendEvent(surface, wheel)
    qtbot.waitUntil(lambda: view.figure() != scaling())
    qtbot.wait(30)
    near = view.drawn().plots[0].x
    assert near.high / near.low < 10 ** (4.5 * 1.08)
    assert view.figure().x.high == pytest.approx(near.high)  # what Export takes
    qtbot.mouseDClick(surface, LEFT, pos=surface.rect().center())
    assert view.figure() == scaling()


def test_dragging_pans(qtbot: QtBot) -> None:
    view = ZoomView()
    shown(qtbot, view, scaling())
    overlay(qtbot, view)
    surface = view._mouse.viewport()
    before = view.drawn().plots[0].x.low
    centre = surface.rect().center()
    qtbot.mousePress(surface, LEFT, pos=centre)
    for step in range(1, 9):
        qtbot.mouseMove(surface, centre + QPoint(step * 10, 0))
    qtbot.mouseRelease(surface, LEFT, pos=centre + QPoint(80, 0))
    qtbot.waitUntil(lambda: view.drawn().plots[0].x.low < before)


def test_the_keyboard_zooms(qtbot: QtBot) -> None:
    view = ZoomView()
    shown(qtbot, view, scaling())
    whole = view.drawn().plots[0].x
    qtbot.keyClicks(view, "+")
    qtbot.waitUntil(lambda: view.drawn().plots[0].x.high < whole.high)
    qtbot.keyClicks(view, "0")
    assert view.figure() == scaling()
