"""What the GPUs are to do: serving, fine-tuning or pre-training, and what each of them needs to know."""

from dataclasses import replace

from llmplanner.app.fields import ChoiceField, CountField
from llmplanner.app.panels import Panel
from llmplanner.app.panels.controls import SLIDER_CONTEXT, cache_formats, control
from llmplanner.app.panels.form import Form
from llmplanner.app.session import Session, State
from llmplanner.app.slider_field import SliderField
from llmplanner.charts.words import choices
from llmplanner.comparison import adapted
from llmplanner.compose import tokens_of
from llmplanner.core.formats import format_named
from llmplanner.core.model import Kind, Model
from llmplanner.plan_fields import used
from llmplanner.plans import Draft, precision_of

# Those of a plan's fields that say which GPUs, and how the work is split over them.
OF_MACHINE = frozenset(
    {
        *("gpu", "count", "dp", "tp", "zero", "sharding", "hybrid", "sequence_parallel"),
        *("pp", "pipeline_chunks", "cp", "ep", "tensor_split"),
        *("offload", "offload_to", "host_memory", "runtime"),
    }
)
ELSEWHERE = OF_MACHINE | {"model"}
ALWAYS = frozenset(
    {
        *("task", "engine", "weights", "kv", "context", "batch"),
        *("method", "rank", "adapter_width", "sequence", "micro_batch"),
        *("precision", "optimizer", "attention", "checkpointing", "tokens"),
    }
)
ENCODER_TOKENS = "Tokens that the encoder reads."


class WorkloadPanel(Panel):
    """The task and the fields that it needs."""

    def __init__(self, session: Session) -> None:
        super().__init__("Workload")
        self._session = session
        self._engine = ""  # whose formats the KV cache's fields offer
        self._form = Form(session, "workload", control)
        self.fields = self._form.fields
        self.fold = self._form.fold
        self.rows.addWidget(self._form)
        self._form.entered.connect(self._enter)
        self.show_state(session.state)

    def _enter(self, name: str, value: object) -> None:
        draft = self._session.state.draft
        self._session.edit(**{name: value}, **adapted(draft, name, str(value)))

    def reveal(self, name: str) -> bool:
        """Opens the fold where the field of that name is in it."""
        return self._form.reveal(name)

    def show_state(self, state: State) -> None:
        """Shows a plan and the fields that it uses. Emits nothing."""
        model, draft = state.plan.model, state.draft
        first, rest = _placed(draft, model)
        self._form.show_fields(draft, first, rest)
        for name in ("context", "sequence"):
            slider = self.fields.get(name)
            if isinstance(slider, SliderField):
                slider.reach(model.context_length or SLIDER_CONTEXT)
        weights = self.fields.get("weights")
        if isinstance(weights, ChoiceField):
            weights.box.setItemText(0, _unsaid(state))
        precision = self.fields.get("precision")
        if isinstance(precision, ChoiceField):
            usual = precision_of(replace(draft, precision=None))
            precision.box.setItemText(0, f"As usual · {dict(choices('precision'))[usual]}")
        self._offer_cache_formats(draft)
        self._name_prompt(model)
        tokens = self.fields.get("tokens")
        if isinstance(tokens, CountField):
            tokens.entry.setPlaceholderText(f"{tokens_of(draft, model):,}")

    def _offer_cache_formats(self, draft: Draft) -> None:
        for name in ("kv", "kv_values"):
            field = self.fields.get(name)
            if isinstance(field, ChoiceField):
                if self._engine != draft.engine:
                    field.offer(cache_formats(name, draft.engine))
                field.show_value(getattr(draft, name))
        self._engine = draft.engine

    def _name_prompt(self, model: Model) -> None:
        prompt = self.fields.get("prompt")
        if prompt is not None:
            encoder = model.kind is Kind.ENCODER_DECODER
            prompt.label.setText("Encoder tokens" if encoder else "Prompt")


def _placed(draft: Draft, model: Model) -> tuple[list[str], list[str]]:
    """The names of the fields that are always seen, and of those behind More, in their order."""
    names = [name for name in used(draft.task, draft.engine, draft.method) if name not in ELSEWHERE]
    first = set(ALWAYS)
    if draft.task == "serve":
        first.discard("attention")
    if model.kind is Kind.ENCODER:
        names = [name for name in names if name not in {"kv", "kv_values"}]
    if model.kind is Kind.ENCODER_DECODER and "prompt" in names:
        first.add("prompt")
    if draft.task == "pretrain":
        names.append("tokens")
    return [name for name in names if name in first], [name for name in names if name not in first]


def _unsaid(state: State) -> str:
    """What the weights are where the plan says nothing: as the file has them, as published, or packed."""
    model, draft = state.plan.model, state.draft
    if draft.task != "serve" and draft.method == "qlora" and draft.weights is None:
        return f"As usual · {state.plan.weights.name}"
    if model.checkpoint is not None:
        return f"As stored · {model.checkpoint.label}"
    return f"As published · {format_named(model.dtype).name}"
