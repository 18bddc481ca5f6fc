"""The frame around each part of a page: one line, one section title, the same margins."""

from PySide6.QtWidgets import QFrame, QLabel, QVBoxLayout

from llmplanner.app.theme import GAP, INSET


class Card(QFrame):
    """A titled frame; its parts go into `rows`."""

    def __init__(self, title: str) -> None:
        super().__init__()
        self.setProperty("card", True)
        self.title = QLabel(title)
        self.title.setProperty("role", "section")
        self.rows = QVBoxLayout(self)
        self.rows.setContentsMargins(INSET, GAP, INSET, GAP)
        self.rows.setSpacing(8)
        self.rows.addWidget(self.title)


def note(text: str = "") -> QLabel:
    """A muted line of explanation that wraps."""
    label = QLabel(text)
    label.setProperty("role", "mute")
    label.setWordWrap(True)
    return label
