"""The answer on top: one sentence, a symbol, a word and a colour, why, and what to do about it."""

from PySide6.QtCore import Qt, Signal, SignalInstance
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QVBoxLayout

from llmplanner.app.elided import Elided
from llmplanner.app.session import State
from llmplanner.app.theme import GAP, INSET
from llmplanner.core.quantities import gib_text
from llmplanner.core.verdict import Verdict

SYMBOLS = {"fits": "✓", "tight": "≈", "no": "✕", "unknown": "?"}
WORDS = {"fits": "Fits", "tight": "Tight", "no": "Does not fit", "unknown": "Cannot tell"}


class VerdictBar(QFrame):
    """The verdict, the change that helps most, and the two actions."""

    make_it_fit = Signal()
    export = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setProperty("card", True)
        self._symbol = QLabel()
        self._symbol.setFixedWidth(28)
        self._symbol.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._symbol.setProperty("role", "big")
        self.sentence = QLabel()
        self.sentence.setProperty("role", "big")
        self.sentence.setWordWrap(True)
        self.sentence.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.why = Elided(lines=2)
        self.why.setProperty("role", "mute")
        self._said = ""
        words = QVBoxLayout()
        words.setSpacing(2)
        for label in (self.sentence, self.why):
            words.addWidget(label)
        self.fit = _button(
            "Make it fit…", "Lists changes of the plan, and what each would need.", self.make_it_fit
        )
        self.export_button = _button(
            "Export…", "Writes the chart of this page as a picture or a table.", self.export
        )
        line = QHBoxLayout(self)
        line.setContentsMargins(INSET, GAP, INSET, GAP)
        line.setSpacing(GAP)
        line.addWidget(self._symbol)
        line.addLayout(words, 1)
        line.addWidget(self.fit)
        line.addWidget(self.export_button)

    def show_state(self, state: State) -> None:
        """Shows a verdict. The hint of before is taken away."""
        judged = state.verdict.decisive
        self.sentence.setText(headline(state.verdict))
        self._said = " ".join(
            filter(None, (f"{judged.device} · {state.verdict.why}", _in_use(state.verdict)))
        )
        self.why.say(self._said)
        self._symbol.setText(SYMBOLS[judged.state])
        self._symbol.setAccessibleName(WORDS[judged.state])
        if self._symbol.property("verdict") != judged.state:
            for label in (self._symbol, self.sentence):
                label.setProperty("verdict", judged.state)
                if label.testAttribute(Qt.WidgetAttribute.WA_WState_Polished):  # else Qt does it on showing
                    label.style().unpolish(label)
                    label.style().polish(label)

    def show_hint(self, text: str) -> None:
        """Says which change helps most."""
        self.why.say(self._said, text)


def headline(verdict: Verdict) -> str:
    """The verdict in one line."""
    judged = verdict.decisive
    word = WORDS[judged.state]
    needed = gib_text(judged.needed_bytes)
    if judged.available_bytes is None:
        return f"{word}: needs {needed}, GPU memory unknown"
    room = f"{gib_text(judged.available_bytes)} {'free now' if judged is verdict.now else 'usable'}"
    return (
        f"{word}: needs {needed}, {room}"
        if judged.state == "no"
        else f"{word}: {_before(needed, room)} of {room}"
    )


def _before(size: str, other: str) -> str:
    """A size without its unit, where another with the same follows."""
    number, _, unit = size.partition(" ")
    return number if f" {unit} " in other else size


def _in_use(verdict: Verdict) -> str:
    """What other programs stand in the way of."""
    now, empty = verdict.now, verdict.empty
    if now.state != "no" or empty.state not in {"fits", "tight"} or now.margin_bytes is None:
        return ""
    return f"It would fit the empty card: {gib_text(-now.margin_bytes)} more must be free on it."


def _button(text: str, tip: str, signal: SignalInstance) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tip)
    button.clicked.connect(signal)
    return button
