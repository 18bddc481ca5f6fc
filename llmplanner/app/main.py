"""Starts the window."""

import sys
from pathlib import Path
from tempfile import mkdtemp

from PySide6.QtGui import QIcon
from PySide6.QtWidgets import QApplication

from llmplanner.app.actions import Actions
from llmplanner.app.faults import watch
from llmplanner.app.session import Session
from llmplanner.app.settings import Settings, start_log
from llmplanner.app.start import Starter
from llmplanner.app.theme import ARGUMENTS, Looks
from llmplanner.app.window import Window
from llmplanner.core.errors import BadInput
from llmplanner.plans import Draft
from llmplanner.resources import folder

EXAMPLE = Draft(model="llama-3.1-8b", gpu="rtx-4090", context=32_768)
TITLE = "LLM Planner"


def main(argv: list[str] | None = None) -> int:
    """Opens the window, on the file that `argv` names where it names one; the program's exit code."""
    arguments = sys.argv[1:] if argv is None else argv
    start_log()
    app = QApplication(ARGUMENTS)
    app.setApplicationName("llmplanner")
    app.setApplicationDisplayName(TITLE)
    app.setDesktopFileName("llmplanner")
    app.setWindowIcon(QIcon(str(folder() / "icons" / "llmplanner-128.png")))
    window = restored_window(app, Settings(), arguments[0] if arguments else None)
    watch(window)
    window.show()
    return app.exec()


def restored_window(app: QApplication, settings: Settings, file: str | None = None) -> Window:
    """The window of the last plan, of `file`, or of the example; it looks for GPUs once it is shown."""
    last = settings.load_plan()
    session, problem = _session(last, settings)
    session.kept = settings.pages
    window = Window(session, Looks(app, settings.theme))
    window.restoreGeometry(settings.geometry)
    actions = Actions(window, settings)
    Starter(window, settings, untouched=last is None and file is None)
    if problem:
        window.show_notice(problem)
    if file is not None:
        actions.open_file(file)
    return window


def example_window() -> Window:
    """The window with the example plan, with no settings of the user and no look at the GPUs."""
    app = QApplication.instance()
    if not isinstance(app, QApplication):
        app = QApplication(ARGUMENTS)
    window = Window(Session(EXAMPLE), Looks(app))
    Actions(window, Settings(Path(mkdtemp(prefix="llmplanner-"))))
    return window


def _session(last: Draft | None, settings: Settings) -> tuple[Session, str]:
    """The session of the last plan; of the example, and a sentence, where that cannot be used any more."""
    if last is None:
        return Session(EXAMPLE), ""
    try:
        return Session(last, settings.machine), ""
    except BadInput as error:
        return Session(EXAMPLE), f"The last plan cannot be used: {error} This is the example."
