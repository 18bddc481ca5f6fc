"""Shows a receipt: words that can be read, selected and copied whole."""

from PySide6.QtCore import QSize, Qt
from PySide6.QtWidgets import (
    QApplication,
    QFrame,
    QPushButton,
    QTextBrowser,
    QVBoxLayout,
    QWidget,
)

from llmplanner.app.receipt import Receipt

ASK = "Click a part of a bar, or a row of the table, to see how it comes about."
LEAST = QSize(200, 120)


class ReceiptView(QWidget):
    """The receipt of what was clicked last; `copy` is the button that copies it, for the card's head."""

    def __init__(self) -> None:
        super().__init__()
        self.receipt: Receipt | None = None
        self.words = QTextBrowser()
        self.words.setAccessibleName("Receipt")
        self.words.setToolTip("How the amount comes about. Select and copy any part of it.")
        self.words.setFrameShape(QFrame.Shape.NoFrame)
        self.words.setOpenLinks(False)
        self.words.setMinimumSize(LEAST)
        self.words.setTabChangesFocus(True)
        self.words.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        self.words.document().setDocumentMargin(0)
        self.words.setPlainText(ASK)
        self.copy = QPushButton("Copy the receipt")
        self.copy.setProperty("small", True)
        self.copy.setToolTip("Puts the whole receipt onto the clipboard as plain text.")
        self.copy.setEnabled(False)
        self.copy.clicked.connect(self._copy)
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setSpacing(8)
        rows.addWidget(self.words, 1)

    def show_receipt(self, receipt: Receipt) -> None:
        """Shows another receipt from its beginning; the same one stays where it was scrolled to."""
        if receipt == self.receipt:
            return
        self.receipt = receipt
        self.words.setHtml(receipt.html)
        self.copy.setEnabled(True)

    def _copy(self) -> None:
        if self.receipt is not None:
            QApplication.clipboard().setText(self.receipt.text)
