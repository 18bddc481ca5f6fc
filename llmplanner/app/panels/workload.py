"""What the GPUs are to do: serving, fine-tuning or pre-training, and what each of them needs to know."""

from dataclasses import replace
from functools import partial

from PySide6.QtWidgets import QWidget

from llmplanner.app.fields import ChoiceField, CountField, Field
from llmplanner.app.panels import Panel
from llmplanner.app.session import Session, State
from llmplanner.app.slider_field import SliderField
from llmplanner.compose import tokens_of
from llmplanner.core import recipes
from llmplanner.core.formats import format_named
from llmplanner.core.model import Kind, Model
from llmplanner.core.recipes import RECIPES
from llmplanner.plan_fields import FIELDS, FORMATS

TASKS = (("serve", "Serve"), ("finetune", "Fine-tune, full"), ("pretrain", "Pre-train"))
KV_FORMATS = tuple((key, f"{format_named(key).name} · {format_named(key).bits} bits") for key in FORMATS)
PUBLISHED = (None, "As published")
RECIPE_GROUPS = tuple(
    (group, tuple((key, RECIPES[key].name) for key in keys)) for group, keys in recipes.groups()
)
PRECISIONS = (
    ("bf16-mixed", "BF16 mixed (autocast)"),
    ("fp16-mixed", "FP16 mixed (autocast)"),
    ("bf16", "BF16 throughout"),
    ("fp32", "FP32"),
)
OPTIMIZERS = (
    ("adamw", "AdamW"),
    ("adamw-fused", "AdamW, fused"),
    ("adamw-loop", "AdamW, one by one"),
    ("sgd-momentum", "SGD with momentum"),
    ("sgd", "SGD"),
)
ATTENTION = (("sdpa", "SDPA (fused)"), ("flash", "FlashAttention 2"), ("eager", "Eager"))
CHECKPOINTING = (("none", "None: keep activations"), ("full", "Full: recompute layers"))
SLIDER_CONTEXT = 131_072  # where the model names no limit of its own
SLIDER_BATCH = 256

SERVING = ("weights", "kv", "context", "prompt", "batch")
TRAINING = ("precision", "optimizer", "attention", "checkpointing", "sequence", "micro_batch")


class WorkloadPanel(Panel):
    """The task and the fields that it needs."""

    def __init__(self, session: Session) -> None:
        super().__init__("Workload")
        self._session = session
        self.fields: dict[str, Field] = {}
        self._add({"task": ChoiceField("Task", "What the GPUs are to do with the model.", TASKS)})
        self._make(session.state.draft.task)

    def _add(self, fields: dict[str, Field]) -> None:
        """Takes more fields, below those there are and after them in the order of the Tab key."""
        before = [stop for field in self.fields.values() for stop in field.stops()]
        self.fields |= fields
        for name, field in fields.items():
            self.rows.addWidget(field)
            for stop in field.stops():
                if before:
                    QWidget.setTabOrder(before[-1], stop)
                before.append(stop)
            field.entered.connect(partial(self._enter, name))
            if isinstance(field, SliderField):
                field.slid.connect(partial(self._slide, name))
                field.released.connect(self._session.settle)

    def _make(self, task: str) -> None:
        """Makes the fields of a kind of task when it is first shown."""
        if task == "serve" and "context" not in self.fields:
            self._add(_serving_fields())
        if task != "serve" and "sequence" not in self.fields:
            self._add(_training_fields())

    def _enter(self, name: str, value: object) -> None:
        self._session.edit(**{name: value})

    def _slide(self, name: str, value: object) -> None:
        self._session.slide(**{name: value})

    def show_state(self, state: State) -> None:
        """Shows a plan and the fields that its task needs. Emits nothing."""
        model, draft = state.plan.model, state.draft
        self._make(draft.task)
        shown = {"task", *(SERVING if draft.task == "serve" else TRAINING)}
        if model.kind is not Kind.ENCODER_DECODER:
            shown.discard("prompt")
        if model.kind is Kind.ENCODER:
            shown.discard("kv")
        if draft.task == "pretrain":
            shown.add("tokens")
        for name in ("context", "sequence"):
            slider = self.fields.get(name)
            if isinstance(slider, SliderField):
                slider.reach(model.context_length or SLIDER_CONTEXT)
        weights = self.fields.get("weights")
        if isinstance(weights, ChoiceField):
            weights.box.setItemText(0, _as_published(model))
        for name, field in self.fields.items():
            field.setVisible(name in shown)
            field.show_value(getattr(draft, name))
        self._hint(state)

    def _hint(self, state: State) -> None:
        tokens = self.fields.get("tokens")
        if isinstance(tokens, CountField):
            tokens.entry.setPlaceholderText(f"{tokens_of(state.draft, state.plan.model):,}")


def _as_published(model: Model) -> str:
    """What the weights are where the plan says nothing: as the file has them, or as they were published."""
    if model.checkpoint is not None:
        return f"As stored · {model.checkpoint.label}"
    return f"As published · {format_named(model.dtype).name}"


def _serving_fields() -> dict[str, Field]:
    return {
        "weights": ChoiceField(
            "Weights",
            "The number format in which the weights are stored. Fewer bits take less memory and round more.",
            (PUBLISHED, ("Number formats", KV_FORMATS), *RECIPE_GROUPS),
        ),
        "kv": ChoiceField(
            "KV cache",
            "The number format of the keys and values that are kept for every token.",
            ((None, "As computed"), *KV_FORMATS),
        ),
        "context": SliderField(
            FIELDS["context"],
            "Tokens of one sequence, prompt and answer together. The KV cache grows with it.",
            "tokens",
            SLIDER_CONTEXT,
        ),
        "prompt": CountField(
            replace(FIELDS["prompt"], label="Encoder tokens"),
            "Tokens that the encoder reads.",
            hint="the context",
        ),
        "batch": SliderField(
            FIELDS["batch"],
            "Sequences that are served together. Each has its own KV cache.",
            "sequences",
            SLIDER_BATCH,
        ),
    }


def _training_fields() -> dict[str, Field]:
    return {
        "precision": ChoiceField(
            "Precision",
            "How a step computes. Mixed precision computes in 16 bits and keeps the weights in FP32.",
            PRECISIONS,
        ),
        "optimizer": ChoiceField(
            "Optimizer", "AdamW keeps two numbers for every parameter, SGD none or one.", OPTIMIZERS
        ),
        "attention": ChoiceField(
            "Attention",
            "Eager attention keeps a score for every pair of tokens; fused kernels do not.",
            ATTENTION,
        ),
        "checkpointing": ChoiceField(
            "Checkpointing",
            "Full checkpointing keeps only what enters each layer and computes the rest again.",
            CHECKPOINTING,
        ),
        "sequence": SliderField(
            FIELDS["sequence"], "Tokens of one training sequence.", "tokens", SLIDER_CONTEXT
        ),
        "micro_batch": SliderField(
            FIELDS["micro_batch"],
            "Sequences that one device trains on at once.",
            "sequences",
            SLIDER_BATCH,
        ),
        "tokens": CountField(
            FIELDS["tokens"],
            "Tokens of the whole training run. Left empty: 20 for each parameter (Hoffmann et al. 2022).",
            hint="20 per parameter",
        ),
    }
