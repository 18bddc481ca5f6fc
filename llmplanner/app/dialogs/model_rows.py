"""The rows of the dialog of models: those of the shelf that have the typed words, a kind and room."""

from PySide6.QtCore import (
    QAbstractTableModel,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QSortFilterProxyModel,
    Qt,
)
from PySide6.QtGui import QColor

from llmplanner.advice import RANK
from llmplanner.app.columns import LEFT, RIGHT, head
from llmplanner.app.shelf import Item
from llmplanner.app.verdict_bar import SYMBOLS, WORDS
from llmplanner.charts.palette import Theme
from llmplanner.core.quantities import gib_text
from llmplanner.core.verdict import Judgement

COLUMNS = ("Model", "Size", "Kind", "Where", "Fits")
TITLE, SIZE, KIND, WHERE, FITS = range(5)
KEY = Qt.ItemDataRole.UserRole
SORT = Qt.ItemDataRole.UserRole + 1
MOST_BYTES = 2**60  # more than any plan needs
GOOD = frozenset({"fits", "tight"})

Index = QModelIndex | QPersistentModelIndex


class ModelTable(QAbstractTableModel):
    """Every model of the shelf; files and verdicts arrive later."""

    def __init__(self, items: tuple[Item, ...], theme: Theme, parent: QObject) -> None:
        super().__init__(parent)
        self.items = items
        self.kinds = {item.key: item.kind for item in items}
        self.judged: dict[str, Judgement] = {}
        self._colours = {"fits": theme.ok, "tight": theme.warn, "no": theme.bad, "unknown": theme.mute}

    def add(self, items: tuple[Item, ...]) -> None:
        """Takes more models, below those there are."""
        new = tuple(item for item in items if item.key not in self.kinds)
        if new:
            self.beginInsertRows(QModelIndex(), len(self.items), len(self.items) + len(new) - 1)
            self.items += new
            self.kinds |= {item.key: item.kind for item in new}
            self.endInsertRows()

    def tell(self, judged: dict[str, Judgement], kinds: dict[str, str]) -> None:
        """Takes verdicts, and kinds that were not known before, by key."""
        self.judged |= judged
        self.kinds |= kinds
        self._announce()

    def forget(self) -> None:
        """Drops the verdicts: they were about another machine."""
        self.judged = {}
        self._announce()

    def _announce(self) -> None:
        if self.items:
            self.dataChanged.emit(self.index(0, KIND), self.index(len(self.items) - 1, FITS))

    def rowCount(self, parent: Index | None = None) -> int:
        """One row for each model."""
        return 0 if parent is not None and parent.isValid() else len(self.items)

    def columnCount(self, _parent: Index | None = None) -> int:
        """Name, size, kind, place, verdict."""
        return len(COLUMNS)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """The text, the tool tip, the colour, and what the column is sorted by."""
        item, column = self.items[index.row()], index.column()
        if role == Qt.ItemDataRole.DisplayRole:
            return (item.title, item.size, self.kinds[item.key], item.where, self._verdict(item))[column]
        if role == SORT:
            keys = (item.title.casefold(), item.bytes, self.kinds[item.key], item.where, self._order(item))
            return keys[column]
        if role == KEY:
            return item.key
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return RIGHT if column == SIZE else LEFT
        return self._look(item, column, role)

    def _look(self, item: Item, column: int, role: int) -> object:
        judged = self.judged.get(item.key)
        if role == Qt.ItemDataRole.ForegroundRole and column == FITS and judged is not None:
            return QColor(self._colours[judged.state])
        if role == Qt.ItemDataRole.ToolTipRole and column == FITS and judged is not None:
            return f"{WORDS[judged.state]}: needs {gib_text(judged.needed_bytes)}"
        return item.title if role == Qt.ItemDataRole.ToolTipRole and column == TITLE else None

    def _verdict(self, item: Item) -> str:
        judged = self.judged.get(item.key)
        return "" if judged is None else f"{SYMBOLS[judged.state]} {WORDS[judged.state]}"

    def _order(self, item: Item) -> float:
        """Those that fit first, of these the smallest; those that nothing is known of last."""
        judged = self.judged.get(item.key)
        return float("inf") if judged is None else RANK[judged.state] * MOST_BYTES + judged.needed_bytes

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> object:
        """The heads, aligned as what stands under them."""
        return head(COLUMNS, section, orientation, role, figures=section == SIZE)


class ModelRows(QSortFilterProxyModel):
    """The rows that hold every typed word, are of the kept kind and, if asked for, fit."""

    def __init__(self, table: ModelTable, parent: QObject) -> None:
        super().__init__(parent)
        self._table = table
        self._words: list[str] = []
        self._kind = ""
        self._fitting = False
        self.setSortRole(SORT)
        self.setSourceModel(table)

    def search(self, text: str) -> None:
        """Keeps the rows that have every word."""
        self._words = text.casefold().split()
        self.invalidate()

    def keep(self, kind: str, *, fitting: bool) -> None:
        """Keeps the rows of a kind (empty: of all), and of those the ones that fit, or all."""
        self._kind, self._fitting = kind, fitting
        self.invalidate()

    def filterAcceptsRow(self, row: int, _parent: object) -> bool:
        """Whether a row is kept."""
        item = self._table.items[row]
        if self._kind and self._table.kinds[item.key] != self._kind:
            return False
        judged = self._table.judged.get(item.key)
        if self._fitting and (judged is None or judged.state not in GOOD):
            return False
        return all(word in item.words for word in self._words)
