"""The what-if: the sizes of the model, each to be changed by hand, with its own value beside."""

from dataclasses import replace
from functools import partial

from PySide6.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from llmplanner.app.fields import CountField
from llmplanner.app.session import Session, State
from llmplanner.core.errors import BadInput
from llmplanner.plan_fields import CHANGES

ENTRY_WIDTH = 104  # px
ROW = 34  # px: a label of two lines
TIPS = {
    "layers": "Blocks of attention and feed-forward, one after the other; of each tower where there are two.",
    "hidden_size": "Numbers that stand for a token between the layers.",
    "heads": "Attention heads of a layer, those of the queries.",
    "kv_heads": "Heads of keys and values. Fewer than query heads make the KV cache smaller.",
    "head_dim": "Numbers of one head.",
    "feed_forward": "Width inside the feed-forward; of one expert where all layers are mixtures.",
    "vocab_size": "Tokens that the model knows: rows of the embedding and of the output head.",
    "experts": "Experts of a mixture layer; a token goes through some of them.",
    "experts_per_token": "Experts that each token goes through.",
}


class WhatIf(QWidget):
    """Fields for the sizes that the plan's model has. An entry left empty is the model's own size again."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self.fields = {
            name: CountField(replace(field, optional=True), TIPS[name]) for name, field in CHANGES.items()
        }
        self.restore = QPushButton("Restore the model")
        self.restore.setToolTip("Gives every size its own value again.")
        rows = QVBoxLayout(self)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setSpacing(2)
        for name, field in self.fields.items():
            _beside(field)
            field.entered.connect(partial(self._change, name))
            rows.addWidget(field)
        rows.addSpacing(6)
        rows.addWidget(self.restore)
        self.restore.clicked.connect(session.restore)

    def _change(self, name: str, size: object) -> None:
        self._session.change(name, size if isinstance(size, int) else None)

    def show_state(self, state: State) -> None:
        """Shows the sizes of a plan's model, and of those that were changed what they were. Emits nothing."""
        try:
            own = self._session.own_sizes()
        except BadInput:  # a model without a config has no sizes to change
            own = {}
        changes = state.draft.changes or {}
        for name, field in self.fields.items():
            field.setVisible(name in own)
            if name in own:
                _show(field, CHANGES[name].label, own[name], changes.get(name))
        self.restore.setEnabled(bool(changes))


def _show(field: CountField, label: str, own: int, changed: int | None) -> None:
    field.entry.setPlaceholderText(f"{own:,}")
    field.show_value(own if changed is None else changed)
    field.label.setText(label if changed is None else f"{label}\nwas {own:,}")
    field.label.setProperty("role", "mute" if changed is None else "changed")
    field.label.style().unpolish(field.label)
    field.label.style().polish(field.label)


def _beside(field: CountField) -> None:
    """Puts the label beside the entry; what is wrong stays beneath both."""
    line = QHBoxLayout()
    line.setSpacing(8)
    for part in (field.label, field.entry):
        field.rows.removeWidget(part)
    line.addWidget(field.label, 1)
    line.addWidget(field.entry)
    field.label.setMinimumHeight(ROW)
    field.entry.setFixedWidth(ENTRY_WIDTH)
    field.rows.insertLayout(0, line)
