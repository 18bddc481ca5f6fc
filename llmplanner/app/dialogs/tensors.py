"""Every tensor of the plan's model: sorted, found by words, summed up, written as CSV."""

from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt
from PySide6.QtWidgets import (
    QAbstractItemView,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QLineEdit,
    QPushButton,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from llmplanner.app.cards import note
from llmplanner.app.columns import LEFT, RIGHT, head
from llmplanner.app.jobs import Job, ThreadJob
from llmplanner.app.problem import Problem
from llmplanner.app.session import Session
from llmplanner.app.tensor_list import COLUMNS, TensorList, tensor_list
from llmplanner.charts import export, table
from llmplanner.compose import tensors_of

SIZE = (980, 640)
ROW = 24  # px
WIDTHS = (150, 110, 172, 150)  # px of all columns but the name
FIGURES = 3  # the first column of figures
NO_MATCH = "No tensor has all these words in its name or type. Search for fewer."
NOTHING = TensorList((), (), (), np.empty(0, np.int64), np.empty(0, np.int64))

Index = QModelIndex | QPersistentModelIndex


class TensorRows(QAbstractTableModel):
    """Some of a list's rows, in some order: an array of places, and nothing for each row."""

    def __init__(self) -> None:
        super().__init__()
        self.list = NOTHING
        self.shown = np.empty(0, np.int64)
        self._found = self.shown  # as in the file
        self._column: int | None = None
        self._descending = False

    def take(self, tensors: TensorList) -> None:
        """Shows another list, as it is."""
        self.list = tensors
        self.find("")

    def find(self, text: str) -> None:
        """Shows the rows that have every word."""
        self._found = self.list.found(text)
        self._arrange()

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Puts the rows in the order of a column; -1 is the file's own."""
        self._column = column if column >= 0 else None
        self._descending = order is Qt.SortOrder.DescendingOrder
        self._arrange()

    def _arrange(self) -> None:
        self.beginResetModel()
        self.shown = self._found
        if self._column is not None and len(self._found):
            self.shown = self.list.ordered(self._found, self._column, descending=self._descending)
        self.endResetModel()

    def rowCount(self, parent: Index | None = None) -> int:
        """The rows that are shown."""
        return 0 if parent is not None and parent.isValid() else len(self.shown)

    def columnCount(self, _parent: Index | None = None) -> int:
        """Name, shape, type, parameters, bytes."""
        return len(COLUMNS)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """The text of a cell."""
        if role in {Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole}:
            return self.list.cell(int(self.shown[index.row()]), index.column())
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return RIGHT if index.column() >= FIGURES else LEFT
        return None

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> object:
        """The heads of the columns, aligned as what stands under them."""
        return head(COLUMNS, section, orientation, role, figures=section >= FIGURES)


class TensorDialog(QDialog):
    """The table, a search above it, and what the shown rows come to beneath."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.session = session
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle("Tensors")
        self.resize(*SIZE)
        self.rows = TensorRows()
        self.search = QLineEdit()
        self.search.setPlaceholderText("Search by name or type, such as layers.0 or q4_k")
        self.search.setAccessibleName("Search")
        self.search.setToolTip("Shows the tensors whose name or type has every word that you type.")
        self.table = QTableView()
        self.total = QLabel("Reading the tensors…")
        self.total.setTextFormat(Qt.TextFormat.PlainText)
        self.total.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.source = note()
        self.source.setTextFormat(Qt.TextFormat.PlainText)
        self.problem = Problem()
        self.problem.hide()
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        self.save = self._button()
        self._set_up_table()
        self._lay_out()
        self.search.textChanged.connect(self._find)
        self.buttons.rejected.connect(self.reject)
        self.finished.connect(self._leave)
        self._job: Job | None = None
        self._read()

    def _button(self) -> QPushButton:
        self.buttons.button(QDialogButtonBox.StandardButton.Close).setToolTip("Closes this window.")
        save = QPushButton("Save as CSV…")
        save.setToolTip("Writes the rows that are shown, in the order shown, into a file.")
        save.setAutoDefault(False)
        save.setEnabled(False)
        save.clicked.connect(self._ask_where)
        self.buttons.addButton(save, QDialogButtonBox.ButtonRole.ActionRole)
        return save

    def _set_up_table(self) -> None:
        table = self.table
        table.setModel(self.rows)
        table.setAccessibleName("Tensors")
        table.setToolTip("Click a head to sort by it.")
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setShowGrid(False)
        table.setWordWrap(False)
        table.setTabKeyNavigation(False)
        table.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        table.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        table.verticalHeader().hide()
        table.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        table.verticalHeader().setDefaultSectionSize(ROW)
        header = table.horizontalHeader()
        header.setHighlightSections(False)
        header.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        for column, width in enumerate(WIDTHS, 1):
            table.setColumnWidth(column, width)
        header.setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
        table.setSortingEnabled(True)

    def _lay_out(self) -> None:
        below = QHBoxLayout()
        below.addWidget(self.total, 1)
        rows = QVBoxLayout(self)
        rows.setContentsMargins(24, 24, 24, 16)
        rows.setSpacing(12)
        rows.addWidget(self.search)
        rows.addWidget(self.table, 1)
        rows.addLayout(below)
        for part in (self.source, self.problem, self.buttons):
            rows.addWidget(part)

    def _read(self) -> None:
        state, chosen = self.session.state, self.session.chosen

        def made() -> TensorList:
            found = tensors_of(state.draft, chosen, state.plan.model)
            return tensor_list(found.tensors, found.note)

        self.setWindowTitle(f"Tensors of {state.plan.model.name}")
        self._start(ThreadJob("Reading the tensors", made)).done.connect(self._take)

    def _start(self, job: Job) -> Job:
        self._job = job
        job.failed.connect(self._tell)
        job.start()
        return job

    def _take(self, found: object) -> None:
        tensors = cast("TensorList", found)
        self.rows.take(tensors)
        self.source.setText(tensors.note)
        self.save.setEnabled(True)
        self._find(self.search.text())

    def _find(self, text: str) -> None:
        if self.rows.list is not NOTHING:
            self.rows.find(text)
            shown = self.rows.shown
            self.total.setText(self.rows.list.total(shown) if len(shown) else NO_MATCH)

    def _tell(self, sentence: str) -> None:
        self.problem.setText(sentence)
        self.problem.show()

    def _ask_where(self) -> None:
        name = self.session.state.plan.model.name.replace("/", "-")
        file, _ = QFileDialog.getSaveFileName(
            self, "Save the tensors", f"{name} tensors.csv", "Comma-separated values (*.csv)"
        )
        if file:
            self.save_to(Path(file if file.endswith(".csv") else f"{file}.csv"))

    def save_to(self, path: Path) -> Job:
        """Writes the shown rows, off the GUI thread; whole or not at all."""
        self.problem.hide()
        job = ThreadJob("Saving the tensors", partial(_write, path, self.rows.list, self.rows.shown))
        job.done.connect(self._say_saved)
        return self._start(job)

    def _say_saved(self, path: object) -> None:
        self.source.setText(f"Saved as {path}")

    def _leave(self) -> None:
        """Drops what is still being read."""
        if self._job is not None:
            self._job.cancel()


def _write(path: Path, tensors: TensorList, rows: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> Path:
    export.write(path, table.csv_of(tensors.table(rows)).encode())
    return path
