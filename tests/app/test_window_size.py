"""The window on small and large screens: what has no room scrolls, and what has room does not."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PySide6.QtWidgets import QScrollArea
from pytestqt.qtbot import QtBot

from llmplanner.app.main import example_window
from llmplanner.app.window import PAGES, Window

ASKED = """
import os
from llmplanner.app.main import example_window
window = example_window()
room = window.screen().availableSize()
print(window.width(), window.height(), room.width(), room.height(), flush=True)
os._exit(0)
"""
SIDEWAYS = ("horizontalScrollBar", "verticalScrollBar")


def open_at(qtbot: QtBot, width: int, height: int) -> Window:
    window = example_window()
    qtbot.addWidget(window)
    window.resize(width, height)
    with qtbot.waitExposed(window):
        window.show()
    return window


def scrolling(window: Window, place: int) -> list[str]:
    """The scroll bars to be seen on a page."""
    page = window.pages[place]
    areas = [page, *page.findChildren(QScrollArea)]
    return [name for area in areas for name in SIDEWAYS if getattr(area, name)().isVisible()]


@pytest.mark.parametrize("place", range(len(PAGES)))
def test_a_page_fits_the_first_size(qtbot: QtBot, place: int) -> None:
    window = open_at(qtbot, 1280, 800)
    window.tabs.setCurrentIndex(place)
    qtbot.waitUntil(lambda: scrolling(window, place) == [])
    qtbot.wait(100)
    assert scrolling(window, place) == []


@pytest.mark.parametrize("size", [(900, 600), (960, 500)])
def test_a_small_window_stays_small_and_scrolls(qtbot: QtBot, size: tuple[int, int]) -> None:
    window = open_at(qtbot, *size)
    for place in range(len(PAGES)):
        window.tabs.setCurrentIndex(place)
        qtbot.wait(50)
        assert window.size().toTuple() == size
        assert "horizontalScrollBar" in scrolling(window, place)
        page = window.pages[place]
        inside = page.widget()
        assert inside is not None
        page.horizontalScrollBar().setValue(page.horizontalScrollBar().maximum())
        end = page.horizontalScrollBar().value() + page.viewport().width()
        assert end >= inside.width()  # its end comes into view


@pytest.mark.parametrize("factor", [1, 1.5, 2])
def test_the_first_size_lies_within_the_screen(factor: float, tmp_path: Path) -> None:
    screen = {"name": "full HD", "x": 0, "y": 0, "width": 1920, "height": 1080, "logicalDpi": 96, "dpr": 1}
    (tmp_path / "screens.json").write_text(json.dumps({"screens": [screen]}), encoding="utf-8")
    told = subprocess.run(
        [sys.executable, "-c", ASKED],
        env={
            **os.environ,
            "QT_QPA_PLATFORM": f"offscreen:configfile={tmp_path / 'screens.json'}",
            "QT_SCALE_FACTOR": str(factor),
        },
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout
    width, height, most_width, most_height = map(int, told.split())
    assert (most_width, most_height) == (1920 / factor, 1080 / factor)
    assert width == min(1280, most_width)
    assert height <= min(800, most_height)
