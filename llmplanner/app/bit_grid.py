"""The bits of one value in every format, as buttons: a click flips a bit, the arrow keys step and move."""

from dataclasses import dataclass
from functools import cache

from PySide6.QtCore import QEvent, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QEnterEvent,
    QFocusEvent,
    QKeyEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QResizeEvent,
)
from PySide6.QtWidgets import QAbstractButton, QGridLayout, QLabel, QSizePolicy, QWidget

from llmplanner.charts.bits import GAP, column, part
from llmplanner.charts.palette import LIGHT, Theme, ink_on, mixed
from llmplanner.core.quantities import decimal_text, significant
from llmplanner.core.stored import Stored, flipped

LEFT = -9.0 - GAP  # the sign of the widest exponent, in widths of a bit from the end of the exponent
WIDTH = 23 + GAP - LEFT  # to the last bit of FP32, in widths of a bit
LEAST, MOST = 12.5, 30.0  # px of a bit
TIGHT, ROOMY = 18, 26  # px of a row
HEADS = 16  # px
TINT = 0.22  # how much of its colour a zero shows
HOW = "Click or press Space to flip it; the arrow keys go to the next bit and step to the next value."


@dataclass(frozen=True, slots=True)
class Inks:
    """The colours of one part of a number."""

    one: QColor
    zero: QColor
    ink_of_one: QColor
    ink_of_zero: QColor
    focus: QColor


@cache
def inks(theme: Theme, kind: str) -> Inks:
    """The colours of a kind of bit in a theme."""
    full, text = theme.colour(kind), theme.text
    colours = (full, mixed(full, theme.panel, TINT), ink_on(full), text, theme.accent)
    return Inks(*map(QColor, colours))


class Bit(QAbstractButton):
    """One bit of one format."""

    moved = Signal(int)  # keys: bits to the right
    stepped = Signal(int)  # keys: representable values up

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.inks = inks(LIGHT, kind)
        self.text_of_bit = "0"
        self.setCursor(Qt.CursorShape.PointingHandCursor)

    def show_bit(self, bit: str, name: str) -> None:
        """Shows 0 or 1, and says so to a screen reader."""
        if self.text_of_bit != bit or not self.accessibleName():
            self.text_of_bit = bit
            self.setAccessibleName(f"{name}: {bit}")
            self.setToolTip(f"{name}: {bit}\n{HOW}")
            self.update()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Left and right move, up and down step, Home and End go to the ends, Enter flips as Space does."""
        keys = Qt.Key
        moves = {keys.Key_Left: -1, keys.Key_Right: 1, keys.Key_Home: -99, keys.Key_End: 99}
        steps = {keys.Key_Up: 1, keys.Key_Down: -1}
        key = keys(event.key()) if event.key() in set(keys) else keys.Key_unknown
        if key in moves:
            self.moved.emit(moves[key])
        elif key in steps:
            self.stepped.emit(steps[key])
        elif key in {keys.Key_Return, keys.Key_Enter}:
            self.click()
        else:
            super().keyPressEvent(event)

    def show_theme(self, theme: Theme) -> None:
        """Takes the colours of a theme."""
        self.inks = inks(theme, self.kind)
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:
        """A filled box for one, a tinted one for zero; a frame where the pointer or the keyboard is."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        one = self.text_of_bit == "1"
        if self.hasFocus():
            painter.setPen(QPen(self.inks.focus, 2))
        elif self.underMouse():
            painter.setPen(QPen(self.inks.one, 2))
        else:
            painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self.inks.one if one else self.inks.zero)
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(1, 1, -1, -1), 3, 3)
        painter.setPen(self.inks.ink_of_one if one else self.inks.ink_of_zero)
        painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, self.text_of_bit)


