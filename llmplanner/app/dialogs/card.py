"""The card of the plan's model: the catalogue's, or what the model's own file says."""

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QDialog, QDialogButtonBox, QVBoxLayout, QWidget

from llmplanner.app.dialogs.model_card import ModelCard
from llmplanner.app.session import Session
from llmplanner.compose import entry_of
from llmplanner.core.tensors import parameters
from llmplanner.models.file_card import file_card

SIZE = (620, 640)


class CardDialog(QDialog):
    """Shows the card. `tensors` asks for the table of tensors."""

    tensors = Signal()

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.session = session
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle("Model card")
        self.resize(*SIZE)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.button(QDialogButtonBox.StandardButton.Close).setToolTip("Closes this window.")
        self.list = buttons.addButton("Tensors…", QDialogButtonBox.ButtonRole.ActionRole)
        self.list.setToolTip("Every tensor of this model with its shape, type and bytes.")
        self.list.clicked.connect(self._show_tensors)
        buttons.rejected.connect(self.reject)
        self.card = ModelCard()
        self._show()
        rows = QVBoxLayout(self)
        rows.setContentsMargins(24, 24, 24, 16)
        rows.setSpacing(12)
        rows.addWidget(self.card, 1)
        rows.addWidget(buttons)

    def _show(self) -> None:
        state = self.session.state
        model, entry = state.plan.model, entry_of(state.draft)
        if entry is not None and not state.draft.changes:
            self.card.show_entry(entry, parameters(model))
        else:
            self.card.show_facts(model.name, file_card(model, self.session.chosen.config))

    def _show_tensors(self) -> None:
        self.accept()
        self.tensors.emit()
