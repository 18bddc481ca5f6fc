"""The one holder of the plan: edits as undo steps, one estimate an edit, one signal when it changed."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from threading import Event

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QUndoCommand, QUndoStack

from llmplanner.app.jobs import Job, ThreadJob
from llmplanner.compose import (
    Chosen,
    changed_model,
    in_catalogue,
    machine_named,
    model_named,
    plan_of,
    reading_of,
    sizes_of,
    with_model,
)
from llmplanner.core.checkpoint import Checkpoint
from llmplanner.core.errors import BadInput
from llmplanner.core.estimate import Estimate
from llmplanner.core.estimating import estimate
from llmplanner.core.machine import Machine
from llmplanner.core.plan import Plan
from llmplanner.core.verdict import Verdict, verdict
from llmplanner.models.hub.access import Access
from llmplanner.plan_fields import CHANGES, FIELDS
from llmplanner.plans import Draft, checked

OFFLINE = Access(offline=True)  # the hub is asked for what the user types, not for what a plan names
MODELS_KEPT = 8  # for undo steps: one with a table of 200,000 tensors takes some tens of MB
SLIDE = 1  # QUndoCommand's id of steps that may merge; others have -1

Named = tuple[str, Mapping[str, object] | None, Checkpoint | None]  # what a draft calls its model by


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
    reads = Signal(object)  # the Job that reads a model; None when it has ended
    kept_more = Signal()  # `kept` has changed

    def __init__(self, draft: Draft, local: Machine | None = None, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.local = local
        self.kept: dict[str, str] = {}
        self.steps = QUndoStack(self)
        self.reading: Job | None = None
        self.sends_token = False  # to huggingface.co, where the user allows it
        self._asked = ""  # the text for which that job reads
        self._models: list[tuple[Named, Chosen]] = []  # those chosen last, the newest first
        self._own: tuple[Named, dict[str, int]] | None = None  # the sizes of the model shown last
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

    def replace(self, draft: Draft, text: str = "change of plan", merge: str = "", about: str = "") -> None:
        """Takes another draft as an undo step. One that cannot be answered is refused and changes nothing.

        `about` is the field that a refusal is told of; empty: the one that the core names.
        """
        if draft == self._state.draft:
            return
        before = self._state.draft
        if self._take(draft, emit=False, about=about):
            self.steps.push(_Step(self, before, draft, text, merge))
            self.changed.emit(self._state)

    def undo(self) -> None:
        """Goes one step back."""
        self.steps.undo()

    def redo(self) -> None:
        """Goes one step forward."""
        self.steps.redo()

    def choose_model(self, text: str) -> None:
        """Takes another model by name, path or id; token counts beyond its context come down to it.

        A name of the catalogue is looked up at once. Everything else may take a while: it is read off the
        GUI thread, and a newer choice cancels an older one.
        """
        if self.reading is not None and self._asked == text:
            return  # Return, and then the field is left
        self.stop_reading()
        if not in_catalogue(text):
            self._read(text)
            return
        try:
            self._take_model(text, model_named(text))
        except BadInput as error:
            self.refused.emit("model", str(error))

    def _read(self, text: str) -> None:
        self._asked = text
        stopped = Event()
        access = Access(token=self.sends_token, stopped=stopped.is_set)
        job = ThreadJob(reading_of(text), partial(model_named, text, access=access))
        job.ended.connect(stopped.set)
        job.done.connect(lambda chosen: self._take_model(text, chosen))
        job.failed.connect(lambda sentence: self.refused.emit("model", sentence))
        job.ended.connect(self._end_reading)
        self.reading = job
        self.reads.emit(job)
        job.start()

    def stop_reading(self) -> None:
        """Leaves the model that is being read; the plan keeps the one that it has."""
        if self.reading is not None:
            self.reading.cancel()

    def _end_reading(self) -> None:
        self.reading = None
        self.reads.emit(None)

    def _take_model(self, text: str, chosen: Chosen) -> None:
        other = with_model(self._state.draft, text, chosen)
        self._keep(_named_by(other), chosen)
        self.replace(other, text="change of Model")

    def change(self, name: str, size: int | None) -> None:
        """Changes a size of the model by hand; None, or its own size, takes the change back."""
        changes = dict(self._state.draft.changes or {})
        changes.pop(name, None)
        if size is not None and size != self.own_sizes().get(name):
            changes[name] = size
        self.replace(
            replace(self._state.draft, changes=changes or None),
            text=f"change of {CHANGES[name].label}",
            about=f"changes.{name}",
        )

    def restore(self) -> None:
        """Gives the model its own sizes again."""
        self.replace(replace(self._state.draft, changes=None), text="restoring of the model")

    def own_sizes(self) -> dict[str, int]:
        """The model's own sizes, those that can be changed."""
        draft = self._state.draft
        if self._own is None or self._own[0] != _named_by(draft):
            self._own = _named_by(draft), sizes_of(draft.model, self.chosen)
        return self._own[1]

    @property
    def chosen(self) -> Chosen:
        """The plan's model as its file or the catalogue states it, whatever the plan changes of it."""
        return self._chosen(self._state.draft)

    def meet(self, local: Machine | None, draft: Draft | None = None) -> None:
        """Answers anew with this computer's cards as seen now, perhaps with another draft; no undo step."""
        self.local = local
        if self._take(draft or self._state.draft, emit=False):
            self.met.emit(self._state)

    def go_to(self, draft: Draft) -> None:
        """Shows a draft of the undo history."""
        if draft != self._state.draft:
            self._take(draft)

    def _take(self, draft: Draft, *, emit: bool = True, about: str = "") -> bool:
        try:
            self._state = self._answer(draft)
        except BadInput as error:
            self.refused.emit(about or error.field or "", str(error))
            return False
        if emit:
            self.changed.emit(self._state)
        return True

    def _answer(self, draft: Draft) -> State:
        """Everything that follows from a draft. Raises BadInput."""
        known = getattr(self, "_state", None)
        if known is not None and (*_named_by(draft), draft.changes) == (
            *_named_by(known.draft),
            known.draft.changes,
        ):
            model = known.plan.model
        else:
            model = changed_model(self._chosen(draft), draft)
        plan = plan_of(checked(draft), model, machine_named(draft, self.local))
        needed = estimate(plan)
        return State(draft, plan, needed, verdict(plan, needed))

    def _chosen(self, draft: Draft) -> Chosen:
        """What the draft's name stands for: known from before, or looked up. Raises BadInput."""
        named = _named_by(draft)
        for known, chosen in self._models:
            if known == named:
                return chosen
        chosen = model_named(draft.model, draft.config, draft.checkpoint, OFFLINE)
        self._keep(named, chosen)
        return chosen

    def _keep(self, named: Named, chosen: Chosen) -> None:
        """Keeps a model for the edits and undo steps to come."""
        self._models = [(named, chosen), *(one for one in self._models if one[0] != named)][:MODELS_KEPT]


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


def _named_by(draft: Draft) -> Named:
    return draft.model, draft.config, draft.checkpoint


def _said(entries: dict[str, object]) -> str:
    """What a step changed, for the menu: "change of Context"."""
    return "change of " + ", ".join(FIELDS[name].label for name in entries)
