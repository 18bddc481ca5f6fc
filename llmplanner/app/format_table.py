"""What a number format changes: weights, serving and training in each, in GiB."""

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QGridLayout, QLabel, QWidget

from llmplanner.advice import Stored
from llmplanner.app.term_table import gib
from llmplanner.app.theme import GAP

TALLEST = 220  # px of the table: further apart, its rows are hard to follow


class FormatTable(QWidget):
    """Formats by rows: weights, serving, training."""

    def __init__(self) -> None:
        super().__init__()
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(GAP)
        self._grid.setVerticalSpacing(6)
        self._grid.setColumnStretch(0, 1)
        self.setMaximumHeight(TALLEST)
        for column, head in enumerate(("Format", "Weights", "Serve", "Train")):
            self._put(0, column, head).setProperty("role", "mute")
        self._cells = [[self._put(row, column, " ") for column in range(4)] for row in range(1, 5)]

    def _put(self, row: int, column: int, text: str) -> QLabel:
        label = QLabel(text)
        side = Qt.AlignmentFlag.AlignRight if column else Qt.AlignmentFlag.AlignLeft
        label.setAlignment(side | Qt.AlignmentFlag.AlignVCenter)
        self._grid.addWidget(label, row, column)
        return label

    def texts(self) -> list[list[str]]:
        """What the rows say."""
        return [[cell.text() for cell in cells] for cells in self._cells]

    def show_rows(self, rows: tuple[Stored, ...]) -> None:
        """Shows the needs of each format in GiB."""
        for cells, row in zip(self._cells, rows, strict=True):
            texts = (
                row.title,
                _or_dash(row.weights_bytes),
                _or_dash(row.serve_bytes),
                _or_dash(row.train_bytes),
            )
            for cell, text in zip(cells, texts, strict=True):
                cell.setText(text)


def _or_dash(size: int | None) -> str:
    return "–" if size is None else gib(size)
