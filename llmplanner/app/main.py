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
from llmplanner.plans import EXAMPLE
from llmplanner.resources import folder

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
    last, problem = _last_session(settings)
    session = last or Session(EXAMPLE)
    session.kept = settings.pages
    window = Window(session, Looks(app, settings.theme))
    window.restoreGeometry(settings.geometry)
    actions = Actions(window, settings)
    Starter(window, settings, untouched=last is None and not problem and file is None)
    if file is not None:
        actions.open_file(file)
    if problem:
        window.show_notice(f"{problem} {window.notice.text()}".strip())
    return window


def example_window() -> Window:
    """The window with the example plan, with no settings of the user and no look at the GPUs."""
    app = QApplication.instance()
    if not isinstance(app, QApplication):
        app = QApplication(ARGUMENTS)
    window = Window(Session(EXAMPLE), Looks(app))
    Actions(window, Settings(Path(mkdtemp(prefix="llmplanner-"))))
    return window


def _last_session(settings: Settings) -> tuple[Session | None, str]:
    """The session of the last plan, None where there is none; and why it cannot be used, if it cannot."""
    try:
        last = settings.load_plan()
        return None if last is None else Session(last, settings.machine), ""
    except BadInput as error:
        kept = settings.set_aside_plan()
        return None, f"The last plan cannot be used: {error} It is kept as {kept}; this is the example."