class BitRow(QWidget):
    """The bits of one format, where its exponent ends in the same column as all others'."""

    asked = Signal(object)  # Typed: the value of another pattern
    entered = Signal(str)  # the row's key: the pointer or the keyboard came

    def __init__(self, row: Stored) -> None:
        super().__init__()
        self.row = row
        self._height = TIGHT
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.none = QLabel(f"{row.format.name} has no NaN", self)
        self.none.setProperty("role", "mute")
        self.bits = tuple(self._bit(place) for place in range(row.format.width))
        self.show_row(row)

    def _bit(self, place: int) -> Bit:
        bit = Bit(part(self.row.format, place))
        bit.setParent(self)
        bit.setFocusPolicy(Qt.FocusPolicy.StrongFocus if place == 0 else Qt.FocusPolicy.ClickFocus)
        bit.clicked.connect(lambda: self._flip(place))
        bit.moved.connect(lambda by: self.bits[max(0, min(len(self.bits) - 1, place + by))].setFocus())
        bit.stepped.connect(self.step)
        return bit

    def show_row(self, row: Stored) -> None:
        """Shows another value in this format."""
        self.row = row
        held = row.code is not None
        text = row.format.bit_text(row.code or 0)
        for place, bit in enumerate(self.bits):
            bit.setVisible(held)
            bit.show_bit(text[place], f"{row.name}, {bit.kind} bit {row.format.width - 1 - place}")
        self.none.setVisible(not held)

    def show_height(self, height: int) -> None:
        """Takes another height."""
        self._height = height
        self.updateGeometry()

    def show_theme(self, theme: Theme) -> None:
        """Takes the colours of a theme."""
        for bit in self.bits:
            bit.show_theme(theme)

    def step(self, by: int) -> None:
        """Asks for the next representable value up or down."""
        if self.row.code is None:
            return
        code = self.row.format.neighbour(self.row.code, by)
        lowest = self.row.format.encode(self.row.format.lowest)
        if code != self.row.code and not (self.row.scale and code == lowest):
            self.asked.emit(flipped(self.row, code))

    def _flip(self, place: int) -> None:
        if self.row.code is not None:
            self.asked.emit(flipped(self.row, self.row.code ^ (1 << (self.row.format.width - 1 - place))))

    def sizeHint(self) -> QSize:
        """All bits of FP32 at their largest."""
        return QSize(round(WIDTH * MOST), self._height)

    def minimumSizeHint(self) -> QSize:
        """All bits of FP32 at their smallest."""
        return QSize(round(WIDTH * LEAST), self._height)

    def resizeEvent(self, _event: QResizeEvent) -> None:
        """Puts each bit into its column."""
        size = bit_size(self.width())
        for place, bit in enumerate(self.bits):
            left = (column(self.row.format, place) - 0.5 - LEFT) * size
            bit.setGeometry(round(left), 0, round(left + size) - round(left), self.height())
        self.none.setGeometry(round((GAP - LEFT) * size), 0, 160, self.height())

    def enterEvent(self, event: QEnterEvent) -> None:
        """Tells of the pointer."""
        self.entered.emit(self.row.key)
        super().enterEvent(event)


def bit_size(width: int) -> float:
    """Pixels of a bit where so many are there for the row."""
    return max(LEAST, min(MOST, width / WIDTH))


