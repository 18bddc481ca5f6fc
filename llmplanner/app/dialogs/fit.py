"""Make it fit: changes of the plan, each with what it would need, and a button that makes it."""

from functools import partial

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QGridLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from llmplanner.advice import Change, changes
from llmplanner.app.cards import note
from llmplanner.app.session import Session
from llmplanner.app.verdict_bar import SYMBOLS, WORDS, headline
from llmplanner.core.quantities import gib_text
from llmplanner.plans import Draft

SIZE = (640, 420)


class FitDialog(QDialog):
    """Lists what helps. Each change is tried in the core; one click makes it, and undo takes it back."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Make it fit")
        self.resize(*SIZE)
        self._session = session
        state = session.state
        self.changes = changes(state.draft, state.plan.model, session.local)
        rows = QVBoxLayout(self)
        rows.setContentsMargins(24, 24, 24, 16)
        rows.setSpacing(12)
        now = QLabel(headline(state.verdict))
        now.setProperty("role", "section")
        rows.addWidget(now)
        rows.addWidget(note(_introduction(self.changes)))
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        scroll.setWidget(self._list())
        rows.addWidget(scroll, 1)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.button(QDialogButtonBox.StandardButton.Close).setToolTip("Leaves the plan as it is.")
        buttons.rejected.connect(self.reject)
        rows.addWidget(buttons)

    def _list(self) -> QWidget:
        table = QWidget()
        grid = QGridLayout(table)
        grid.setContentsMargins(0, 0, 8, 0)
        grid.setHorizontalSpacing(16)
        grid.setColumnStretch(0, 1)
        for row, change in enumerate(self.changes):
            verdict = QLabel(f"{SYMBOLS[change.judged.state]} {WORDS[change.judged.state]}")
            verdict.setProperty("verdict", change.judged.state)
            needs = QLabel(gib_text(change.judged.needed_bytes))
            needs.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            use = QPushButton("Use")
            use.setToolTip(f"Changes the plan: {change.text}. Undo takes it back.")
            use.setAccessibleName(f"Use: {change.text}")
            use.clicked.connect(partial(self._use, change.draft, change.text))
            use.setVisible(not change.frees)  # that is done outside this program
            for column, part in enumerate((QLabel(change.text), needs, verdict, use)):
                grid.addWidget(part, row, column)
        grid.setRowStretch(len(self.changes), 1)
        return table

    def _use(self, draft: Draft, text: str) -> None:
        self._session.replace(draft, text=text)
        self.accept()


def _introduction(found: tuple[Change, ...]) -> str:
    if not found:
        return "No single change of this plan lowers what it needs. Choose a smaller model or a larger GPU."
    if any(change.judged.state == "fits" for change in found):
        return "Each of these changes one thing. Needs are those of the fullest GPU."
    return "No single change makes it fit; these come nearest. Make one, then look here again."
