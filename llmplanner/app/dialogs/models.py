"""The catalogue of released models: found by typing, grouped by kind, each with its card."""

from functools import cache

from PySide6.QtCore import QSortFilterProxyModel, Qt, QTimer, Signal
from PySide6.QtGui import QKeyEvent, QStandardItem, QStandardItemModel
from PySide6.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QLineEdit,
    QScrollArea,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from llmplanner.app.cards import Card
from llmplanner.core.quantities import count_text
from llmplanner.core.tensors import Parameters, parameters
from llmplanner.models.catalogue import Entry, entries, objectives

SIZE = (1000, 640)
COLUMNS = ("Model", "Parameters", "Kind", "Maker")
NAME = Qt.ItemDataRole.UserRole
SORT = Qt.ItemDataRole.UserRole + 1
KINDS = ("Every kind", "decoder", "encoder", "encoder-decoder")


class ModelDialog(QDialog):
    """Choose a model. `chosen` carries its name in the catalogue."""

    chosen = Signal(str)

    def __init__(self, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Choose a model")
        self.resize(*SIZE)
        self.search = QLineEdit()
        self.search.setPlaceholderText("Search by name, maker, kind or use")
        self.search.setAccessibleName("Search")
        self.search.setToolTip("Shows the models whose card has every word that you type.")
        self.kind = QComboBox()
        self.kind.addItems(KINDS)
        self.kind.setAccessibleName("Kind")
        self.kind.setToolTip("Decoders write, encoders understand, encoder-decoders turn text into text.")
        self.table = QTableView()
        self.card = ModelCard()
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.use = self.buttons.addButton("Use this model", QDialogButtonBox.ButtonRole.AcceptRole)
        self.use.setToolTip("Plans for the selected model; undo takes it back.")
        self.buttons.button(QDialogButtonBox.StandardButton.Cancel).setToolTip(
            "Leaves the plan's model as it is."
        )
        self._rows = _Rows(self)
        self._fill_table(name)
        self._lay_out()
        self.search.textChanged.connect(self._rows.search)
        self.kind.currentTextChanged.connect(self._rows.keep_kind)
        self.search.textChanged.connect(self._select_a_match)
        self.kind.currentTextChanged.connect(self._select_a_match)
        self.table.selectionModel().currentRowChanged.connect(lambda *_: self._show_card())
        self.table.doubleClicked.connect(lambda _index: self.accept())
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        self._show_card()
        self.search.setFocus()

    def _fill_table(self, name: str) -> None:
        table = self.table
        table.setModel(self._rows)
        table.setAccessibleName("Models")
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        table.setShowGrid(False)
        table.verticalHeader().hide()
        table.setSortingEnabled(True)
        table.sortByColumn(0, Qt.SortOrder.AscendingOrder)
        table.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        header = table.horizontalHeader()
        header.setHighlightSections(False)
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        for row in range(self._rows.rowCount()):
            if self._rows.index(row, 0).data(NAME) == name:
                table.selectRow(row)
                QTimer.singleShot(0, table, self._centre)
        if not table.selectionModel().hasSelection():
            table.selectRow(0)

    def _centre(self) -> None:
        self.table.scrollTo(self.table.currentIndex(), QAbstractItemView.ScrollHint.PositionAtCenter)

    def _lay_out(self) -> None:
        finder = QHBoxLayout()
        finder.addWidget(self.search, 1)
        finder.addWidget(self.kind)
        left = QVBoxLayout()
        left.addLayout(finder)
        left.addWidget(self.table, 1)
        columns = QHBoxLayout()
        columns.setSpacing(12)
        columns.addLayout(left, 3)
        columns.addWidget(self.card, 2)
        rows = QVBoxLayout(self)
        rows.setContentsMargins(24, 24, 24, 16)
        rows.setSpacing(12)
        rows.addLayout(columns, 1)
        rows.addWidget(self.buttons)

    @property
    def name(self) -> str | None:
        """The selected model's name."""
        index = self.table.currentIndex()
        return str(index.siblingAtColumn(0).data(NAME)) if index.isValid() else None

    def _select_a_match(self) -> None:
        """Goes to the first row where the selected model is no longer among them."""
        if not self.table.selectionModel().hasSelection():
            self.table.selectRow(0)
        self._show_card()

    def _show_card(self) -> None:
        self.use.setEnabled(self.name is not None)
        if self.name is not None:
            self.card.show_entry(shelf()[self.name][0])

    def accept(self) -> None:
        """Reports the selected model and closes."""
        if self.name is not None:
            self.chosen.emit(self.name)
            super().accept()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Lets the arrows move in the table while the search is typed."""
        if self.search.hasFocus() and event.key() in {Qt.Key.Key_Up, Qt.Key.Key_Down}:
            step = 1 if event.key() == Qt.Key.Key_Down else -1
            row = self.table.currentIndex().row() + step
            self.table.selectRow(max(0, min(row, self._rows.rowCount() - 1)))
            return
        super().keyPressEvent(event)


class _Rows(QSortFilterProxyModel):
    """The catalogue's rows that hold every typed word and are of the kept kind."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._words: list[str] = []
        self._kind = ""
        self.setSourceModel(_table(self))
        self.setSortRole(SORT)

    def search(self, text: str) -> None:
        self._words = text.casefold().split()
        self.invalidate()

    def keep_kind(self, kind: str) -> None:
        self._kind = kind if kind in KINDS[1:] else ""
        self.invalidate()

    def filterAcceptsRow(self, row: int, _parent: object) -> bool:
        name = self.sourceModel().index(row, 0).data(NAME)
        entry, _ = shelf()[name]
        kind = objectives()[entry.objective].kind
        words = f"{entry.title} {entry.maker} {kind} {entry.objective} {entry.best_use}".casefold()
        return (not self._kind or kind == self._kind) and all(word in words for word in self._words)


def _table(parent: QSortFilterProxyModel) -> QStandardItemModel:
    table = QStandardItemModel(0, len(COLUMNS), parent)
    table.setHorizontalHeaderLabels(COLUMNS)
    for name, (entry, count) in shelf().items():
        cells = (
            (entry.title, entry.title.casefold()),
            (count_text(count.total), count.total),
            (objectives()[entry.objective].kind, objectives()[entry.objective].kind),
            (entry.maker, entry.maker.casefold()),
        )
        items = [QStandardItem(text) for text, _ in cells]
        for item, (_, key) in zip(items, cells, strict=True):
            item.setData(key, SORT)
            item.setData(name, NAME)
        items[1].setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        table.appendRow(items)
    table.horizontalHeaderItem(1).setTextAlignment(
        Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
    )
    return table


@cache
def shelf() -> dict[str, tuple[Entry, Parameters]]:
    """Every entry of the catalogue with its parameters, by name."""
    return {entry.name: (entry, parameters(entry.model)) for entry in entries()}


class ModelCard(Card):
    """What a model is, what it is good for, and what it is not."""

    def __init__(self) -> None:
        super().__init__("Model card")
        self.text = QLabel()
        self.text.setWordWrap(True)
        self.text.setTextFormat(Qt.TextFormat.RichText)
        self.text.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.text.setOpenExternalLinks(True)
        self.text.setTextInteractionFlags(Qt.TextInteractionFlag.TextBrowserInteraction)
        self.text.setAccessibleName("Model card")
        self.text.setToolTip("Best use, training, limits and licence, with their source.")
        scroll = QScrollArea()
        scroll.setWidget(self.text)
        scroll.setWidgetResizable(True)
        self.text.setAutoFillBackground(False)
        scroll.viewport().setAutoFillBackground(False)
        scroll.setAccessibleName("Model card")
        self.rows.addWidget(scroll, 1)

    def show_entry(self, entry: Entry) -> None:
        """Shows the card of a model."""
        objective = objectives()[entry.objective]
        count = shelf()[entry.name][1]
        size = f"{count.total:,} parameters"
        if count.active != count.total:
            size += f", {count.active:,} of them active for a token"
        rows = (
            ("Size", size),
            ("Kind", f"{objective.kind.capitalize()}, {objective.title.lower()}. {objective.how}"),
            ("Such models are good for", objective.good_for),
            ("Best use", entry.best_use),
            ("How it was trained", entry.trained),
            ("Limits", entry.limits),
            ("Licence", entry.licence),
            ("Released", f"{entry.released} by {entry.maker}"),
            ("Source", f"{entry.source.card}; <a href='{entry.link}'>{entry.link}</a>"),
        )
        self.title.setText(entry.title)
        self.text.setText(
            "".join(f"<p><span style='font-weight:600'>{head}</span><br>{body}</p>" for head, body in rows)
        )
