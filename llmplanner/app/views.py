"""How the Memory page looks at an estimate: at the peak, over time, by device, or beside another plan."""

from functools import partial

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QButtonGroup, QComboBox, QHBoxLayout, QPushButton, QWidget

from llmplanner.app.fields import scroll_past
from llmplanner.app.session import State
from llmplanner.charts.words import choices
from llmplanner.comparison import compared

PEAK, PHASES, DEVICES, RIVAL = "peak", "phases", "devices", "rival"
BUTTONS = (
    (PEAK, "At the peak", "What is there when most is needed, against the card."),
    (PHASES, "Over time", "Each phase at its worst moment, in their order; the peak is named."),
    (DEVICES, "Devices", "Devices that hold different things, worst first, and what the computer keeps."),
)
COMPARE = "Compare with…"


class Views(QWidget):
    """The buttons, and the list of what the plan can be compared with. `chosen` says that one was taken."""

    chosen = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._wanted = ""  # by the user; empty: what suits the plan
        self._field = ""  # whose values the list offers
        self._own = ""
        self.buttons = {name: QPushButton(text) for name, text, _ in BUTTONS}
        self.rival = QComboBox()
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        group = QButtonGroup(self)
        for name, _, tip in BUTTONS:
            button = self.buttons[name]
            button.setCheckable(True)
            button.setProperty("small", True)
            button.setToolTip(tip)
            button.clicked.connect(partial(self._choose, name))
            group.addButton(button)
            row.addWidget(button)
        self._group = group
        self.rival.setAccessibleName("Compare with")
        self.rival.setToolTip("Sets another engine, method or precision beside this plan, term by term.")
        self.rival.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.rival.setMinimumContentsLength(20)
        scroll_past(self.rival)
        self.rival.activated.connect(self._compare)
        row.addWidget(self.rival)

    @property
    def value(self) -> str:
        """What the plan is to be compared with; empty: nothing."""
        return str(self.rival.currentData() or "")

    def view(self, state: State) -> str:
        """The view that is shown of such a state: the one asked for, where it has something to show."""
        offered = self._offered(state)
        if self._wanted in offered:
            return self._wanted
        if len(state.estimate.different) > 1:
            return DEVICES
        return PEAK if state.draft.task == "serve" else PHASES

    def show_state(self, state: State) -> None:
        """Offers what there is to see of a state."""
        field = compared(state.draft)
        own = str(getattr(state.draft, field))
        if (field, own) != (self._field, self._own):
            self._offer(field, own)
        shown, offered = self.view(state), self._offered(state)
        self._group.setExclusive(False)
        for name, button in self.buttons.items():
            button.setVisible(name in offered)
            button.setChecked(name == shown)
        self._group.setExclusive(True)

    def _offered(self, state: State) -> set[str]:
        several = len(state.estimate.different) > 1 or state.estimate.host is not None
        return {PEAK, PHASES, *((DEVICES,) if several else ()), *((RIVAL,) if self.value else ())}

    def _offer(self, field: str, own: str) -> None:
        """What the plan can be compared with; a choice stays where it is still offered."""
        before = self.value if field == self._field else ""
        self._field, self._own = field, own
        self.rival.clear()
        self.rival.addItem(COMPARE, "")
        for value, text in choices(field):
            if value != own:
                self.rival.addItem(f"Compare with {text.partition(':')[0]}", value)
        self.rival.setCurrentIndex(max(0, self.rival.findData(before)))

    def _choose(self, name: str) -> None:
        self._wanted = name
        self.rival.setCurrentIndex(0)
        self.chosen.emit()

    def _compare(self) -> None:
        self._wanted = RIVAL if self.value else ""
        self.chosen.emit()
