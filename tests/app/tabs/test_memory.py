"""The Memory page: every term and the chosen one are in view, and the figures beside them follow."""

import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from llmplanner.app.main import example_window
from llmplanner.app.tabs.memory import MemoryTab
from llmplanner.app.window import Window
from llmplanner.charts.palette import SERIES


@pytest.fixture
def window(qtbot: QtBot) -> Window:
    shown = example_window()
    qtbot.addWidget(shown)
    shown.resize(1280, 800)
    with qtbot.waitExposed(shown):
        shown.show()
    return shown


def page(window: Window) -> MemoryTab:
    assert isinstance(window.page, MemoryTab)
    return window.page


@pytest.mark.parametrize("entries", [{}, {"task": "finetune"}, {"task": "pretrain", "count": 64, "zero": 3}])
def test_all_terms_are_seen_whichever_is_chosen(
    window: Window, qtbot: QtBot, entries: dict[str, object]
) -> None:
    window.session.edit(**entries)
    table = page(window).table
    height = table.height()
    for row, term in enumerate(table.rows.terms):
        place = table.visualRect(table.rows.index(row, 0)).center()
        qtbot.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=place)
        qtbot.wait(20)
        assert term.formula in page(window).receipt.words.toPlainText()  # whole
        assert term.formula in str(table.rows.data(table.rows.index(row, 2), 3))  # of the tool tip
        assert table.height() == height or row == 0
        height = table.height()
        for each in range(len(table.rows.terms)):
            assert table.viewport().rect().contains(table.visualRect(table.rows.index(each, 0)))


def test_the_chosen_term_stays_in_view_when_the_window_shrinks(window: Window, qtbot: QtBot) -> None:
    window.session.edit(task="finetune")
    table = page(window).table
    last = table.rows.index(len(table.rows.terms) - 1, 0)
    table.setCurrentIndex(last)
    window.resize(1280, 620)
    qtbot.wait(50)
    assert table.viewport().rect().contains(table.visualRect(last))


def test_the_figures_of_the_formats_follow_while_edits_go_on(window: Window, qtbot: QtBot) -> None:
    formats = page(window).formats
    before = formats.texts()
    for context in range(1024, 1024 + 40 * 512, 512):  # an edit every 10 ms, as a slider gives them
        window.session.edit(context=context)
        qtbot.wait(10)
    assert formats.texts() != before


def test_the_colour_of_the_chosen_term_is_that_of_its_bar(window: Window, qtbot: QtBot) -> None:
    table = page(window).table
    table.setFocus()
    table.setCurrentIndex(table.rows.index(2, 0))
    qtbot.wait(20)
    cell = table.visualRect(table.currentIndex())
    seen = table.viewport().grab(cell).toImage()
    ratio = seen.devicePixelRatio()
    colours = {seen.pixelColor(x, int(cell.height() * ratio / 2)).name() for x in range(int(30 * ratio))}
    assert SERIES[table.rows.terms[2].name].lower() in colours
