"""The charts of all pages."""

from pytestqt.qtbot import QtBot

from llmplanner.app.chart_view import ChartView
from llmplanner.app.main import example_window
from llmplanner.cli.chart import CHARTS


def test_every_chart_of_the_window_is_one_of_the_command_line(qtbot: QtBot) -> None:
    window = example_window()
    qtbot.addWidget(window)
    window.show()
    names = set()
    for index in range(window.tabs.count()):
        window.tabs.setCurrentIndex(index)
        names |= {view.figure().name for view in window.findChildren(ChartView)}
    assert {"memory", "ranges", "formats", "budget", "limits", "scaling", "loss"} <= names
    assert names - {"empty"} <= set(CHARTS)
