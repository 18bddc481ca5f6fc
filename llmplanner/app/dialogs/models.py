"""The models to choose from: found by typing, by kind and by what fits, each with its card."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import cast

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QHBoxLayout,
    QHeaderView,
    QLineEdit,
    QTableView,
    QVBoxLayout,
    QWidget,
)

from llmplanner.app.cards import note
from llmplanner.app.dialogs.model_card import ModelCard
from llmplanner.app.dialogs.model_rows import COLUMNS, KEY, TITLE, ModelRows, ModelTable
from llmplanner.app.fields import scroll_past
from llmplanner.app.jobs import ThreadJob
from llmplanner.app.session import Session
from llmplanner.app.shelf import Item, Looked, Shelf, judged, on_this_computer, opened, shelf
from llmplanner.charts.palette import LIGHT, Theme
from llmplanner.core.verdict import Judgement
from llmplanner.plans import Draft

WINDOW = (1220, 700)
WIDTHS = (84, 130, 146, 112)  # px of all columns but the title
KINDS = ("Every kind", "decoder", "encoder", "encoder-decoder")
PLAN, HERE = "Fits the plan's GPU", "Fits this computer"
AT_ONCE = 4  # files that one job opens
MOST_OPENED = 200  # files that are opened to see whether they fit
PAUSE = 20  # ms between those jobs
NONE_FOUND = "No model is like this. Search for fewer words, or show every kind and all sizes."
JUDGING = "Working out what fits…"


class ModelDialog(QDialog):
    """Choose a model. `chosen` carries its name in the catalogue, or its path."""

    chosen = Signal(str)

    def __init__(self, session: Session, theme: Theme = LIGHT, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle("Choose a model")
        self.resize(*WINDOW)
        self.session = session
        known = shelf()
        self.models = ModelTable(known.items, theme, self)
        self.rows = ModelRows(self.models, self)
        self._looked: dict[str, Looked] = {}
        self._jobs: set[ThreadJob] = set()
        self._judging: Draft | None = None  # the plan that the verdicts are about
        self.search = QLineEdit()
        self.kind, self.fits = QComboBox(), QComboBox()
        scroll_past(self.kind)
        scroll_past(self.fits)
        self.table = QTableView()
        self.empty = note(NONE_FOUND)
        self.card = ModelCard()
        self.problems = note("\n".join(known.problems))
        self.problems.setTextFormat(Qt.TextFormat.PlainText)
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.use = self.buttons.addButton("Use this model", QDialogButtonBox.ButtonRole.AcceptRole)
        self._name_controls()
        self._fill_table(session.state.draft.model)
        self._lay_out()
        self._connect()
        self._show_card()
        self.search.setFocus()
        self._judge()
        self._start("Looking for models on this computer", on_this_computer, self._add)

    def _name_controls(self) -> None:
        self.search.setPlaceholderText("Search by name, maker, kind, use or place")
        self.search.setAccessibleName("Search")
        self.search.setToolTip("Shows the models whose card has every word that you type.")
        self.kind.addItems(KINDS)
        self.kind.setAccessibleName("Kind")
        self.kind.setToolTip("Decoders write, encoders understand, encoder-decoders turn text into text.")
        devices = self.session.state.plan.machine.devices
        self.fits.addItem("All sizes")
        self.fits.addItem(PLAN)
        if self.session.local is not None and self.session.state.draft.gpu != "local":
            self.fits.addItem(HERE)
        self.fits.setAccessibleName("What fits")
        self.fits.setToolTip(
            f"Judged for the plan as it is now, with each model in place of its own. "
            f"The plan's GPU: {len(devices)} × {devices[0].name}."
        )
        self.use.setToolTip("Plans for the selected model; undo takes it back.")
        self.buttons.button(QDialogButtonBox.StandardButton.Cancel).setToolTip(
            "Leaves the plan's model as it is."
        )

    def _fill_table(self, key: str) -> None:
        table = self.table
        table.setModel(self.rows)
        table.setAccessibleName("Models")
        table.setToolTip("Double-click or press Return to plan for a model.")
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        table.setShowGrid(False)
        table.setWordWrap(False)
        table.setTextElideMode(Qt.TextElideMode.ElideMiddle)  # a name's end tells its size and format
        table.setTabKeyNavigation(False)
        table.verticalHeader().hide()
        table.setSortingEnabled(True)
        table.sortByColumn(TITLE, Qt.SortOrder.AscendingOrder)
        table.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        header = table.horizontalHeader()
        header.setHighlightSections(False)
        header.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        header.setSectionResizeMode(TITLE, QHeaderView.ResizeMode.Stretch)
        for column, width in zip(range(1, len(COLUMNS)), WIDTHS, strict=True):
            table.setColumnWidth(column, width)
        self._select(key)
        QTimer.singleShot(0, table, self._centre)

    def _select(self, key: str) -> None:
        """Goes to a model, or to the first row where it is not among them."""
        keys = [self.rows.index(row, 0).data(KEY) for row in range(self.rows.rowCount())]
        self.table.selectRow(keys.index(key) if key in keys else 0)

    def _centre(self) -> None:
        self.table.scrollTo(self.table.currentIndex(), QAbstractItemView.ScrollHint.PositionAtCenter)

    def _lay_out(self) -> None:
        finder = QHBoxLayout()
        finder.addWidget(self.search, 1)
        finder.addWidget(self.kind)
        finder.addWidget(self.fits)
        left = QVBoxLayout()
        left.setSpacing(8)
        left.addLayout(finder)
        left.addWidget(self.table, 1)
        QVBoxLayout(self.table.viewport()).addWidget(self.empty)
        self.empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        kept = self.card.sizePolicy()
        kept.setRetainSizeWhenHidden(True)
        self.card.setSizePolicy(kept)
        left.addWidget(self.problems)
        self.problems.setVisible(bool(self.problems.text()))
        columns = QHBoxLayout()
        columns.setSpacing(12)
        columns.addLayout(left, 7)
        columns.addWidget(self.card, 3)
        rows = QVBoxLayout(self)
        rows.setContentsMargins(24, 24, 24, 16)
        rows.setSpacing(12)
        rows.addLayout(columns, 1)
        rows.addWidget(self.buttons)

    def _connect(self) -> None:
        self.search.textChanged.connect(self.rows.search)
        self.kind.currentTextChanged.connect(self._keep)
        self.fits.currentTextChanged.connect(self._judge)
        for changed in (self.search.textChanged, self.kind.currentTextChanged):
            changed.connect(self._select_a_match)
        self.table.selectionModel().currentRowChanged.connect(lambda *_: self._show_card())
        self.table.doubleClicked.connect(lambda _index: self.accept())
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        for left in (self.finished, self.destroyed):
            left.connect(partial(_cancel, self._jobs))

    # What arrives from jobs

    def _start(self, title: str, work: Callable[[], object], done: Callable[[object], None]) -> None:
        job = ThreadJob(title, work)
        self._jobs.add(job)
        job.done.connect(done)
        job.failed.connect(self._tell)
        job.ended.connect(partial(self._jobs.discard, job))
        job.start()

    def _tell(self, sentence: str) -> None:
        """Says what could not be looked at."""
        self.problems.setText("\n".join(filter(None, (self.problems.text(), sentence))))
        self.problems.show()

    def _judge(self) -> None:
        """Judges the models of the catalogue for the machine that is asked about, then the files."""
        self._keep()
        draft = self._draft()
        if draft == self._judging:
            return
        self._judging = draft
        self.models.forget()
        self._looked.clear()
        work = partial(judged, self.models.items, draft, self.session.local)
        self._start("Judging the catalogue", work, partial(self._take_judged, draft))
        self._open_more()

    def _draft(self) -> Draft:
        draft = self.session.state.draft
        if self.fits.currentText() != HERE:
            return draft
        return replace(draft, gpu="local", count=None, dp=None, tp=None)

    def _take_judged(self, draft: Draft, found: object) -> None:
        if draft is self._judging:
            self.models.tell(cast("dict[str, Judgement]", found), {})
            self._select_a_match()

    def _add(self, found: object) -> None:
        shown = cast("Shelf", found)
        self.models.add(shown.items)
        for sentence in shown.problems:
            self._tell(sentence)
        self._select_a_match()
        self._open_more()

    def _open_more(self) -> None:
        """Opens a few more of the files on this computer, to see what they are and whether they fit."""
        files = [item.key for item in self.models.items if item.entry is None]
        waiting = tuple(key for key in files[:MOST_OPENED] if key not in self._looked)[:AT_ONCE]
        if waiting and self._judging is not None:
            draft = self._judging
            work = partial(opened, waiting, draft, self.session.local)
            self._start("Opening models", work, partial(self._take_opened, draft))

    def _take_opened(self, draft: Draft, found: object) -> None:
        looked = cast("dict[str, Looked]", found)
        if draft is not self._judging:
            return
        self._looked |= looked
        verdicts = {key: one.judged for key, one in looked.items() if one.judged is not None}
        self.models.tell(verdicts, {key: one.kind for key, one in looked.items()})
        if self.key in looked:
            self._show_card()
        QTimer.singleShot(PAUSE, self, self._open_more)

    # What the user does

    def _keep(self) -> None:
        kind = self.kind.currentText() if self.kind.currentIndex() else ""
        self.rows.keep(kind, fitting=self.fits.currentIndex() > 0)

    @property
    def key(self) -> str | None:
        """What a plan calls the selected model."""
        index = self.table.currentIndex()
        return str(index.siblingAtColumn(0).data(KEY)) if index.isValid() else None

    def _select_a_match(self) -> None:
        """Goes to the first row where the selected model is no longer among them."""
        if not self.table.selectionModel().hasSelection():
            self.table.selectRow(0)
        self._show_card()

    def _item(self) -> Item | None:
        return next((item for item in self.models.items if item.key == self.key), None)

    def _show_card(self) -> None:
        item = self._item()
        self.use.setEnabled(item is not None)
        self.card.setVisible(item is not None)
        self.empty.setVisible(item is None)
        if item is None:
            self.empty.setText(NONE_FOUND if self.models.judged else JUDGING)
            return
        if item.entry is not None and item.count is not None:
            self.card.show_entry(item.entry, item.count)
            return
        looked = self._looked.get(item.key)
        self.card.show_facts(item.title, item.facts + (looked.facts if looked is not None else ()))

    def accept(self) -> None:
        """Reports the selected model and closes."""
        if self.key is not None:
            self.chosen.emit(self.key)
            super().accept()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Lets the arrows move in the table while the search is typed."""
        if self.search.hasFocus() and event.key() in {Qt.Key.Key_Up, Qt.Key.Key_Down}:
            step = 1 if event.key() == Qt.Key.Key_Down else -1
            row = self.table.currentIndex().row() + step
            self.table.selectRow(max(0, min(row, self.rows.rowCount() - 1)))
            return
        super().keyPressEvent(event)


def _cancel(jobs: set[ThreadJob], _result: object = None) -> None:
    """Drops what is still being looked at, once the dialog is left."""
    for job in tuple(jobs):
        job.cancel()
