"""The frame around each part of a page: one line, one section title, the same margins."""

from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QVBoxLayout

from llmplanner.app.theme import GAP, INSET


class Card(QFrame):
    """A titled frame; its parts go into `rows`, what belongs beside the title into `head`."""

    def __init__(self, title: str) -> None:
        super().__init__()
        self.setProperty("card", True)
        self.title = QLabel(title)
        self.title.setProperty("role", "section")
        self.rows = QVBoxLayout(self)
        self.rows.setContentsMargins(INSET, GAP, INSET, GAP)
        self.rows.setSpacing(8)
        self.head = QHBoxLayout()
        self.head.setSpacing(8)
        self.head.addWidget(self.title, 1)
        self.rows.addLayout(self.head)


def note(text: str = "") -> QLabel:
    """A muted line of explanation that wraps."""
    label = QLabel(text)
    label.setProperty("role", "mute")
    label.setWordWrap(True)
    return label
