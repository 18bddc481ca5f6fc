"""Where the memory goes: at the peak, over time, on each device, and under another engine; with receipts."""

from collections.abc import Callable
from functools import partial

from PySide6.QtCore import QSize, Qt, QTimer
from PySide6.QtWidgets import (
    QButtonGroup,
    QGridLayout,
    QHBoxLayout,
    QPushButton,
    QSizePolicy,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from llmplanner.advice import by_format
from llmplanner.app import receipt
from llmplanner.app.cards import Card, note
from llmplanner.app.chart_view import ChartView
from llmplanner.app.format_table import FormatTable
from llmplanner.app.receipt_view import ReceiptView
from llmplanner.app.rival_table import RivalTable, pairs
from llmplanner.app.session import Session, State
from llmplanner.app.term_table import TermTable
from llmplanner.app.theme import GAP
from llmplanner.app.views import DEVICES, PEAK, PHASES, RIVAL, Views
from llmplanner.charts.figure import Figure
from llmplanner.charts.memory import memory_figure
from llmplanner.charts.memory_bars import PHASES as TITLES
from llmplanner.charts.memory_bars import Row, when
from llmplanner.charts.memory_devices import devices_figure
from llmplanner.charts.memory_phases import at, phases_figure
from llmplanner.charts.memory_rivals import Rival, rivals_figure
from llmplanner.charts.palette import Theme
from llmplanner.charts.words import name_of
from llmplanner.comparison import answered, compared
from llmplanner.core.estimate import DeviceEstimate, Estimate, Phase
from llmplanner.core.quantities import gib_text
from llmplanner.core.remedies import remedy

TIPS = {
    "load": "The weights are on the device, and nothing else yet.",
    "prefill": "The whole prompt goes through the model at once.",
    "decode": "The last token of the longest answer, with a full KV cache.",
    "forward": "Activations pile up for the backward pass.",
    "backward": "Gradients come as activations go.",
    "step": "The weights are changed.",
}
MOST_PHASES = 4
CHART_SHARE, TABLE_SHARE = 2, 3  # of the height of the page
LEAST_TERMS = 240  # px: eight terms
FRAME, NOTE, BAR, FEW = 112, 24, 16, 4  # px: what stands around the bars, and one of them; few may be thicker
THICK = 24  # px of one of few bars
MOST = 100  # share of its card's height that the table of formats takes until it is as tall as it may be
SETTLE = 40  # ms after a change until the table of formats and the compared plan follow
CHART = QSize(300, 148)
WHAT_CHANGES = (
    "In GiB for each GPU. Training in full with AdamW keeps 16 bytes for each parameter (4 weights, "
    "4 gradients, 8 optimizer), in mixed precision too: 16 GB for a billion before activations, not 80. "
    "INT8 and INT4 are for serving."
)
VIEWS = {PEAK: "Memory at the peak", PHASES: "Memory over time", DEVICES: "Memory on each device"}
ASIDE = (("receipt", "Receipt", "How the term comes about."), ("formats", "Number formats", WHAT_CHANGES))


class MemoryTab(QWidget):
    """The Memory page."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._phase: str | None = None  # chosen by the user; None: the peak
        self._place: int | None = None  # of the device; None: the one with the least room
        self._rival: Rival | None = None  # as it was answered last
        self.views = Views()
        self.chart = ChartView(least=CHART)
        self.beside = note()
        self.table, self.rivals = TermTable(), RivalTable()
        self.receipt, self.formats = ReceiptView(), FormatTable()
        self._buttons = tuple(QPushButton() for _ in range(MOST_PHASES))
        self._lay_out()
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(SETTLE)
        self._later.timeout.connect(self._follow)
        self._connect()

    # How it is laid out

    def _lay_out(self) -> None:
        chart = self._chart_card = Card("")
        chart.head.addWidget(self.views)
        self._phases = self._phase_row()
        chart.rows.addWidget(self._phases)
        chart.rows.addWidget(self.chart, 1)
        chart.rows.addWidget(self.beside)
        self.beside.setWordWrap(
            False
        )  # two short lines; a label that wraps would take its room from the chart
        self.beside.setToolTip("What stands beside the devices' own memory; each has its receipt.")
        self.beside.setTextInteractionFlags(Qt.TextInteractionFlag.TextBrowserInteraction)
        terms = Card("Where it goes")
        self.tables = QStackedWidget()
        self.tables.addWidget(self.table)
        self.tables.addWidget(self.rivals)
        terms.rows.addWidget(self.tables, 1)
        self._terms, self._aside = terms, self._aside_card()
        terms.setMinimumHeight(LEAST_TERMS)
        for part in (self.chart, self.tables):  # what room there is; below their least the page scrolls
            part.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Ignored)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(GAP)
        grid.addWidget(chart, 0, 0, 1, 2)
        grid.addWidget(terms, 1, 0)
        grid.addWidget(self._aside, 1, 1)
        grid.setRowStretch(0, CHART_SHARE)
        grid.setRowStretch(1, TABLE_SHARE)
        grid.setColumnStretch(0, 5)
        grid.setColumnStretch(1, 4)

    def _aside_card(self) -> Card:
        """The receipt, or what a number format changes: one of them is seen."""
        card, formats = Card(""), QWidget()
        rows = QVBoxLayout(formats)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.addWidget(self.formats, MOST)
        rows.addWidget(note(WHAT_CHANGES))
        rows.addStretch(1)
        self.asides = QStackedWidget()
        group = QButtonGroup(card)
        for number, (_, text, tip) in enumerate(ASIDE):
            button = QPushButton(text)
            button.setCheckable(True)
            button.setProperty("small", True)
            button.setToolTip(tip)
            group.addButton(button, number)
            card.head.insertWidget(number, button)
        card.title.hide()
        card.head.addStretch(1)
        card.head.addWidget(self.receipt.copy)
        for part in (self.receipt, formats):
            self.asides.addWidget(part)
        group.idClicked.connect(self._show_aside)
        self._aside_buttons = group
        card.rows.addWidget(self.asides, 1)
        self._show_aside(1)
        return card

    def _phase_row(self) -> QWidget:
        whole = QWidget()
        row = QHBoxLayout(whole)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        group = QButtonGroup(self)
        for number, button in enumerate(self._buttons):
            button.setCheckable(True)
            button.clicked.connect(partial(self._choose_phase, number))
            group.addButton(button)
            row.addWidget(button)
        row.addStretch()
        return whole

    def _connect(self) -> None:
        self.views.chosen.connect(self._look)
        self.chart.clicked.connect(self._click)
        self.beside.linkActivated.connect(self._tell_beside)
        for table, tell in ((self.table, self._tell), (self.rivals, self._tell_pair)):
            table.clicked.connect(tell)
            table.activated.connect(tell)
            table.selectionModel().currentChanged.connect(partial(self._moved, table, tell))

    # What the user asks for

    def _look(self) -> None:
        """Another view was chosen."""
        if self.views.value:
            self._answer_rival()
        self.show_state(self._session.state)
        if self.views.value:
            rows = self.rivals.rows.pairs
            self.rivals.choose(max(rows, key=lambda pair: abs(pair.difference)).name)
            self._tell_pair()

    def _choose_phase(self, number: int) -> None:
        device = self._device(self._session.state).need
        phase = device.phases[number]
        self._phase = None if phase is device.peak else phase.name
        self.show_state(self._session.state)

    def _click(self, key: str) -> None:
        """A segment was clicked: its device and phase are shown, and its receipt."""
        _side, place, phase, term = key.split(":")
        if self.views.view(self._session.state) == RIVAL:
            self.rivals.choose(term)
            self._tell_pair()
            return
        state = self._session.state
        self._place = int(place)
        device = self._device(state).need
        self._phase = None if phase == device.peak.name else phase
        self.show_state(state)
        self.table.choose(term)
        self._tell()

    def _moved(self, table: QWidget, tell: Callable[..., None], *_: object) -> None:
        """The keyboard went to another row."""
        if table.hasFocus():
            tell()

    def _show_aside(self, number: int) -> None:
        self.asides.setCurrentIndex(number)
        self.receipt.copy.setVisible(number == 0)
        self._aside_buttons.button(number).setChecked(True)
        if number == 0 and self.receipt.receipt is None:
            self._tell()

    # Receipts

    def _tell(self, *_: object) -> None:
        """Shows the receipt of the term in the current row."""
        self._write()
        self._show_aside(0)

    def _write(self) -> None:
        """Writes the receipt of the term in the current row."""
        term, state = self.table.term, self._session.state
        if term is not None:
            row = self._device(state)
            where = f"on {row.name}, {when(self._shown(row.need))}"
            draft = state.draft
            self.receipt.show_receipt(receipt.of_term(term, where, remedy(term, draft.task, draft.engine)))

    def _tell_pair(self, *_: object) -> None:
        """Shows why the term of the current row differs between the two plans."""
        self._write_pair()
        self._show_aside(0)

    def _write_pair(self) -> None:
        """Writes the receipt of the pair in the current row."""
        pair, rival = self.rivals.pair, self._rival
        if pair is not None and rival is not None:
            own, other = self._names(rival)
            self.receipt.show_receipt(receipt.of_pair(pair.name, (own, pair.own), (other, pair.other)))

    def _names(self, rival: Rival) -> tuple[str, str]:
        """What the plan and its rival are called: by their engines, methods or precisions."""
        draft = self._session.state.draft
        field = compared(draft)
        return name_of(field, str(getattr(draft, field))), name_of(field, rival.value)

    def _tell_beside(self, link: str) -> None:
        """Shows the receipt of what stands beside the devices."""
        needed = self._session.state.estimate
        if link == "host" and needed.host is not None:
            self.receipt.show_receipt(receipt.of_host(needed.host))
        elif needed.capacity is not None:
            self.receipt.show_receipt(receipt.of_capacity(needed.capacity))
        self._show_aside(0)

    # What the window asks of a page

    def show_state(self, state: State) -> None:
        """Shows an estimate; the formats and the compared plan follow a moment later."""
        row = self._device(state)
        phase = self._shown(row.need)
        self.views.show_state(state)
        view = self.views.view(state)
        self._show_phases(row.need, phase, view)
        self._chart_card.title.setText(self._titled(view))
        figure = self._drawn(state, view, phase)
        self.chart.show_figure(figure)
        bars, frame = len(figure.y.names), FRAME + (NOTE if figure.note else 0)
        self.chart.setMinimumHeight(max(CHART.height(), frame + (THICK if bars <= FEW else BAR) * bars))
        self._show_terms(row, phase, view)
        self._show_beside(state.estimate)
        if not self._later.isActive():  # while edits go on, too: no old figure stays longer than this
            self._later.start()

    def show_theme(self, theme: Theme) -> None:
        """Takes the colours of a theme."""
        self.chart.show_theme(theme)

    def figure(self) -> Figure:
        """The bars, as Export takes them."""
        return self.chart.figure()

    # Parts

    def _device(self, state: State) -> Row:
        """The device that is looked at."""
        return at(state.plan, state.estimate, self._place)

    def _shown(self, device: DeviceEstimate) -> Phase:
        """The phase that is looked at."""
        return next((phase for phase in device.phases if phase.name == self._phase), device.peak)

    def _titled(self, view: str) -> str:
        """What a view is called above its chart."""
        if view == RIVAL and self._rival is not None:
            return "{} beside {}".format(*self._names(self._rival))
        return VIEWS.get(view, "Memory")

    def _drawn(self, state: State, view: str, phase: Phase) -> Figure:
        """The chart of a view."""
        plan, needed, judged = state.plan, state.estimate, state.verdict
        if view == RIVAL and self._rival is not None:
            field = compared(state.draft)
            own = Rival(str(getattr(state.draft, field)), plan, needed)
            return rivals_figure(field, (own, self._rival))
        if view == PHASES:
            return phases_figure(plan, needed, judged, self._place)
        if view == DEVICES:
            return devices_figure(plan, needed, judged)
        return memory_figure(plan, _only(needed, phase.name), judged)

    def _show_phases(self, device: DeviceEstimate, shown: Phase, view: str) -> None:
        self._phases.setVisible(view in {PEAK, PHASES})
        for number, button in enumerate(self._buttons):
            button.setVisible(number < len(device.phases))
            if number >= len(device.phases):
                continue
            phase = device.phases[number]
            peak = " · peak" if phase is device.peak else ""
            button.setText(f"{TITLES[phase.name]} · {gib_text(int(phase.bytes))}{peak}")
            button.setToolTip(TIPS[phase.name])
            button.setChecked(phase is shown)

    def _show_terms(self, row: Row, phase: Phase, view: str) -> None:
        """The table of the view, and the receipt where one is seen."""
        size = f"{TITLES[phase.name].lower()}, {gib_text(int(phase.bytes))}"
        several = len(self._session.state.estimate.different) > 1
        rival = self._rival if view == RIVAL else None
        self.table.show_phase(phase)
        self.tables.setCurrentWidget(self.table if rival is None else self.rivals)
        if rival is None:
            self._terms.title.setText(f"{row.name if several else 'Where it goes'} · {size}")
            self._terms.title.setToolTip(row.need.role)
            if self.asides.currentIndex() == 0 and self.receipt.receipt is not None:
                self._write()
            return
        own, other = self._names(rival)
        self._terms.title.setText(f"{own} and {other}, each at its peak, in GiB")
        peak = Phase("load", ())
        if rival.plan is not None and rival.estimate is not None:
            peak = at(rival.plan, rival.estimate, None).need.peak
        self.rivals.show_pairs(pairs(row.need.peak, peak), own, other)
        if self.asides.currentIndex() == 0:
            self._write_pair()

    def _show_beside(self, needed: Estimate) -> None:
        """What the host keeps, and what an engine has left."""
        said = []
        if needed.capacity is not None:
            said.append(f'{receipt.room_words(needed.capacity)} <a href="capacity">How that comes about</a>')
        if needed.host is not None:
            said.append(f'{receipt.host_words(needed.host)} <a href="host">What it holds</a>')
        self.beside.setText("<br>".join(said))
        self.beside.setVisible(bool(said))

    def _answer_rival(self) -> None:
        state, session = self._session.state, self._session
        self._rival = answered(state.draft, state.plan.model, session.local, self.views.value)

    def _follow(self) -> None:
        """Brings up to date what is not needed at once."""
        state = self._session.state
        self.formats.show_rows(by_format(state.draft, state.plan.model, self._session.local))
        if self.views.view(state) == RIVAL:
            self._answer_rival()
            row = self._device(state)
            self.chart.show_figure(self._drawn(state, RIVAL, row.need.peak))
            self._show_terms(row, self._shown(row.need), RIVAL)


def _only(estimate: Estimate, phase: str) -> Estimate:
    """The same devices with one phase each; its peak, where a device does not know that phase."""
    return estimate.each(
        lambda device: DeviceEstimate(
            device.name,
            tuple(one for one in device.phases if one.name == phase) or (device.peak,),
            device.role,
        )
    )
