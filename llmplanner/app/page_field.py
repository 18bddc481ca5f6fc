"""Fields of a page, and the one line that speaks for them: nothing moves when an entry is wrong."""

from collections.abc import Callable, Mapping

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QSizePolicy

from llmplanner.app.fields import CountField, parser
from llmplanner.app.problem import Problem
from llmplanner.core.errors import BadInput
from llmplanner.plan_fields import Field

LONGEST = 24  # characters of a wrong entry that are repeated


class PageField(CountField):
    """A number as CountField takes it; what is wrong with an entry is told by the page's Told."""

    told = Signal(str)  # what is wrong; empty where nothing is

    def __init__(self, field: Field, tip: str, example: str, *, hint: str = "", label: str = "") -> None:
        """`label` stands above the entry where the field's own name is too long for it."""
        super().__init__(field, tip, hint)
        self._parse = _telling(field, example)
        if label:
            self.label.setText(label)
        self.label.setToolTip(f"{field.label}. {tip}")

    def show_problem(self, sentence: str) -> None:
        """Marks this field, and passes the sentence on."""
        self.problem.setText(sentence)
        self._mark(self.control, wrong=bool(sentence))
        self.told.emit(sentence)


class Told(Problem):
    """Muted words with room for a few lines; while an entry of `fields` is wrong, what is wrong with it."""

    def __init__(self, fields: Mapping[str, PageField], lines: int, text: str = "") -> None:
        super().__init__(text)
        self._text = text
        self._problems: dict[str, str] = {}
        self.setProperty("role", "mute")
        self.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignLeft)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMinimumHeight(lines * self.fontMetrics().lineSpacing())
        for name, field in fields.items():
            field.told.connect(lambda sentence, name=name: self._hear(name, sentence))

    def say(self, text: str) -> None:
        """What is shown while no entry is wrong."""
        self._text = text
        self._show()

    def problem(self) -> str:
        """The sentence about the entry that was wrong last; empty where none is."""
        return next(reversed(self._problems.values()), "")

    def _hear(self, name: str, sentence: str) -> None:
        self._problems.pop(name, None)
        if sentence:
            self._problems[name] = sentence
        self._show()

    def _show(self) -> None:
        problem = self.problem()
        self.setText(problem or self._text)
        role = "problem" if problem else "mute"
        if self.property("role") != role:
            self.setProperty("role", role)
            self.style().unpolish(self)
            self.style().polish(self)


def _telling(field: Field, example: str) -> Callable[[str], int | float | None]:
    """The field's own parser; its refusals name the field, its bounds and an example."""
    parse = parser(field)

    def parsed(text: str) -> int | float | None:
        try:
            return parse(text)
        except BadInput as error:
            bounds = f"{_plain(field.low)} to {_plain(field.high)}"
            got = f"not {text.strip()[:LONGEST]!r}" if text.strip() else "nothing is written there"
            raise BadInput(f"{field.label} takes {bounds}, such as {example}; {got}.") from error

    return parsed


def _plain(bound: float) -> str:
    """A bound as a person writes it: 0.000001, 512, 1e15."""
    return f"{bound:.12f}".rstrip("0") if 0 < bound < 1 else f"{bound:,.12g}".replace("e+", "e")
