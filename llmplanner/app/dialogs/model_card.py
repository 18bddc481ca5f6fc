"""A model in words: the catalogue's card, or what its own file says."""

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QScrollArea, QVBoxLayout, QWidget

from llmplanner.app.cards import Card
from llmplanner.core.tensors import Parameters
from llmplanner.models.card import Rows, card
from llmplanner.models.catalogue import Entry


class ModelCard(Card):
    """What a model is, what it is good for, and what it is not."""

    def __init__(self) -> None:
        super().__init__("Model card")
        self.title.setTextFormat(Qt.TextFormat.PlainText)
        self._scroll = QScrollArea()
        self._scroll.setWidgetResizable(True)
        self._scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._scroll.viewport().setAutoFillBackground(False)
        self._scroll.setAccessibleName("Model card")
        self._scroll.setToolTip("What this model is, with its source.")
        self.rows.addWidget(self._scroll, 1)

    def show_entry(self, entry: Entry, count: Parameters) -> None:
        """Shows the card of a released model."""
        self._show(entry.title, card(entry, entry.model, count), link=entry.link)

    def show_facts(self, title: str, rows: Rows) -> None:
        """Shows what a file says. Its words stand as they are there, never as markup."""
        self._show(title, rows)

    def text(self) -> str:
        """Everything that the card says."""
        labels = self._scroll.viewport().findChildren(QLabel)
        return "\n".join(label.text() for label in labels)

    def _show(self, title: str, rows: Rows, link: str = "") -> None:
        self.title.setText(title)
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(0, 0, 8, 0)
        column.setSpacing(2)
        for head, text in rows:
            column.addWidget(_label(head, "section"))
            body = _label(text)
            body.setAccessibleName(head)
            body.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            column.addWidget(body)
            column.addSpacing(8)
        if link:
            column.addWidget(_link(link))
        column.addStretch()
        self._scroll.setWidget(inside)
        inside.setAutoFillBackground(False)


def _label(text: str, role: str = "") -> QLabel:
    label = QLabel(text)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setWordWrap(True)
    label.setProperty("role", role)
    return label


def _link(address: str) -> QLabel:
    """An address of the catalogue, to be opened by the desktop's own browser."""
    label = QLabel(f"<a href='{address}'>{address}</a>")
    label.setOpenExternalLinks(True)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextBrowserInteraction)
    label.setToolTip("Opens this page in your browser.")
    label.setAccessibleName(address)
    return label
