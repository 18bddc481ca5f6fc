"""The table of terms: name with its colour, GiB, and the formula with its values."""

from functools import cache

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QIcon, QPainter, QPalette, QPixmap, QResizeEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
)

from llmplanner.app.columns import RIGHT, head
from llmplanner.charts.palette import SERIES, TERM_TITLES
from llmplanner.core.estimate import Phase, Term
from llmplanner.core.quantities import GIB, gib_figure

HEADS = ("Term", "GiB", "Formula")
ORDER = tuple(TERM_TITLES)
ROW = 24  # px
SWATCH = 10
PAD = 6
NAME_WIDTH, SIZE_WIDTH = 134, 80  # px
SMALLEST = 0.005  # GiB; what is less would be shown as 0.00
WIDEST = 10**7  # GiB; what is more has no room in its column

Index = QModelIndex | QPersistentModelIndex


class TermRows(QAbstractTableModel):
    """The terms of one phase, in the order of the bar."""

    def __init__(self) -> None:
        super().__init__()
        self.terms: tuple[Term, ...] = ()

    def show_phase(self, phase: Phase) -> None:
        """Takes the terms of a phase; the selection stays where the same terms remain."""
        terms = tuple(sorted(phase.terms, key=lambda term: ORDER.index(term.name)))
        if [term.name for term in terms] == [term.name for term in self.terms]:
            changed = [row for row, term in enumerate(terms) if term != self.terms[row]]
            self.terms = terms
            for row in changed:  # the others need no painting
                self.dataChanged.emit(self.index(row, 0), self.index(row, len(HEADS) - 1))
        else:
            self.beginResetModel()
            self.terms = terms
            self.endResetModel()

    def rowCount(self, parent: Index | None = None) -> int:
        """One row for each term."""
        return 0 if parent is not None and parent.isValid() else len(self.terms)

    def columnCount(self, _parent: Index | None = None) -> int:
        """Term, GiB, formula."""
        return len(HEADS)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """What the views show; the formula is painted by its delegate."""
        term, column = self.terms[index.row()], index.column()
        if role == Qt.ItemDataRole.TextAlignmentRole and column == 1:
            return RIGHT
        if role == Qt.ItemDataRole.DecorationRole and column == 0:
            return swatch(SERIES[term.name])
        if role in {Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole} and column < 2:  # noqa: PLR2004 - the formula's column
            return (TERM_TITLES[term.name], gib(int(term.bytes)))[column]
        if role in {Qt.ItemDataRole.ToolTipRole, Qt.ItemDataRole.AccessibleTextRole}:
            return f"{TERM_TITLES[term.name]}: {int(term.bytes):,} bytes = {term.formula}"
        return None

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> object:
        """The heads of the columns, aligned as their figures."""
        return head(HEADS, section, orientation, role, figures=section == 1)


@cache
def swatch(colour: str) -> QIcon:
    """A colour that is the same in the chosen row: Qt would tint it."""
    box, icon = QPixmap(SWATCH, SWATCH), QIcon()
    box.fill(QColor(colour))
    icon.addPixmap(box, QIcon.Mode.Normal)
    icon.addPixmap(box, QIcon.Mode.Selected)
    return icon


def gib(size: int) -> str:
    """Bytes as a figure of the table: 14.96; 1,234; 6.30e10."""
    if size >= WIDEST * GIB:
        return f"{size / GIB:.2e}".replace("e+", "e")
    return gib_figure(size) if size >= SMALLEST * GIB or size == 0 else "< 0.01"


class _Formula(QStyledItemDelegate):
    """The formula on one line; the tool tip and the details have the whole."""

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        rows = index.model()
        if not isinstance(rows, TermRows):
            return
        table = self.parent()
        chosen = isinstance(table, TermTable) and table.currentIndex().row() == index.row()
        if chosen:
            super().paint(painter, option, index)  # the ground of the selection; the others have none
        role = QPalette.ColorRole.Text if chosen else QPalette.ColorRole.PlaceholderText
        painter.save()
        painter.setPen(option.palette.color(role))
        box = QRectF(option.rect).adjusted(PAD, 0, -PAD, 0)
        formula = rows.terms[index.row()].formula
        words = option.fontMetrics.elidedText(formula, Qt.TextElideMode.ElideRight, int(box.width()))
        painter.drawText(box, int(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter), words)
        painter.restore()


def list_rows(table: QTableView, *, stretched: int) -> None:
    """Makes a table a plain list of rows, one of them current; a column takes the width that is left."""
    table.setIconSize(QSize(SWATCH, SWATCH))
    table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
    table.setShowGrid(False)
    table.setWordWrap(False)
    table.setTabKeyNavigation(False)
    table.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    table.verticalHeader().hide()
    table.verticalHeader().setDefaultSectionSize(ROW)
    header = table.horizontalHeader()
    header.setHighlightSections(False)
    header.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
    header.setSectionResizeMode(stretched, QHeaderView.ResizeMode.Stretch)


class TermTable(QTableView):
    """The terms of a phase. The current row is the term whose details are shown."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = TermRows()
        self.setModel(self.rows)
        self.setAccessibleName("Terms of the estimate")
        self.setToolTip("Click a term for its source, its range and its parts.")
        list_rows(self, stretched=2)
        self.setItemDelegateForColumn(2, _Formula(self))
        self.setColumnWidth(0, NAME_WIDTH)
        self.setColumnWidth(1, SIZE_WIDTH)

    def show_phase(self, phase: Phase) -> None:
        """Shows the terms of a phase."""
        row = max(0, self.currentIndex().row())
        self.rows.show_phase(phase)
        if not self.currentIndex().isValid() and phase.terms:
            self.setCurrentIndex(self.rows.index(min(row, len(phase.terms) - 1), 0))

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Keeps the current row in view."""
        super().resizeEvent(event)
        self.scrollTo(self.currentIndex())

    def choose(self, name: str) -> None:
        """Makes the row of a term the current one."""
        names = [term.name for term in self.rows.terms]
        if name in names:
            self.setCurrentIndex(self.rows.index(names.index(name), 0))

    @property
    def term(self) -> Term | None:
        """The term of the current row."""
        row = self.currentIndex().row()
        return self.rows.terms[row] if 0 <= row < len(self.rows.terms) else None
