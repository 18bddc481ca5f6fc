"""The plan at the left: model, workload and machine in reading order, in a column that scrolls."""

from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QApplication, QFrame, QScrollArea, QVBoxLayout, QWidget

from llmplanner.app.panels import Panel
from llmplanner.app.panels.machine import MachinePanel
from llmplanner.app.panels.model import ModelPanel
from llmplanner.app.panels.workload import WorkloadPanel
from llmplanner.app.session import Session, State

WIDTH = 296  # px
EDGE = 16  # px around the fields
SCROLL_BAR = 10  # px, as in the style sheet
GROUP_GAP = 16  # px between groups


class PlanPane(QFrame):
    """The three panels. A problem goes to the field that it is about."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.setObjectName("plan")
        self.setFixedWidth(WIDTH)
        self.model = ModelPanel(session)
        self.workload = WorkloadPanel(session)
        self.machine = MachinePanel(session)
        self._panels: tuple[Panel, ...] = (self.model, self.workload, self.machine)
        rows = QWidget()
        rows.setObjectName("rows")
        rows.setFixedWidth(WIDTH - SCROLL_BAR - 1)  # so that nothing moves when the column begins to scroll
        column = QVBoxLayout(rows)
        column.setContentsMargins(EDGE, EDGE, EDGE - SCROLL_BAR, EDGE)
        column.setSpacing(GROUP_GAP)
        for panel in self._panels:
            column.addWidget(panel)
        column.addStretch()
        self._scroll = QScrollArea()
        self._scroll.setWidget(rows)
        self._scroll.setWidgetResizable(True)
        self._scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._scroll.setFrameShape(QFrame.Shape.NoFrame)
        self._scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(self._scroll)
        QApplication.instance().focusChanged.connect(self._reveal)  # type: ignore[union-attr]

    def show_state(self, state: State) -> None:
        """Shows a plan in all its fields."""
        self.model.show_state(state)
        self.workload.show_state(state)
        self.machine.show_state(state)

    def show_problem(self, name: str, sentence: str) -> bool:
        """Marks the field of that name and scrolls to it; says whether there is one to be seen."""
        panel = next((panel for panel in self._panels if panel.show_problem(name, sentence)), None)
        if panel is None:
            return False
        field = panel.fields[name]
        QTimer.singleShot(0, field, lambda: self._scroll.ensureWidgetVisible(field, EDGE, EDGE))
        return True

    def _reveal(self, _left: QWidget | None, entered: QWidget | None) -> None:
        """Scrolls to a field that the keyboard has reached."""
        if entered is not None and self.isAncestorOf(entered):
            self._scroll.ensureWidgetVisible(entered, EDGE, EDGE)
