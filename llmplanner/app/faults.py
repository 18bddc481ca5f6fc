"""What happens when something was overlooked: the log has it, a dialog says so, and the window goes on."""

import logging
import platform
import sys
import threading
import traceback
from types import TracebackType

import PySide6
from PySide6.QtWidgets import QApplication, QMessageBox, QWidget

import llmplanner


def watch(window: QWidget) -> None:
    """Takes every exception that nothing else took; one of a job ends that job with a sentence."""

    def take(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, trace)
            return
        logging.getLogger(__name__).error("Not foreseen:", exc_info=(kind, error, trace))
        show_fault(window, details(kind, error, trace))

    def take_from_thread(args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None:
            trace = (args.exc_type, args.exc_value, args.exc_traceback)
            logging.getLogger(__name__).error("Not foreseen, in a job:", exc_info=trace)

    sys.excepthook = take
    threading.excepthook = take_from_thread


def details(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> str:
    """What a report of the fault needs: versions, system, and where it happened."""
    where = "".join(traceback.format_exception(kind, error, trace))
    return f"{versions()}\n\n{where}"


def versions() -> str:
    """The program, its libraries and the system, in one line."""
    return (
        f"LLM Planner {llmplanner.__version__}, Python {platform.python_version()}, "
        f"PySide6 {PySide6.__version__}, {platform.platform()}"
    )


def show_fault(window: QWidget, text: str) -> None:
    """The dialog: one sentence, and a button that copies the details."""
    box = QMessageBox(
        QMessageBox.Icon.Warning,
        "Something went wrong",
        "Something went wrong that LLM Planner did not foresee. Your plan is still there.",
        QMessageBox.StandardButton.Close,
        window,
    )
    box.setInformativeText("The log has the details. If you report this, please add them.")
    copy = box.addButton("Copy details", QMessageBox.ButtonRole.ActionRole)
    copy.setToolTip("Puts versions and the place of the fault onto the clipboard.")
    copy.clicked.disconnect()
    copy.clicked.connect(lambda: QApplication.clipboard().setText(text))
    box.open()
