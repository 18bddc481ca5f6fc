"""The card of the plan's model: the catalogue's, or what the model's own file says."""

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QDialog, QDialogButtonBox, QLabel, QScrollArea, QVBoxLayout, QWidget

from llmplanner.app.cards import Card
from llmplanner.app.dialogs.models import ModelCard
from llmplanner.app.session import Session
from llmplanner.compose import entry_of
from llmplanner.models.facts import facts

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
        self.card = self._card()
        rows = QVBoxLayout(self)
        rows.setContentsMargins(24, 24, 24, 16)
        rows.setSpacing(12)
        rows.addWidget(self.card, 1)
        rows.addWidget(buttons)

    def _card(self) -> Card:
        state, chosen = self.session.state, self.session.chosen
        entry = entry_of(state.draft)
        if entry is not None and not state.draft.changes:
            card = ModelCard()
            card.show_entry(entry)
            return card
        return FactCard(state.plan.model.name, facts(state.plan.model, chosen.config))

    def _show_tensors(self) -> None:
        self.accept()
        self.tensors.emit()


class FactCard(Card):
    """What a file says, in rows. Its words are shown as they stand there, never as markup."""

    def __init__(self, title: str, rows: tuple[tuple[str, str], ...]) -> None:
        super().__init__(title)
        self.title.setTextFormat(Qt.TextFormat.PlainText)
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(0, 0, 8, 0)
        column.setSpacing(4)
        for head, text in rows:
            column.addWidget(_label(head, "section"))
            body = _label(text)
            body.setAccessibleName(head)
            body.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            column.addWidget(body)
            column.addSpacing(8)
        column.addStretch()
        scroll = QScrollArea()
        scroll.setWidget(inside)
        scroll.setWidgetResizable(True)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        inside.setAutoFillBackground(False)
        scroll.viewport().setAutoFillBackground(False)
        scroll.setAccessibleName("Model card")
        self.rows.addWidget(scroll, 1)


def _label(text: str, role: str = "") -> QLabel:
    label = QLabel(text)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setWordWrap(True)
    label.setProperty("role", role)
    return label
