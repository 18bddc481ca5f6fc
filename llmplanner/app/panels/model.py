"""Which model: by name, from the catalogue's dialog, or from a config.json."""

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QWidget

from llmplanner.app.cards import note
from llmplanner.app.fields import SearchField
from llmplanner.app.panels import Panel
from llmplanner.app.session import Session, State
from llmplanner.core.quantities import context_text, count_text
from llmplanner.core.tensors import parameters

ON_THE_COMMAND_LINE = "The command `models` lists those there are"  # models/catalogue.py
HERE = "Catalogue… lists those there are"


class ModelPanel(Panel):
    """The model's name, what it is in one line, and the ways to another one."""

    browse = Signal()  # the user wants the catalogue and its cards
    open_config = Signal()  # the user wants to choose a config.json

    def __init__(self, session: Session) -> None:
        super().__init__("Model")
        self._name = SearchField(
            "Model", "A released model: type a part of its name, or the path of a config.json."
        )
        self.fields = {"model": self._name}
        self._about = note()
        self.catalogue = QPushButton("Catalogue…")
        self.catalogue.setToolTip(
            "Released models with their cards: kind, best use, training, limits, licence."
        )
        self.note = note()
        self.note.hide()
        self.open = QPushButton("Open config…")
        self.open.setToolTip("Reads the architecture from a model's config.json. You can also drop one here.")
        buttons = QWidget()
        row = QHBoxLayout(buttons)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        row.addWidget(self.catalogue, 1)
        row.addWidget(self.open, 1)
        for part in (self._name, self._about, self.note, buttons):
            self.rows.addWidget(part)
        self._name.entered.connect(lambda text: session.choose_model(str(text)))
        self.catalogue.clicked.connect(self.browse)
        self.open.clicked.connect(self.open_config)

    def offer(self, titles: tuple[tuple[str, str], ...]) -> None:
        """Takes (name, title) of the models that can be found by typing."""
        self._name.offer(titles)

    def show_state(self, state: State) -> None:
        """Shows a plan's model. Emits nothing."""
        model = state.plan.model
        self._name.show_value(model.name)
        facts = [count_text(parameters(model).total), model.kind.value]
        if model.context_length is not None:
            facts.append(f"{context_text(model.context_length)} context")
        self._about.setText(" · ".join(facts))
        self.note.setText(model.note)
        self.note.setVisible(bool(model.note))

    def show_problem(self, name: str, sentence: str) -> bool:
        """Marks the field, and names the window's way to the catalogue."""
        return super().show_problem(name, sentence.replace(ON_THE_COMMAND_LINE, HERE))
