"""Labelled controls: each keeps the last good value, and says beneath itself what is wrong with a new one."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from PySide6.QtCore import QEvent, QKeyCombination, QObject, QSignalBlocker, Qt, Signal
from PySide6.QtGui import QFont, QKeyEvent, QKeySequence, QStandardItemModel, QWheelEvent
from PySide6.QtWidgets import QCheckBox, QComboBox, QCompleter, QLabel, QLineEdit, QVBoxLayout, QWidget

from llmplanner import plan_fields
from llmplanner.app.problem import Problem
from llmplanner.core.errors import BadInput
from llmplanner.core.quantities import count_text, parse_amount, parse_count, parse_gib, parse_tokens

BILLION = 10**9  # from here on, 15T is easier to read than its zeros
SHORT_DIGITS = 6
LIST_WIDTH = 320  # px of the names that drop down
LONG_LIST = 20  # rows that drop down at once
HEADING = "heading"  # the value of a row that cannot be chosen
CONTROL = Qt.KeyboardModifier.ControlModifier
PARSERS: Mapping[str, Callable[[str], int | float]] = MappingProxyType(
    {"count": parse_count, "tokens": parse_tokens, "number": parse_amount, "gib": parse_gib}
)


class Entry(QLineEdit):
    """A line of text that leaves the window its shortcuts: Export, and undo unless it was just typed in.

    It leaves it dropped files too.
    """

    def __init__(self) -> None:
        super().__init__()
        self.setAcceptDrops(False)

    def event(self, event: QEvent) -> bool:
        """Lets the window have what Qt would take for the end of the line, and undo of an untouched text."""
        if event.type() is QEvent.Type.ShortcutOverride and isinstance(event, QKeyEvent):
            export = event.keyCombination() == QKeyCombination(CONTROL, Qt.Key.Key_E)
            undo = any(
                event.matches(key) for key in (QKeySequence.StandardKey.Undo, QKeySequence.StandardKey.Redo)
            )
            if export or (undo and not self.isModified()):
                event.ignore()
                return False
        return super().event(event)


@dataclass(frozen=True, slots=True)
class Pending:
    """A typed text, None where nothing was typed, and what is wrong with the field, if anything."""

    text: str | None
    sentence: str


class Field(QWidget):
    """A control under its label. `entered` carries a new good value; showing one emits nothing."""

    entered = Signal(object)

    def __init__(self, label: str, tip: str, control: QWidget) -> None:
        super().__init__()
        self.label = QLabel(label)
        self.label.setProperty("role", "mute")
        self.label.setBuddy(control)
        self.control = control
        self._name(control, label, tip)
        self.problem = Problem()
        self.problem.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.problem.hide()
        self.rows = QVBoxLayout(self)
        self.rows.setContentsMargins(0, 0, 0, 0)
        self.rows.setSpacing(3)
        self.rows.addWidget(self.label)
        self.rows.addWidget(control)
        self.rows.addWidget(self.problem)

    def _name(self, control: QWidget, label: str, tip: str) -> None:
        control.setAccessibleName(label)
        control.setAccessibleDescription(tip)
        control.setToolTip(tip)

    def stops(self) -> tuple[QWidget, ...]:
        """Where the Tab key stops, in order."""
        return (self.control,)

    def show_value(self, value: object) -> None:
        """Shows a value that came from elsewhere."""
        raise NotImplementedError

    def pending(self) -> Pending | None:
        """What was typed and is no value, or not yet; None where the field shows its value."""
        entry, sentence = self.findChild(Entry), self.problem.text()
        text = entry.text() if entry is not None and entry.isModified() else None
        return Pending(text, sentence) if sentence or text is not None else None

    def put_back(self, pending: Pending) -> None:
        """Shows what was pending before a value was shown."""
        entry = self.findChild(Entry)
        if entry is not None and pending.text is not None and entry.text() != pending.text:
            entry.setText(pending.text)
            entry.setModified(True)
        self.show_problem(pending.sentence)

    def show_problem(self, sentence: str) -> None:
        """Marks this field and says why; an empty sentence takes the mark away."""
        self.problem.setText(sentence)
        self.problem.setVisible(bool(sentence))
        self._mark(self.control, wrong=bool(sentence))

    def _mark(self, control: QWidget, *, wrong: bool) -> None:
        if bool(control.property("wrong")) != wrong:
            control.setProperty("wrong", wrong)
            control.style().unpolish(control)
            control.style().polish(control)


class TextField(Field):
    """A line of text that `parse` turns into a value, on Return and when the field is left.

    `parse` raises BadInput for what cannot be used; `say` writes a value as text. None is shown as an empty
    entry, in which `hint` tells what that stands for.
    """

    def __init__(
        self, label: str, tip: str, parse: Callable[[str], object], say: Callable[..., str], hint: str = ""
    ) -> None:
        self.entry = Entry()
        super().__init__(label, tip, self.entry)
        self._parse = parse
        self._say = say
        self._value: object = None
        self.entry.setPlaceholderText(hint)
        self.entry.editingFinished.connect(self._read)

    def _read(self) -> None:
        text = self.entry.text().strip()
        if text == self._text(self._value):
            self.show_problem("")
            return
        try:
            value = self._parse(text)
        except BadInput as error:
            self.show_problem(str(error))
            return
        self.show_problem("")
        self.entry.setModified(False)
        if value == self._value:
            self.entry.setText(self._text(value))
            return
        self.entered.emit(value)

    def _text(self, value: object) -> str:
        return "" if value is None else self._say(value)

    def show_value(self, value: object) -> None:
        """Shows a value that came from elsewhere."""
        self._value = value
        self.show_problem("")
        text = self._text(value)
        if self.entry.text() != text:
            self.entry.setText(text)


class CountField(TextField):
    """A number, typed as 32k, 1.4T, 32,768 or 0,5 and shown with thousands separators.

    `field` says its label, kind and bounds; one of the kind tokens takes 32k as 32,768. An optional field may
    be left empty, and `hint` says what then counts.
    """

    def __init__(self, field: plan_fields.Field, tip: str, hint: str = "") -> None:
        super().__init__(field.label, tip, parser(field), _said, hint)


def _said(value: float) -> str:
    """A number as its field shows it: 15T where that is exact and shorter, else every digit."""
    if not isinstance(value, int):
        return f"{value:,.12g}"
    short = count_text(value, SHORT_DIGITS)
    return short if value >= BILLION and parse_count(short) == value else f"{value:,}"


Choice = tuple[object, str]  # value, text
Group = tuple[str, tuple[Choice, ...]]  # heading, and what stands under it


class ChoiceField(Field):
    """One of a few named values, or of more in groups under headings."""

    def __init__(self, label: str, tip: str, choices: Iterable[Choice | Group]) -> None:
        self.box = QComboBox()
        super().__init__(label, tip, self.box)
        self.box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.box.setMinimumContentsLength(8)
        self.box.setMaxVisibleItems(LONG_LIST)
        scroll_past(self.box)
        self.offer(choices)
        self.box.activated.connect(lambda index: self.entered.emit(self.box.itemData(index)))

    def offer(self, choices: Iterable[Choice | Group]) -> None:
        """Replaces what can be chosen."""
        chosen = self.box.currentData()
        with QSignalBlocker(self.box):
            self.box.clear()
            for value, inner in choices:
                if isinstance(inner, str):
                    self.box.addItem(inner, value)
                else:
                    self._add_group(str(value), inner)
        self.show_value(chosen)

    def _add_group(self, heading: str, choices: tuple[Choice, ...]) -> None:
        self.box.addItem(heading, HEADING)
        rows = self.box.model()
        if isinstance(rows, QStandardItemModel):
            item, font = rows.item(self.box.count() - 1), self.box.font()
            font.setWeight(QFont.Weight.DemiBold)
            item.setFont(font)
            item.setEnabled(False)
        for value, text in choices:
            self.box.addItem(text, value)

    def show_value(self, value: object) -> None:
        """Shows a value that came from elsewhere; one that is not offered shows nothing."""
        self.show_problem("")
        with QSignalBlocker(self.box):
            self.box.setCurrentIndex(self.box.findData(value))


class SwitchField(Field):
    """A check box, which bears its name itself."""

    def __init__(self, label: str, tip: str) -> None:
        self.box = QCheckBox(label)
        super().__init__(label, tip, self.box)
        self.label.hide()
        self.box.clicked.connect(self._take)

    def _take(self, on: bool) -> None:
        self.entered.emit(on)

    def show_value(self, value: object) -> None:
        """Shows a value that came from elsewhere."""
        self.show_problem("")
        self.box.setChecked(bool(value))


class SearchField(Field):
    """One of many named values, found by typing a part of the name.

    `entered` carries the value of the chosen name: of a typed text the first of the list that has it. Where
    none has it, or the text is a value itself, the text is carried.
    """

    def __init__(self, label: str, tip: str) -> None:
        self.box = QComboBox()
        super().__init__(label, tip, self.box)
        self.box.setEditable(True)
        self.box.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.box.setMinimumContentsLength(8)
        self.box.setMaxVisibleItems(16)
        scroll_past(self.box)
        finder = QCompleter(self.box.model(), self.box)
        finder.setCompletionMode(QCompleter.CompletionMode.PopupCompletion)
        finder.setFilterMode(Qt.MatchFlag.MatchContains)
        finder.setCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        self.entry = Entry()
        self.box.setLineEdit(self.entry)
        self.box.setCompleter(finder)
        names = finder.popup()
        if names is not None:
            names.setMinimumWidth(LIST_WIDTH)
        self._shown = ""
        self._asked = ""  # the text that was asked for last
        self.box.activated.connect(self._choose)
        self.entry.editingFinished.connect(self._read)

    def offer(self, choices: Iterable[tuple[object, str]]) -> None:
        """Replaces what can be chosen; what is shown or being typed stays."""
        pending = self.pending()
        with QSignalBlocker(self.box):
            self.box.clear()
            for value, text in choices:
                self.box.addItem(text, value)
            self._show()
        if pending is not None:
            self.put_back(pending)

    def _choose(self, index: int) -> None:
        if index >= 0 and self.box.itemText(index) != self._shown:
            self.entered.emit(self.box.itemData(index))

    def _read(self) -> None:
        text = self.box.currentText().strip()
        if not self.entry.isModified():
            return  # passed through; what was said of a file stays
        if text == self._shown or not text:
            self._show()
            self.show_problem("")
            return
        names = [self.box.itemText(index) for index in range(self.box.count())]
        if text in names:
            return  # the box itself reports a whole name
        values = [self.box.itemData(index) for index in range(self.box.count())]
        found = (
            value for value, name in zip(values, names, strict=True) if text.casefold() in name.casefold()
        )
        if text == self._asked and self.problem.text():
            return  # it was said already, and nothing else was typed
        self._asked = text
        self.entered.emit(text if text.casefold() in values else next(found, text))

    def show_value(self, value: object) -> None:
        """Shows the name of a value that came from elsewhere."""
        self.show_problem("")
        self._asked = ""
        if str(value) == self._shown == self.entry.text():
            return
        self._shown = str(value)
        with QSignalBlocker(self.box):
            self._show()

    def _show(self) -> None:
        self.box.setCurrentIndex(self.box.findText(self._shown))
        self.box.setEditText(self._shown)
        self.entry.setCursorPosition(0)


def parser(field: plan_fields.Field) -> Callable[[str], int | float | None]:
    """What reads a field's entry: its number, or None for an empty one where allowed. Raises BadInput."""
    parse = PARSERS[field.kind]

    def parsed(text: str) -> int | float | None:
        if field.optional and not text.strip():
            return None
        value = parse(text)
        if not field.low <= value <= field.high:
            raise BadInput(f"Takes {field.low:,.12g} to {field.high:,.12g}.")
        return value

    return parsed


class _NoWheel(QObject):
    """Lets the wheel scroll the panel instead of changing a control that happens to lie under the mouse."""

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if isinstance(event, QWheelEvent) and isinstance(watched, QWidget) and not watched.hasFocus():
            event.ignore()
            return True
        return False


NO_WHEEL = _NoWheel()  # one filter for all controls


def scroll_past(control: QWidget) -> None:
    """Leaves a control alone that the wheel passes over; Qt would give it the focus, and then turn it."""
    control.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    control.installEventFilter(NO_WHEEL)