class BitGrid(QWidget):
    """Rows of bits with the stored value, its error and the format's range beside them."""

    asked = Signal(object)  # Typed: what a flipped bit or a step makes of the value
    pointed = Signal(object)  # the Stored that the pointer or the keyboard is on

    def __init__(self, rows: tuple[Stored, ...]) -> None:
        super().__init__()
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(12)
        self._grid.setVerticalSpacing(1)
        self._grid.setColumnStretch(1, 1)
        self._heads = _Heads()
        self._grid.addWidget(self._heads, 0, 1)
        for place, head in ((2, "stored value"), (3, "error"), (4, "range")):
            self._grid.addWidget(_label(head, "mute"), 0, place)
        self.rows: dict[str, BitRow] = {}
        self.labels: dict[str, tuple[QLabel, ...]] = {}
        for place, row in enumerate(rows):
            self._add(row, place + 1)

    def _add(self, row: Stored, line: int) -> None:
        bits = BitRow(row)
        bits.asked.connect(self.asked)
        bits.entered.connect(lambda key: self.pointed.emit(self.rows[key].row))
        for bit in bits.bits:
            bit.installEventFilter(self)
        labels = (_label("", ""), _label("", ""), _label("", "mute"), _label("", "mute"))
        labels[0].setAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        for place, widget in zip((0, 2, 3, 4), labels, strict=True):
            self._grid.addWidget(widget, line, place)
        self._grid.addWidget(bits, line, 1)
        self.rows[row.key], self.labels[row.key] = bits, labels

    def show_rows(self, rows: tuple[Stored, ...]) -> None:
        """Shows another value."""
        for row in rows:
            self.rows[row.key].show_row(row)
            name, value, error, reach = self.labels[row.key]
            name.setText(_name(row))
            name.setToolTip(row.name)
            value.setText(row.value_text)
            value.setToolTip(_exactly(decimal_text(row.value)))
            error.setText(row.error_text)
            error.setToolTip(_exactly(decimal_text(row.error)))
            reach.setText(_range(row))
            reach.setToolTip(f"{row.range_text}\n{row.smallest_text}")

    def show_height(self, height: int) -> None:
        """Gives every row this height."""
        for row in self.rows.values():
            row.show_height(height)

    def show_theme(self, theme: Theme) -> None:
        """Takes the colours of a theme."""
        self._heads.theme = theme
        self._heads.update()
        for row in self.rows.values():
            row.show_theme(theme)

    def eventFilter(self, watched: object, event: QEvent) -> bool:
        """Tells of the row that the keyboard has reached."""
        if isinstance(event, QFocusEvent) and event.gotFocus() and isinstance(watched, Bit):
            row = watched.parentWidget()
            if isinstance(row, BitRow):
                self.pointed.emit(row.row)
        return False


class _Heads(QWidget):
    """The names of the parts above their columns."""

    def __init__(self) -> None:
        super().__init__()
        self.theme = LIGHT
        self.setFixedHeight(HEADS)

    def paintEvent(self, _event: QPaintEvent) -> None:
        """Each name where its part of FP32 starts; the exponent's over the middle."""
        painter = QPainter(self)
        size = bit_size(self.width())
        centre, middle = Qt.AlignmentFlag.AlignHCenter, Qt.AlignmentFlag.AlignVCenter
        for name, left, units, flag in (
            ("sign", LEFT, 3.0, Qt.AlignmentFlag.AlignLeft),  # the word is wider than its bit
            ("exponent", -8.0, 8.0, centre),
            ("fraction", GAP, 23.0, Qt.AlignmentFlag.AlignLeft),
        ):
            painter.setPen(QColor(self.theme.ink(name)))
            box = QRectF((left - LEFT) * size, 0, units * size, self.height())
            painter.drawText(box, flag | middle, name)


def _name(row: Stored) -> str:
    """A row's name; its scale in few digits, for the bits want the room."""
    return row.name if row.scale is None else f"{row.format.name}, absmax {significant(row.scale.absmax, 3)}"


def _range(row: Stored) -> str:
    return row.range_text if row.scale is None else f"±{significant(row.scale.absmax, 4)}"


def _label(text: str, role: str) -> QLabel:
    label = QLabel(text)
    if role:
        label.setProperty("role", role)
    label.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return label


def _exactly(decimal: str) -> str:
    """A decimal of any length in lines that a tool tip can show."""
    lines = [decimal[start : start + 60] for start in range(0, min(len(decimal), 600), 60)]
    return "Exactly " + "\n".join(lines) + ("…" if len(decimal) > 600 else "")  # noqa: PLR2004 - ten lines
