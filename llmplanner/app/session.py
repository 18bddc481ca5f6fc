"""The one holder of the plan: edits as undo steps, one estimate an edit, one signal when it changed."""

from dataclasses import dataclass, replace

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QUndoCommand, QUndoStack

from llmplanner.compose import machine_named, model_named, plan_of
from llmplanner.core.errors import BadInput
from llmplanner.core.estimate import Estimate
from llmplanner.core.estimating import estimate
from llmplanner.core.machine import Machine
from llmplanner.core.plan import Plan
from llmplanner.core.verdict import Verdict, verdict
from llmplanner.plans import FIELDS, Draft, checked

RELATIVE_CONTEXT = (
    512  # tokens, for positions without a limit: T5's training (arXiv:1910.10683, section 3.1.2)
)
SLIDE = 1  # QUndoCommand's id of steps that may merge; others have -1


@dataclass(frozen=True, slots=True)
class State:
    """What the window shows: the plan in the user's words, in the core's, and what the core says to it."""

    draft: Draft
    plan: Plan
    estimate: Estimate
    verdict: Verdict


class Session(QObject):
    """Holds the current State. Raises BadInput where the first draft cannot be answered.

    `local` is this computer's machine, None until it was seen. `kept` is what the pages remember beside the
    plan, by name.
    """

    changed = Signal(object)  # the new State, of another plan
    met = Signal(object)  # the new State, of this computer's cards as seen now
    refused = Signal(str, str)  # field, sentence: the entry cannot be used, the State stays
    kept_more = Signal()  # `kept` has changed

    def __init__(self, draft: Draft, local: Machine | None = None, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.local = local
        self.kept: dict[str, str] = {}
        self.steps = QUndoStack(self)
        self._slides = 0  # ended ones
        self._state = self._answer(draft)

    @property
    def state(self) -> State:
        """The last good state."""
        return self._state

    def keep(self, name: str, text: str) -> None:
        """Remembers what a page was told that is no part of the plan; no undo step."""
        if self.kept.get(name) != text:
            self.kept[name] = text
            self.kept_more.emit()

    def edit(self, **entries: object) -> None:
        """Changes fields of the draft: one undo step."""
        self.replace(replace(self._state.draft, **entries), text=_said(entries))  # type: ignore[arg-type]

    def slide(self, **entries: object) -> None:
        """Changes fields while a slider moves: consecutive slides of the same fields are one undo step."""
        self.replace(
            replace(self._state.draft, **entries),  # type: ignore[arg-type]
            text=_said(entries),
            merge=" ".join((str(self._slides), *sorted(entries))),
        )

    def settle(self) -> None:
        """Ends a slide: the next one is an undo step of its own."""
        self._slides += 1

    def replace(self, draft: Draft, text: str = "change of plan", merge: str = "") -> None:
        """Takes another draft as an undo step. One that cannot be answered is refused and changes nothing."""
        if draft == self._state.draft:
            return
        before = self._state.draft
        if self._take(draft, emit=False):
            self.steps.push(_Step(self, before, draft, text, merge))
            self.changed.emit(self._state)

    def undo(self) -> None:
        """Goes one step back."""
        self.steps.undo()

    def redo(self) -> None:
        """Goes one step forward."""
        self.steps.redo()

    def choose_model(self, text: str) -> None:
        """Takes another model by name or path; token counts beyond its context come down to it."""
        try:
            chosen = model_named(text)
        except BadInput as error:
            self.refused.emit("model", str(error))
            return
        draft = self._state.draft
        longest = chosen.model.context_length or RELATIVE_CONTEXT
        context = min(draft.context, longest)
        self.replace(
            replace(
                draft,
                model=text,
                config=chosen.config,
                context=context,
                prompt=min(draft.prompt, context) if draft.prompt else draft.prompt,
                sequence=min(draft.sequence, longest),
            ),
            text="change of Model",
        )

    def meet(self, local: Machine | None, draft: Draft | None = None) -> None:
        """Answers anew with this computer's cards as seen now, perhaps with another draft; no undo step."""
        self.local = local
        if self._take(draft or self._state.draft, emit=False):
            self.met.emit(self._state)

    def go_to(self, draft: Draft) -> None:
        """Shows a draft of the undo history."""
        if draft != self._state.draft:
            self._take(draft)

    def _take(self, draft: Draft, *, emit: bool = True) -> bool:
        try:
            self._state = self._answer(draft)
        except BadInput as error:
            self.refused.emit(error.field or "", str(error))
            return False
        if emit:
            self.changed.emit(self._state)
        return True

    def _answer(self, draft: Draft) -> State:
        """Everything that follows from a draft. Raises BadInput."""
        known = getattr(self, "_state", None)
        if known is not None and (draft.model, draft.config) == (known.draft.model, known.draft.config):
            model = known.plan.model
        else:
            model = model_named(draft.model, draft.config).model
        plan = plan_of(checked(draft), model, machine_named(draft, self.local))
        needed = estimate(plan)
        return State(draft, plan, needed, verdict(plan, needed))


class _Step(QUndoCommand):
    """From one draft to another. Slides of the same fields merge into one step."""

    def __init__(self, session: Session, before: Draft, after: Draft, text: str, merge: str) -> None:
        super().__init__(text)
        self._session = session
        self._before = before
        self.after = after
        self.merge = merge

    def id(self) -> int:
        return SLIDE if self.merge else -1

    def mergeWith(self, other: QUndoCommand) -> bool:
        if not isinstance(other, _Step) or other.merge != self.merge:
            return False
        self.after = other.after
        return True

    def undo(self) -> None:
        self._session.go_to(self._before)

    def redo(self) -> None:
        self._session.go_to(self.after)


def _said(entries: dict[str, object]) -> str:
    """What a step changed, for the menu: "change of Context"."""
    return "change of " + ", ".join(FIELDS[name].label for name in entries)
