"""The Quantization page: one number in every format, the range of each, and the model at each format."""

from fractions import Fraction

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from llmplanner.app.bit_grid import ROOMY, TIGHT, BitGrid
from llmplanner.app.cards import Card, note
from llmplanner.app.chart_view import ChartView
from llmplanner.app.fields import Entry
from llmplanner.app.format_notes import facts, told, why
from llmplanner.app.session import Session, State
from llmplanner.app.theme import GAP
from llmplanner.charts.bits import bits_figure
from llmplanner.charts.figure import Figure
from llmplanner.charts.formats import formats_figure
from llmplanner.charts.palette import Theme
from llmplanner.charts.ranges import ranges_figure
from llmplanner.core.errors import BadInput
from llmplanner.core.quantities import parse_value, significant
from llmplanner.core.stored import Stored, Typed, default_absmax, in_every_format, read

FIRST = "pi"
NUMBER, ABSMAX = "quantization/number", "quantization/absmax"  # as the session remembers them
ENTRY, SCALE_ENTRY = 170, 110  # px
CHART = 196  # px, the least height of the two charts
LARGE = 720  # px: from this height on, the rows of bits have more room
VALUE_TIP = "Any number: 3.14, 0,1, 1e-45, 1/3, 0x1.8p1, pi, e, inf, nan; or a bit pattern, as bf16:0x4049."
ABSMAX_TIP = (
    "The largest magnitude of the block that the number is quantized with: it goes to 127 in INT8 and to 7 "
    "in INT4. Empty: the next power of two from the number up."
)


