"""The plan at the left: three groups of fields, each showing the state and asking the session for changes."""

from PySide6.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

from llmplanner.app.fields import Field


class Panel(QWidget):
    """A group of fields under a heading. `fields` leads from the names of a Draft's entries to controls."""

    def __init__(self, heading: str) -> None:
        super().__init__()
        self.fields: dict[str, Field] = {}
        self.rows = QVBoxLayout(self)
        self.rows.setContentsMargins(0, 0, 0, 0)
        self.rows.setSpacing(8)
        title = QLabel(heading)
        title.setProperty("role", "section")
        self.head = QHBoxLayout()
        self.head.addWidget(title, 1)
        self.rows.addLayout(self.head)

    def show_problem(self, name: str, sentence: str) -> bool:
        """Marks the field of that name, where it is in this group and can be seen; says whether it is."""
        field = self.fields.get(name) if self.reveal(name) else None
        if field is None or field.isHidden():
            return False
        field.show_problem(sentence)
        return True

    def reveal(self, name: str) -> bool:
        """Brings a field that is folded away to sight; whether one of that name is seen."""
        return name in self.fields
