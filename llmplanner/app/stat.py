"""One big figure with a line of explanation under it."""

from PySide6.QtWidgets import QFrame, QLabel, QSizePolicy, QVBoxLayout

from llmplanner.app.theme import GAP, INSET


class Stat(QFrame):
    """A card that is read at a glance."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.setProperty("card", True)
        self._name = name
        self.figure = QLabel()
        self.figure.setProperty("role", "big")
        self.detail = QLabel()
        self.detail.setProperty("role", "mute")
        self.detail.setWordWrap(True)
        rows = QVBoxLayout(self)
        rows.setContentsMargins(INSET, GAP, INSET, GAP)
        rows.setSpacing(2)
        rows.addWidget(self.figure)
        rows.addWidget(self.detail)
        rows.addStretch()
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)

    def show_text(self, figure: str, detail: str, tip: str = "") -> None:
        """Shows the figure and what it rests on."""
        self.figure.setText(figure)
        self.detail.setText(detail)
        self.setToolTip(tip)
        self.figure.setAccessibleName(f"{self._name}: {figure}")
