"""Which model: by name, path or id, from the catalogue or a file; and what one changes of it."""

from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import Qt, QUrl, Signal
from PySide6.QtWidgets import QHBoxLayout, QMenu, QPushButton

from llmplanner.app.cards import note
from llmplanner.app.fields import SearchField
from llmplanner.app.jobs import Job
from llmplanner.app.panels import Panel
from llmplanner.app.panels.reading import Reading
from llmplanner.app.session import Session, State
from llmplanner.core.model import Model
from llmplanner.core.quantities import context_text, count_text, gib_text
from llmplanner.core.tensors import parameters

if TYPE_CHECKING:
    from llmplanner.app.panels.whatif import WhatIf

ON_THE_COMMAND_LINE = "The command `models` lists those there are"  # models/catalogue.py
HERE = "Catalogue… lists those there are"
NO_BREAK = "\N{NO-BREAK SPACE}"
CHANGES = "changes."  # before the name of a size, in the names of fields
BUTTONS = {  # action: text, tip
    "models": (
        "Catalogue…",
        "Released models with their cards, and those on this computer.",
    ),
    "open": (
        "Open…",
        "Opens a config.json, .safetensors, .gguf or .bin file, or a model's folder; you can drop one too.",
    ),
    "card": ("Card…", "What this model is: its architecture, formats and licence, and where that is from."),
    "tensors": ("Tensors…", "Every tensor of this model with its shape, type and bytes."),
    "change": ("Change…", "Other layers, widths, heads or experts: see at once what that would change."),
}


class ModelPanel(Panel):
    """The model's name, what it is in one line, the ways to another one, and its sizes where they are shown.

    `ask` carries an action by name (actions.py).
    """

    ask = Signal(str)

    def __init__(self, session: Session) -> None:
        super().__init__("Model")
        self._session = session
        self._titles: tuple[tuple[str, str], ...] = ()
        self._recent: tuple[tuple[str, str], ...] = ()
        self._name = SearchField(
            "Model",
            "Type a part of a released model's name, or the path of a file or folder; "
            "or an id such as Qwen/Qwen3-8B, for which huggingface.co is asked.",
        )
        self.fields = {"model": self._name}
        self.about = note()
        self.note = note()
        for label in (self.about, self.note):
            label.setTextFormat(Qt.TextFormat.PlainText)  # a file's own words are in it
        self.note.hide()
        self.reading = Reading(self.about)
        self.buttons = {name: _button(*words) for name, words in BUTTONS.items()}
        self.buttons["change"].setCheckable(True)
        for part in (self._name, self.about, self.reading, self.note):
            self.rows.addWidget(part)
        for names in (("models", "open"), ("card", "tensors", "change")):
            self.rows.addLayout(_line(*(self.buttons[name] for name in names)))
        menu = QMenu(self.buttons["open"])
        for text, name in (("A &file…", "open_model"), ("A f&older…", "open_folder")):
            menu.addAction(text, partial(self.ask.emit, name))
        self.buttons["open"].setMenu(menu)
        self.what_if: WhatIf | None = None  # made when it is first opened
        self._name.entered.connect(lambda text: session.choose_model(_path(str(text))))
        for name in ("models", "card", "tensors"):
            self.buttons[name].clicked.connect(partial(self.ask.emit, name))
        self.buttons["change"].toggled.connect(self._show_sizes)
        self.reading.cancel.clicked.connect(session.stop_reading)
        session.reads.connect(self._follow)

    def offer(self, titles: tuple[tuple[str, str], ...]) -> None:
        """Takes (name, title) of the released models, to be found by typing."""
        self._titles = titles
        self._name.offer(self._titles + self._recent)

    def offer_recent(self, files: tuple[tuple[str, str], ...]) -> None:
        """Takes (path, name) of the files that were opened last."""
        if files != self._recent:
            self._recent = files
            self._name.offer(self._titles + self._recent)

    def show_state(self, state: State) -> None:
        """Shows a plan's model. Emits nothing."""
        model = state.plan.model
        self._name.show_value(model.name)
        self.about.setText(_facts(model))
        self.about.setToolTip(model.source)
        self.note.setText(model.note)
        self.note.setVisible(bool(model.note))
        if state.draft.changes:
            self.buttons["change"].setChecked(True)
        if self.what_if is not None and not self.what_if.isHidden():
            self.what_if.show_state(state)

    def _show_sizes(self, shown: bool) -> None:
        if self.what_if is None:
            from llmplanner.app.panels.whatif import WhatIf  # noqa: PLC0415 - not before it is asked for

            self.what_if = WhatIf(self._session)
            self.rows.addWidget(self.what_if)
            self.fields |= {CHANGES + name: field for name, field in self.what_if.fields.items()}
        self.what_if.show_state(self._session.state)
        self.what_if.setVisible(shown)

    def _follow(self, job: Job | None) -> None:
        """Says what is being read, in place of what the plan's model is."""
        self.reading.follow(job)
        if job is None and not self._name.problem.text():
            self._name.show_value(self._session.state.plan.model.name)

    def show_problem(self, name: str, sentence: str) -> bool:
        """Marks the field, and names the window's way to the catalogue."""
        return super().show_problem(name, sentence.replace(ON_THE_COMMAND_LINE, HERE))


def _facts(model: Model) -> str:
    """What the model is in one line: as a file states it, or as its architecture does."""
    stored = model.checkpoint
    facts = [] if stored is None else [stored.label, gib_text(stored.bytes)]
    facts.append(f"{count_text(parameters(model).total)} parameters")
    if stored is None:
        facts.append(model.kind.value)
    if model.context_length is not None:
        facts.append(f"{context_text(model.context_length)} context")
    return " · ".join(fact.replace(" ", NO_BREAK) for fact in facts)


def _path(text: str) -> str:
    """A typed or pasted text without what file managers put around a path."""
    plain = text.strip().strip("\"'")
    return QUrl(plain).toLocalFile() if plain.startswith("file:") else plain


def _button(text: str, tip: str) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tip)
    return button


def _line(*buttons: QPushButton) -> QHBoxLayout:
    line = QHBoxLayout()
    line.setSpacing(8)
    for button in buttons:
        line.addWidget(button, 1)
    return line
