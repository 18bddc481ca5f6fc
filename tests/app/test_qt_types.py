"""Qt's types are made on the GUI thread before a thread may touch them."""

from PySide6 import QtWidgets
from pytestqt.qtbot import QtBot

from llmplanner.app.qt_types import make_types


def test_all_types_are_made_before_the_work_begins(qtbot: QtBot) -> None:
    made: list[set[str]] = []
    make_types(lambda: made.append(set(vars(QtWidgets))))
    qtbot.waitUntil(lambda: bool(made))
    assert {"QCalendarWidget", "QWizard", "QMdiArea"} <= made[0]  # nothing of ours uses these