class QuantizationTab(QWidget):
    """Keeps a typed number of its own; the plan gives the model and the card."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.session = session
        self._typed, self._absmax = _remembered(session)
        self._state: State | None = None
        self._rows = in_every_format(self._typed, self._absmax)
        self._pointed = "bf16"
        self.value = _entry(ENTRY, "Number", VALUE_TIP)
        self.absmax = _entry(SCALE_ENTRY, "Scale of INT8 and INT4: absmax", ABSMAX_TIP)
        self.told = note()
        self.problem = QLabel()
        self.problem.setProperty("role", "problem")
        self.problem.setWordWrap(True)
        self.why = note()
        self.grid = BitGrid(self._rows)
        self.ranges = ChartView()
        self.formats = ChartView()
        self._later = QTimer(self, singleShot=True, interval=0)  # the chart follows the bits
        self._later.timeout.connect(self._draw_ranges)
        self._lay_out()
        self._connect()
        self.value.setText(self._typed.text)
        self._show_absmax()
        self._show_value()

    def _lay_out(self) -> None:
        self._bits_card, self._ranges_card = (
            Card("One number in every format"),
            Card("Magnitudes that each format stores"),
        )
        self._formats_card = Card("")
        self._bits_card.rows.setSpacing(6)
        line = QHBoxLayout()
        line.setSpacing(GAP)
        self._bits_card.rows.removeWidget(self._bits_card.title)
        line.addWidget(self._bits_card.title)
        words = QVBoxLayout()
        words.setSpacing(0)
        words.addWidget(self.told)
        words.addWidget(self.problem)
        for label in (self.told, self.problem):  # room for two lines, so that nothing moves below
            label.setMinimumHeight(2 * label.fontMetrics().lineSpacing())
        self.problem.hide()
        absmax = QLabel("INT8, INT4: absmax")
        absmax.setProperty("role", "mute")
        absmax.setToolTip(ABSMAX_TIP)
        absmax.setBuddy(self.absmax)
        line.addWidget(self.value)
        line.addLayout(words, 1)
        line.addWidget(absmax)
        line.addWidget(self.absmax)
        self._bits_card.rows.addLayout(line)
        self._bits_card.rows.addWidget(self.grid)
        self.why.setMinimumHeight(2 * self.why.fontMetrics().lineSpacing())
        self.why.setAlignment(Qt.AlignmentFlag.AlignTop)
        self._bits_card.rows.addWidget(self.why)
        charts = QHBoxLayout()
        charts.setSpacing(GAP)
        for card, chart in ((self._ranges_card, self.ranges), (self._formats_card, self.formats)):
            chart.setMinimumHeight(CHART)
            chart.setSizePolicy(
                QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Ignored
            )  # takes what is left
            card.rows.addWidget(chart, 1)
            charts.addWidget(card, 1)
        inside = QWidget()
        rows = QVBoxLayout(inside)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setSpacing(GAP)
        rows.addWidget(self._bits_card)
        rows.addLayout(charts, 1)
        scroll = QScrollArea()
        scroll.setWidget(inside)
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # what it holds takes the keyboard
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(scroll)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Gives the rows of bits more room on a large screen."""
        self.grid.show_height(ROOMY if event.size().height() > LARGE else TIGHT)
        super().resizeEvent(event)

    def _connect(self) -> None:
        self.value.textEdited.connect(lambda: self._read_value(whole=False))
        self.value.editingFinished.connect(lambda: self._read_value(whole=True))
        self.absmax.textEdited.connect(lambda: self._read_absmax(whole=False))
        self.absmax.editingFinished.connect(lambda: self._read_absmax(whole=True))
        self.grid.asked.connect(self._take_pattern)
        self.grid.pointed.connect(self._point)

    # What the window asks for

    def show_state(self, state: State) -> None:
        """Shows the plan's model at each format."""
        self._state = state
        figure = formats_figure(state.plan)
        self._formats_card.title.setText(figure.title)
        self.formats.show_figure(figure)
        self._draw_ranges()

    def show_theme(self, theme: Theme) -> None:
        """Takes the colours of a theme."""
        self.grid.show_theme(theme)
        self.ranges.show_theme(theme)
        self.formats.show_theme(theme)

    def figure(self) -> Figure:
        """The bits, as Export takes them."""
        return bits_figure(self._typed, self._rows)

    # What the user types and clicks

    def _read_value(self, *, whole: bool) -> None:
        """Takes what is typed. While it is being typed, what cannot be used is waited out, not marked."""
        text = self.value.text()
        if text.strip() == self._typed.text:
            self._tell(self.value, "")
            return
        try:
            typed = read(text)
        except BadInput as error:
            self._tell(self.value, str(error) if whole else "")
            return
        self._tell(self.value, "")
        self._typed = typed
        self._show_value()

    def _read_absmax(self, *, whole: bool) -> None:
        text = self.absmax.text().strip()
        try:
            self._absmax = _absmax(text)
        except BadInput as error:
            self._tell(self.absmax, str(error) if whole else "")
            return
        self._tell(self.absmax, "")
        self._show_value()

    def _take_pattern(self, typed: Typed) -> None:
        if self._absmax is None and typed.key.endswith(
            "absmax"
        ):  # the scale stays while its bits are flipped
            self._absmax = default_absmax(self._typed.value)
            self._show_absmax()
        self._typed = typed
        self.value.setText(typed.text)
        self._tell(self.value, "")
        self._show_value()

    def _point(self, row: Stored) -> None:
        self._pointed = row.key
        self._tell_why()

    # What follows from it

    def _show_absmax(self) -> None:
        text = "" if self._absmax is None else significant(self._absmax, 12).replace(",", "")
        self.absmax.setText(text)

    def _show_value(self) -> None:
        self.session.keep(NUMBER, self._typed.text)
        self.session.keep(ABSMAX, "" if self._absmax is None else str(self._absmax))
        self._rows = in_every_format(self._typed, self._absmax)
        self.grid.show_rows(self._rows)
        self.told.setText(told(self._typed))
        self._tell_why()
        self.absmax.setPlaceholderText(f"auto: {significant(default_absmax(self._typed.value), 6)}")
        if self._state is not None:
            self._later.start()

    def _draw_ranges(self) -> None:
        self.ranges.show_figure(ranges_figure(self._typed, self._rows))

    def _tell(self, entry: QLineEdit, problem: str) -> None:
        """Marks an entry and says what it takes; an empty sentence takes the mark away."""
        self.problem.setText(problem)
        self.problem.setVisible(bool(problem))
        self.told.setVisible(not problem)
        if bool(entry.property("wrong")) != bool(problem):
            entry.setProperty("wrong", bool(problem))
            entry.style().unpolish(entry)
            entry.style().polish(entry)

    def _tell_why(self) -> None:
        row = next(row for row in self._rows if row.key == self._pointed)
        self.why.setText(f"{facts(row)}\n{why(row)}")


def _entry(width: int, name: str, tip: str) -> QLineEdit:
    entry = Entry()
    entry.setFixedWidth(width)
    entry.setAccessibleName(name)
    entry.setAccessibleDescription(tip)
    entry.setToolTip(tip)
    return entry


def _absmax(text: str) -> Fraction | None:
    """What was typed as absmax; None for nothing. Raises BadInput."""
    if not text:
        return None
    value = parse_value(text, field="absmax")
    if not isinstance(value, Fraction) or value <= 0:
        raise BadInput(f"absmax cannot be {text}; it takes a number above zero, such as 4.", field="absmax")
    return value


def _remembered(session: Session) -> tuple[Typed, Fraction | None]:
    """The number and the scale of the last start; pi and none where there are none that can be read."""
    try:
        return read(session.kept.get(NUMBER, FIRST)), _absmax(session.kept.get(ABSMAX, ""))
    except BadInput:
        return read(FIRST), None
