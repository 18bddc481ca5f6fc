"""What is behind one "More": folded, it says how many of its fields are not as they come."""

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QToolButton, QVBoxLayout, QWidget

GAP = 8  # px between fields


class Fold(QWidget):
    """A button, and beneath it a body that it opens and closes. `toggled` tells what the user chose."""

    toggled = Signal(bool)

    def __init__(self, of: str) -> None:
        super().__init__()
        self._of = of
        self.button = QToolButton()
        self.button.setCheckable(True)
        self.button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.button.setAutoRaise(True)
        self.button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.button.setProperty("fold", True)
        self.button.clicked.connect(self._turn)
        self._body = QWidget()
        self.rows = QVBoxLayout(self._body)
        self.rows.setContentsMargins(0, 0, 0, 0)
        self.rows.setSpacing(GAP)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(GAP)
        column.addWidget(self.button, 0, Qt.AlignmentFlag.AlignLeft)
        column.addWidget(self._body)
        self.open(is_open=False)
        self.show_changed(0)

    @property
    def is_open(self) -> bool:
        """Whether the body is seen."""
        return self.button.isChecked()

    def open(self, *, is_open: bool) -> None:
        """Opens or closes it; `toggled` stays silent."""
        self.button.setChecked(is_open)
        self.button.setArrowType(Qt.ArrowType.DownArrow if is_open else Qt.ArrowType.RightArrow)
        self._body.setVisible(is_open)

    def show_changed(self, count: int) -> None:
        """Says how many of its fields are not as they come."""
        text = f"More · {count} changed" if count else "More"
        self.button.setText(text)
        self.button.setAccessibleName(f"More of the {self._of}")
        self.button.setToolTip(f"Shows the rarer settings of the {self._of}, or puts them away.")

    def _turn(self) -> None:
        self.open(is_open=self.is_open)
        self.toggled.emit(self.is_open)
