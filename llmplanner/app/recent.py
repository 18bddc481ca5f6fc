"""The models that were opened last: a menu, and names to find by typing. What is gone is shown as gone."""

import os
from functools import partial
from pathlib import Path

from PySide6.QtCore import QObject
from PySide6.QtGui import QAction

from llmplanner.app.jobs import ThreadJob
from llmplanner.app.session import State
from llmplanner.app.settings import Settings
from llmplanner.app.window import Window

MOST = 12  # models that are remembered
LONGEST = 60  # characters of a place in the menu
MISSING = "not there now"


class Recent(QObject):
    """Remembers every model that the plan takes, the newest first, between starts too."""

    def __init__(self, window: Window, settings: Settings) -> None:
        super().__init__(window)
        self._window, self._settings = window, settings
        window.session.changed.connect(self._note)
        window.recent.aboutToShow.connect(self._fill)
        window.recent.setToolTipsVisible(True)
        self._offer()

    def _note(self, state: State) -> None:
        """Puts the plan's model first."""
        text = state.draft.model
        before = self._settings.recent
        if not state.draft.changes and (not before or before[0][0] != text):
            others = [entry for entry in before if entry[0] != text]
            self._settings.recent = [(text, state.plan.model.name), *others][:MOST]
            self._offer()

    def _offer(self) -> None:
        """Lets the files be found by typing; the names of the catalogue are there already."""
        files = (
            (text, f"{title} · {_short(text)}") for text, title in self._settings.recent if _is_path(text)
        )
        self._window.plan.model.offer_recent(tuple(files))

    def _fill(self) -> None:
        menu = self._window.recent
        menu.clear()
        entries = self._settings.recent
        for text, title in entries:
            action = menu.addAction(_told(text, title), partial(self._window.ask_model.emit, text))
            action.setToolTip(text)
            action.setData(text)
        if entries:
            menu.addSeparator()
            menu.addAction("&Forget these", self._forget)
        else:
            menu.addAction("No model was opened yet").setEnabled(False)
        self._look([text for text, _ in entries if _is_path(text)])

    def _look(self, paths: list[str]) -> None:
        """Finds out which files are gone, off the GUI thread: one may lie on a disk that sleeps."""
        if paths:
            job = ThreadJob("Looking for recent models", partial(_missing, paths))
            job.done.connect(self._mark)
            job.start()

    def _mark(self, missing: object) -> None:
        for action in self._window.recent.actions():
            text = action.data()
            if isinstance(missing, set) and text in missing:
                _say_missing(action)

    def _forget(self) -> None:
        self._settings.recent = []
        self._offer()


def _say_missing(action: QAction) -> None:
    action.setText(f"{action.text()} · {MISSING}")


def _missing(paths: list[str]) -> set[str]:
    return {path for path in paths if not os.path.lexists(Path(path).expanduser())}


def _is_path(text: str) -> bool:
    """Whether a model was opened by its whole path."""
    return Path(text).is_absolute() or text.startswith("~")


def _told(text: str, title: str) -> str:
    said = f"{title} · {_short(text)}" if _is_path(text) else title
    return said.replace("&", "&&")


def _short(text: str) -> str:
    """The end of a path, which tells files apart."""
    return text if len(text) <= LONGEST else f"…{text[-LONGEST:]}"
