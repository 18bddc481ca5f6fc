"""A small table that is all to be seen: no scroll bars, figures to the right."""

from collections.abc import Sequence

from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QSizePolicy, QTableWidget, QTableWidgetItem

ROW = 20  # px
LEFT = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter


class FactTable(QTableWidget):
    """Names in the first column, which stretches, and figures in the others."""

    def __init__(self, name: str, heads: Sequence[str]) -> None:
        super().__init__(0, len(heads))
        self.setAccessibleName(name)
        for column, head in enumerate(heads):
            item = QTableWidgetItem(head)
            item.setTextAlignment(RIGHT if column else LEFT)
            self.setHorizontalHeaderItem(column, item)
        self.setShowGrid(False)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(ROW)
        header = self.horizontalHeader()
        header.setFixedHeight(ROW)
        header.setMinimumSectionSize(20)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)

    def show_rows(self, rows: Sequence[Sequence[str]], tips: Sequence[str] = ()) -> None:
        """Shows the rows, each with a tool tip of its own where there are `tips`."""
        self.setRowCount(len(rows))
        for row, cells in enumerate(rows):
            for column, text in enumerate(cells):
                item = QTableWidgetItem(text)
                item.setTextAlignment(RIGHT if column else LEFT)
                item.setToolTip(tips[row] if tips else "")
                self.setItem(row, column, item)
        self.setFixedHeight(self.sizeHint().height())

    def texts(self) -> list[list[str]]:
        """The rows as they are read."""
        found = []
        for row in range(self.rowCount()):
            cells = (self.item(row, column) for column in range(self.columnCount()))
            found.append([cell.text() if cell is not None else "" for cell in cells])
        return found

    def sizeHint(self) -> QSize:
        """All rows under the heads."""
        return QSize(200, ROW * (self.rowCount() + 1) + 2)

    def minimumSizeHint(self) -> QSize:
        """The same: nothing is scrolled."""
        return self.sizeHint()
