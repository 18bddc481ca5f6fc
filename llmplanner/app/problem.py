"""A sentence that says what is wrong. Its context menu copies it, with what a report of it needs."""

import msgspec
from PySide6.QtGui import QContextMenuEvent
from PySide6.QtWidgets import QApplication, QLabel, QMenu, QWidget

from llmplanner.app.session import Session

ROLE = "problem"  # the property `role` of a label that says what is wrong, for the style sheet and the menu


class Problem(QLabel):
    """A label in the colour of problems."""

    def __init__(self, text: str = "") -> None:
        super().__init__(text)
        self.setProperty("role", ROLE)
        self.setWordWrap(True)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        """Offers the sentence and its details, while the label says what is wrong."""
        if self.property("role") != ROLE or not self.text():
            super().contextMenuEvent(event)
            return
        menu = QMenu(self)
        menu.aboutToHide.connect(menu.deleteLater)
        menu.addAction("&Copy", lambda: _copy(self.selectedText() or self.text()))
        menu.addAction("Copy &details", self.copy_details)
        menu.popup(event.globalPos())

    def copy_details(self) -> None:
        """Puts the sentence, the field, the program's versions and the plan onto the clipboard."""
        _copy(details(self, self.text()))


def details(widget: QWidget, sentence: str) -> str:
    """What a report of a sentence on `widget` needs."""
    from llmplanner.app.faults import versions  # noqa: PLC0415 - not before it is asked for

    lines = [sentence]
    field = widget.parentWidget()
    label = getattr(field, "label", None)
    if isinstance(label, QLabel) and label is not widget:
        lines.append(f"Field: {label.text()}")
    lines.append(versions())
    session = _session(widget)
    if session is not None:
        lines.append(f"Plan: {msgspec.json.encode(session.state.draft, enc_hook=dict).decode()}")
    return "\n".join(lines)


def _session(widget: QWidget) -> Session | None:
    """The session of the window that a widget, or the dialog that it is in, belongs to."""
    above: QWidget | None = widget
    while above is not None:
        session = getattr(above, "session", None)
        if isinstance(session, Session):
            return session
        above = above.parentWidget()
    return None


def _copy(text: str) -> None:
    QApplication.clipboard().setText(text)
