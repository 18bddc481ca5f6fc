"""A sentence above the pages: what could not be done and why, with details to copy, until dismissed."""

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QPushButton

from llmplanner.app.problem import Problem
from llmplanner.app.theme import GAP, INSET


class Notice(QFrame):
    """Hidden while there is nothing to say."""

    def __init__(self) -> None:
        super().__init__()
        self.setProperty("card", True)
        self.label = Problem()
        self.label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        copy = _button("Copy details", "Puts this sentence, versions and the plan onto the clipboard.")
        copy.clicked.connect(self.copy_details)
        dismiss = _button("Dismiss", "Takes this message away.")
        dismiss.clicked.connect(self.hide)
        line = QHBoxLayout(self)
        line.setContentsMargins(INSET, GAP // 2, GAP, GAP // 2)
        line.setSpacing(8)
        line.addWidget(self.label, 1)
        line.addWidget(copy)
        line.addWidget(dismiss)
        self.hide()

    def text(self) -> str:
        """What is said."""
        return self.label.text()

    def say(self, sentence: str) -> None:
        """Shows a sentence; an empty one hides the notice."""
        self.label.setText(sentence)
        self.setVisible(bool(sentence))

    def copy_details(self) -> None:
        """Puts the sentence, the program's versions and the plan onto the clipboard."""
        self.label.copy_details()


def _button(text: str, tip: str) -> QPushButton:
    button = QPushButton(text)
    button.setProperty("small", True)
    button.setToolTip(tip)
    return button
