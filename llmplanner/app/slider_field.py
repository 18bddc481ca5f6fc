"""A count on a slider, which keeps the last good value and takes a typed one too."""

from bisect import bisect_right

from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QSlider, QWidget

from llmplanner import plan_fields
from llmplanner.app.fields import NO_WHEEL, Entry, Field, parser
from llmplanner.core.errors import BadInput
from llmplanner.core.quantities import count_text

ENTRY_WIDTH = 92  # px of the entry beside a slider
LONG = 10**8  # from here on a label says 1B rather than its zeros
PAGE = 8  # stops that Page Up moves a slider: one power of two


class SliderField(Field):
    """A count on a logarithmic slider, with an entry beside it that takes any value in range.

    `slid` carries the values while the slider moves, `released` says that it is let go, `entered` carries a
    typed one. The label shows the value.
    """

    slid = Signal(object)
    released = Signal()

    def __init__(self, field: plan_fields.Field, tip: str, unit: str, high: int) -> None:
        row = QWidget()
        super().__init__(field.label, tip, row)
        self._title, self._unit, self._low = field.label, unit, int(field.low)
        self._value = self._low
        self._parse = parser(field)
        self._stops: list[int] = []
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setPageStep(PAGE)
        self.reach(high)
        self.slider.installEventFilter(NO_WHEEL)
        self._name(self.slider, field.label, tip)
        self.entry = Entry()
        self.entry.setAlignment(Qt.AlignmentFlag.AlignRight)
        self.entry.setFixedWidth(ENTRY_WIDTH)
        example = "32k" if field.kind == "tokens" else "12"
        self._name(self.entry, f"{field.label}, typed", f"{tip} Type any value, such as {example}.")
        self.label.setBuddy(self.entry)
        line = QHBoxLayout(row)
        line.setContentsMargins(0, 0, 0, 0)
        line.setSpacing(8)
        line.addWidget(self.slider, 1)
        line.addWidget(self.entry)
        self.slider.valueChanged.connect(self._slide)
        self.slider.sliderReleased.connect(self.released)
        self.entry.editingFinished.connect(self._read)

    def stops(self) -> tuple[QWidget, ...]:
        """The slider, then the entry beside it."""
        return (self.slider, self.entry)

    def reach(self, high: int) -> None:
        """Sets the slider's upper end; typing still takes more."""
        if self._stops and self._stops[-1] == high:
            return
        self._stops = _stops(self._low, max(high, self._low + 1))
        with QSignalBlocker(self.slider):
            self.slider.setRange(0, len(self._stops) - 1)
            self._place()

    def _place(self) -> None:
        self.slider.setValue(bisect_right(self._stops, self._value) - 1)

    def _slide(self, position: int) -> None:
        value = self._stops[position]
        if value != self._value:
            self._value = value
            self._show_text()
            self.show_problem("")
            self.slid.emit(value)

    def _read(self) -> None:
        if self.entry.text().strip() == f"{self._value:,}":
            self.show_problem("")
            return
        try:
            value = self._parse(self.entry.text())
        except BadInput as error:
            self.show_problem(str(error))
            return
        self.show_problem("")
        self.entry.setModified(False)
        if value == self._value:
            self._show_text()
        else:
            self.entered.emit(value)

    def show_value(self, value: object) -> None:
        """Shows a value that came from elsewhere."""
        self._value = value if isinstance(value, int) else self._low
        self.show_problem("")
        self._show_text()
        with QSignalBlocker(self.slider):
            self._place()

    def _show_text(self) -> None:
        unit = self._unit[:-1] if self._value == 1 and self._unit.endswith("s") else self._unit
        value = f"{self._value:,}" if self._value < LONG else count_text(self._value)
        self.label.setText(f"{self._title} · {value} {unit}")
        self.entry.setText(f"{self._value:,}")
        self.entry.setCursorPosition(0)  # of a number that is too long its beginning is seen

    def _mark(self, control: QWidget, *, wrong: bool) -> None:
        super()._mark(self.entry if control is self.control else control, wrong=wrong)


def _stops(low: int, high: int) -> list[int]:
    """The counts that a slider stops at: eighths between powers of two, and both ends."""
    octaves = range(low.bit_length() - 1, high.bit_length())
    eighths = {(8 + k) * 2**octave // 8 for octave in octaves for k in range(8)}
    return sorted({low, high, *(stop for stop in eighths if low < stop < high)})
