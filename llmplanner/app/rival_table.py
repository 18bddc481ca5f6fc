"""Two plans side by side, term by term, and by how much they differ."""

from collections.abc import Sequence
from dataclasses import dataclass

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, Qt
from PySide6.QtWidgets import QTableView

from llmplanner.app.columns import RIGHT, head
from llmplanner.app.term_table import gib, list_rows, swatch
from llmplanner.charts.palette import SERIES, TERM_TITLES
from llmplanner.core.estimate import Phase, Term
from llmplanner.core.quantities import GIB

FIGURES = 96  # px of a column of figures
SAME = 0.005  # GiB; what differs by less is shown as no difference

Index = QModelIndex | QPersistentModelIndex


@dataclass(frozen=True, slots=True)
class Pair:
    """One term in both plans; None where a plan has none of it."""

    name: str
    own: Term | None
    other: Term | None

    @property
    def difference(self) -> int:
        """Bytes that the other plan needs more."""
        return _bytes(self.other) - _bytes(self.own)


def pairs(own: Phase, other: Phase) -> tuple[Pair, ...]:
    """The terms of two phases beside each other, in the order of the bars."""
    mine, theirs = ({term.name: term for term in phase.terms} for phase in (own, other))
    names = [name for name in TERM_TITLES if name in {*mine, *theirs}]
    return tuple(Pair(name, mine.get(name), theirs.get(name)) for name in names)


class RivalRows(QAbstractTableModel):
    """A row for each pair, and the heads with the names of the plans."""

    def __init__(self) -> None:
        super().__init__()
        self.pairs: tuple[Pair, ...] = ()
        self._heads: Sequence[str] = ("Term", "", "", "Difference")

    def show_pairs(self, shown: tuple[Pair, ...], own: str, other: str) -> None:
        """Takes other pairs."""
        self.beginResetModel()
        self.pairs, self._heads = shown, ("Term", own, other, "Difference")
        self.endResetModel()

    def rowCount(self, parent: Index | None = None) -> int:
        """One row for each term."""
        return 0 if parent is not None and parent.isValid() else len(self.pairs)

    def columnCount(self, _parent: Index | None = None) -> int:
        """Term, both plans, difference."""
        return 4

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """What the view shows."""
        pair, column = self.pairs[index.row()], index.column()
        if role == Qt.ItemDataRole.TextAlignmentRole and column:
            return RIGHT
        if role == Qt.ItemDataRole.DecorationRole and not column:
            return swatch(SERIES[pair.name])
        if role in {Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole}:
            return (TERM_TITLES[pair.name], _gib(pair.own), _gib(pair.other), _more(pair.difference))[column]
        return None

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> object:
        """The heads of the columns, aligned as their figures."""
        return head(self._heads, section, orientation, role, figures=section > 0)


class RivalTable(QTableView):
    """The current row is the term whose difference is explained."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = RivalRows()
        self.setModel(self.rows)
        self.setAccessibleName("Terms of both plans")
        self.setToolTip("In GiB. Click a term to see why the two differ.")
        list_rows(self, stretched=0)
        for column in (1, 2, 3):
            self.setColumnWidth(column, FIGURES)

    def show_pairs(self, shown: tuple[Pair, ...], own: str, other: str) -> None:
        """Shows other pairs; the row of a term stays the current one."""
        before = self.pair
        self.rows.show_pairs(shown, own, other)
        if before is not None:
            self.choose(before.name)

    def choose(self, name: str) -> None:
        """Makes the row of a term the current one."""
        names = [pair.name for pair in self.rows.pairs]
        if name in names:
            self.setCurrentIndex(self.rows.index(names.index(name), 0))

    @property
    def pair(self) -> Pair | None:
        """The pair of the current row."""
        row = self.currentIndex().row()
        return self.rows.pairs[row] if 0 <= row < len(self.rows.pairs) else None


def _bytes(term: Term | None) -> int:
    return 0 if term is None else int(term.bytes)


def _gib(term: Term | None) -> str:
    return "–" if term is None else gib(int(term.bytes))


def _more(difference: int) -> str:
    """A difference with its sign."""
    if abs(difference) < SAME * GIB:
        return "same"
    return f"{'+' if difference > 0 else '−'}{gib(abs(difference))}"
