"""The menu bar, built from rows: text, shortcut, what it does."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from PySide6.QtGui import QAction, QActionGroup, QKeySequence
from PySide6.QtWidgets import QMainWindow, QMenu


@dataclass(frozen=True, slots=True)
class Entry:
    """One action of a menu. An entry without text is a line between others."""

    text: str = ""
    do: Callable[[], object] = lambda: None
    keys: QKeySequence | QKeySequence.StandardKey | str | None = None
    tip: str = ""


LINE = Entry()


def add_menu(window: QMainWindow, title: str, entries: Iterable[Entry]) -> QMenu:
    """A menu of the window's menu bar."""
    menu = window.menuBar().addMenu(title)
    menu.setToolTipsVisible(True)
    for entry in entries:
        add_entry(menu, entry)
    return menu


def add_entry(menu: QMenu, entry: Entry) -> QAction:
    """One action, at the end of a menu."""
    if not entry.text:
        return menu.addSeparator()
    action = menu.addAction(entry.text)
    if entry.keys is not None:
        action.setShortcut(QKeySequence(entry.keys))
    if entry.tip:
        action.setToolTip(entry.tip)
    action.triggered.connect(lambda _checked=False: entry.do())
    return action


def add_choice(
    menu: QMenu, title: str, choices: Iterable[tuple[str, str]], chosen: str, choose: Callable[[str], object]
) -> QMenu:
    """A menu of which one entry is ticked: (value, text) each."""
    sub = menu.addMenu(title)
    group = QActionGroup(sub)
    for value, text in choices:
        action = sub.addAction(text)
        action.setCheckable(True)
        action.setChecked(value == chosen)
        action.triggered.connect(lambda _checked=False, value=value: choose(value))
        group.addAction(action)
    return sub
