"""Where the memory goes: a bar for each device, its terms, and what a number format changes."""

from functools import partial

from PySide6.QtCore import QSize, Qt, QTimer
from PySide6.QtWidgets import (
    QButtonGroup,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QWidget,
)

from llmplanner.advice import Stored, by_format
from llmplanner.app.cards import Card, note
from llmplanner.app.chart_view import ChartView
from llmplanner.app.session import Session, State
from llmplanner.app.term_table import TermTable, gib
from llmplanner.app.theme import GAP
from llmplanner.charts.figure import Figure
from llmplanner.charts.memory import memory_figure
from llmplanner.charts.palette import TERM_TITLES, Theme
from llmplanner.core.estimate import DeviceEstimate, Estimate, Phase, Term
from llmplanner.core.quantities import gib_text

PHASES = {
    "load": ("Load", "The weights are on the device, and nothing else yet."),
    "prefill": ("Read the prompt", "The whole prompt goes through the model at once."),
    "decode": ("Answer", "The last token of the longest answer, with a full KV cache."),
    "forward": ("Forward", "Activations pile up for the backward pass."),
    "backward": ("Backward", "Gradients come as activations go."),
    "step": ("Optimizer step", "The weights are changed."),
}
MOST_PHASES = 4
CHART_SHARE, TABLE_SHARE = 2, 3  # of the height of the page
LEAST_TERMS = 240  # px: four terms and the details of one
DETAILS = 4  # lines; more scroll, and the table stays as it is
BAR, FRAME = 15, 112  # px: of a bar that can be read, and of what stands around the bars
TALLEST = 220  # px of the table of formats: further apart, its rows are hard to follow
MOST = 100  # share of its card's height until then
SETTLE = 40  # ms after a change until the table of formats follows
CHART = QSize(300, 148)
WHAT_CHANGES = (
    "In GiB for each GPU. Training in full with AdamW keeps 16 bytes for each parameter (4 weights, "
    "4 gradients, 8 optimizer), in mixed precision too: 16 GB for a billion before activations, not 80. "
    "INT8 and INT4 are for serving."
)


class MemoryTab(QWidget):
    """The Memory page."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._phase: str | None = None  # chosen by the user; None: the peak
        self.chart = ChartView(least=CHART)
        self.table = TermTable()
        self.details = note()
        self.details.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.formats = _FormatTable()
        self._buttons = tuple(QPushButton() for _ in range(MOST_PHASES))
        self._lay_out()
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(SETTLE)
        self._later.timeout.connect(self._compare)
        self.table.selectionModel().currentChanged.connect(lambda *_: self._explain())
        self.table.rows.dataChanged.connect(lambda *_: self._explain())

    def _lay_out(self) -> None:
        chart = Card("Memory on each device")
        chart.rows.addLayout(self._phase_row())
        chart.rows.addWidget(self.chart, 1)
        terms = Card("Where it goes")
        terms.rows.addWidget(self.table, 1)
        terms.rows.addWidget(self._scrolling(self.details))
        formats = Card("What a number format changes")
        formats.rows.addWidget(self.formats, MOST)
        formats.rows.addWidget(note(WHAT_CHANGES))
        formats.rows.addStretch(1)
        self._terms = terms
        terms.setMinimumHeight(LEAST_TERMS)
        for part in (
            self.chart,
            self.table,
        ):  # they take what room there is; below their least the page scrolls
            part.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Ignored)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(GAP)
        grid.addWidget(chart, 0, 0, 1, 2)
        grid.addWidget(terms, 1, 0)
        grid.addWidget(formats, 1, 1)
        grid.setRowStretch(0, CHART_SHARE)
        grid.setRowStretch(1, TABLE_SHARE)
        grid.setColumnStretch(0, 5)
        grid.setColumnStretch(1, 3)

    def _scrolling(self, details: QLabel) -> QScrollArea:
        """The details in a place of fixed height."""
        details.setAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop)
        scroll = QScrollArea()
        scroll.setAccessibleName("Details of the term")
        scroll.setFixedHeight(DETAILS * details.fontMetrics().lineSpacing() + 2)
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(details)
        details.setAutoFillBackground(False)  # the card's ground is seen
        return scroll

    def _phase_row(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(8)
        group = QButtonGroup(self)
        for number, button in enumerate(self._buttons):
            button.setCheckable(True)
            button.clicked.connect(partial(self._choose_phase, number))
            group.addButton(button)
            row.addWidget(button)
        row.addStretch()
        return row

    def _choose_phase(self, number: int) -> None:
        device = self._session.state.estimate.devices[0]
        phase = device.phases[number]
        self._phase = None if phase is device.peak else phase.name
        self.show_state(self._session.state)

    # What the window asks of a page

    def show_state(self, state: State) -> None:
        """Shows an estimate; the comparison of formats follows a moment later."""
        device = state.estimate.devices[0]
        phase = next((phase for phase in device.phases if phase.name == self._phase), device.peak)
        self._show_phases(device, phase)
        shown = _only(state.estimate, phase.name)
        figure = memory_figure(state.plan, shown, state.verdict)
        self.chart.show_figure(figure)
        self.chart.setMinimumHeight(max(CHART.height(), FRAME + BAR * len(figure.y.names)))
        self._terms.title.setText(
            f"Where it goes · {PHASES[phase.name][0].lower()}, {gib_text(int(phase.bytes))}"
        )
        self.table.show_phase(phase)
        if not self._later.isActive():  # while edits go on, too: no old figure stays longer than this
            self._later.start()

    def show_theme(self, theme: Theme) -> None:
        """Takes the colours of a theme."""
        self.chart.show_theme(theme)

    def figure(self) -> Figure:
        """The bars, as Export takes them."""
        return self.chart.figure()

    # Parts

    def _show_phases(self, device: DeviceEstimate, shown: Phase) -> None:
        for number, button in enumerate(self._buttons):
            button.setVisible(number < len(device.phases))
            if number >= len(device.phases):
                continue
            phase = device.phases[number]
            title, tip = PHASES[phase.name]
            peak = " · peak" if phase is device.peak else ""
            button.setText(f"{title} · {gib_text(int(phase.bytes))}{peak}")
            button.setToolTip(tip)
            button.setChecked(phase is shown)

    def _explain(self) -> None:
        term = self.table.term
        self.details.setText("" if term is None else _told(term))

    def _compare(self) -> None:
        state = self._session.state
        self.formats.show_rows(by_format(state.draft, state.plan.model, self._session.local))


def _only(estimate: Estimate, phase: str) -> Estimate:
    """The same devices with one phase each."""
    return estimate.each(
        lambda device: DeviceEstimate(device.name, tuple(one for one in device.phases if one.name == phase))
    )


def _told(term: Term) -> str:
    """A term's parts, range and source in a few lines."""
    lines = [f"{TERM_TITLES[term.name]}: {int(term.bytes):,} bytes = {term.formula}"]
    sizes = [(part.name, gib_text(int(part.bytes))) for part in term.parts]
    if len(sizes) > 1 and not all(f"{size} of {name}" in term.formula for name, size in sizes):
        lines.append(" · ".join(f"{name} {size}" for name, size in sizes))
    if int(term.low) != int(term.high):
        lines.append(f"Between {gib_text(int(term.low))} and {gib_text(int(term.high))}. {term.note}")
    elif term.note:
        lines.append(term.note)
    lines.append(f"Source: {term.source}")
    return "\n".join(lines)


class _FormatTable(QWidget):
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
