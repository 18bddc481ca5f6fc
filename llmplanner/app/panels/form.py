"""The fields of a group: those that the plan uses, in their order, the rarer ones behind one "More"."""

from collections.abc import Callable, Sequence
from itertools import pairwise

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QVBoxLayout, QWidget

from llmplanner.app.fields import Field
from llmplanner.app.panels.fold import GAP, Fold
from llmplanner.app.session import Session
from llmplanner.app.slider_field import SliderField
from llmplanner.comparison import AS_THEY_COME
from llmplanner.plans import Draft

OPEN = "open"


class Form(QWidget):
    """Makes a field when it is first seen. `entered` carries a field's name and its new value."""

    entered = Signal(str, object)

    def __init__(
        self, session: Session, of: str, make: Callable[[str], Field], after: QWidget | None = None
    ) -> None:
        """`after` is where the Tab key comes from."""
        super().__init__()
        self.fields: dict[str, Field] = {}
        self._after = after
        self.fold = Fold(of)
        self._session, self._make = session, make
        self._remembered = f"more.{of}"
        self._first: tuple[str, ...] = ()
        self._rest: tuple[str, ...] = ()
        self._shown: tuple[str, ...] = ()
        self._rows = QVBoxLayout()
        self._rows.setSpacing(GAP)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(GAP)
        column.addLayout(self._rows)
        column.addWidget(self.fold)
        self.fold.toggled.connect(self._turn)

    def show_fields(self, draft: Draft, first: Sequence[str], rest: Sequence[str]) -> None:
        """Shows these fields of a draft, the rest in the fold. Emits nothing of `entered`."""
        self._first, self._rest = tuple(first), tuple(rest)
        self.fold.open(is_open=self._session.kept.get(self._remembered) == OPEN)
        self._arrange()
        for name in self._shown:
            self.fields[name].show_value(getattr(draft, name))
        differ = sum(getattr(draft, name) != getattr(AS_THEY_COME, name) for name in self._rest)
        self.fold.show_changed(differ)

    def reveal(self, name: str) -> bool:
        """Opens the fold where the field of that name is in it; whether the field is now seen."""
        if name in self._rest and not self.fold.is_open:
            self.fold.open(is_open=True)
            self._turn(is_open=True)
        return name in self._shown

    def _chain(self) -> None:
        """Gives the Tab key the order of the eye."""
        names = (self._first, self._shown[len(self._first) :])
        first, rest = ([stop for name in part for stop in self.fields[name].stops()] for part in names)
        stops = [*first, self.fold.button, *rest]
        for before, stop in pairwise([self._after, *stops] if self._after else stops):
            QWidget.setTabOrder(before, stop)

    def _turn(self, is_open: bool) -> None:
        self._session.keep(self._remembered, OPEN if is_open else "")
        before = self._shown
        self._arrange()
        for name in self._shown:
            if name not in before:
                self.fields[name].show_value(getattr(self._session.state.draft, name))

    def _arrange(self) -> None:
        """Puts the fields to be shown in their order; the others are hidden."""
        shown = (*self._first, *(self._rest if self.fold.is_open else ()))
        self.fold.setVisible(bool(self._rest))
        if shown == self._shown:
            return
        for name in set(self._shown) - set(shown):
            self.fields[name].hide()
        self._shown = shown
        for name in shown:
            if name not in self.fields:
                self._add(name)
            field, rows = self.fields[name], self._rows if name in self._first else self.fold.rows
            rows.removeWidget(field)
            rows.addWidget(field)
            field.show()
        self._chain()

    def _add(self, name: str) -> None:
        field = self._make(name)
        self.fields[name] = field
        field.entered.connect(lambda value: self.entered.emit(name, value))
        if isinstance(field, SliderField):
            field.slid.connect(lambda value: self._session.slide(**{name: value}))
            field.released.connect(self._session.settle)
