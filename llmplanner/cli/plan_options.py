"""The options that state a plan: the same for every command that takes one."""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from llmplanner import plan_fields, plans
from llmplanner.cli.hub_options import access, add_hub_arguments
from llmplanner.cli.program import program
from llmplanner.core.errors import BadInput
from llmplanner.core.recipes import groups
from llmplanner.models.hub.access import ANYBODY, Access
from llmplanner.plan_fields import FIELDS, used
from llmplanner.plans import Draft

WEIGHTS = "; ".join(
    (", ".join(plan_fields.FORMATS), *(f"{name}: {', '.join(keys)}" for name, keys in groups()))
)


def _choices(field: str) -> str:
    return ", ".join(FIELDS[field].choices)


# Option, the plan's field, what it says in --help. The values are checked where the plan is put together.
OPTIONS = (
    ("--task", "task", "serve, finetune or pretrain"),
    ("--engine", "engine", f"the program that serves it: {_choices('engine')}"),
    ("--weights", "weights", f"how the weights are stored, of a server or of QLoRA's base: {WEIGHTS}"),
    ("--kv", "kv", f"format of the KV cache: {_choices('kv')}"),
    ("--context", "context", "tokens per sequence, prompt and answer together: 8192, 32k"),
    ("--batch", "batch", "sequences served at once"),
    ("--parallel", "parallel", "llama.cpp: slots that share the context"),
    ("--gpu", "gpu", "local, the UUID of a local card, or a name of the catalogue such as rtx-4090"),
    ("--count", "count", "how many GPUs: tensor parallel for serving, data parallel for training"),
    ("--method", "method", "how to fine-tune: full, lora, dora, qlora or adapters"),
    ("--rank", "rank", "rank of LoRA's adapters"),
    ("--optimizer", "optimizer", _choices("optimizer")),
    ("--precision", "precision", _choices("precision")),
    ("--checkpointing", "checkpointing", "activation checkpointing: none, selective, selective-op or full"),
    ("--attention", "attention", "eager, sdpa or flash"),
    ("--sequence", "sequence", "tokens per training sequence"),
    ("--micro-batch", "micro_batch", "sequences per GPU and forward pass"),
    ("--zero", "zero", "ZeRO stage, 0 to 3"),
    ("--dp", "dp", "data-parallel GPUs"),
    ("--tp", "tp", "tensor-parallel GPUs"),
    ("--pp", "pp", "pipeline stages"),
    ("--cp", "cp", "context parallel: GPUs that share the tokens of a sequence (training)"),
    ("--ep", "ep", "expert parallel: GPUs that share the experts"),
)


def add_plan_arguments(parser: argparse.ArgumentParser) -> None:
    """MODEL, --plan, --set and the common options."""
    parser.add_argument(
        "model",
        nargs="?",
        metavar="MODEL",
        help="a name that `models` lists, a model's file or folder, or its id on the hub",
    )
    group = parser.add_argument_group("plan options")
    group.add_argument("--plan", metavar="FILE", help="start from a plan file")
    group.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        dest="assignments",
        help=f"change one field of the plan; may be given often. Fields: {', '.join(FIELDS)}",
    )
    group.add_argument(
        "--change",
        action="append",
        default=[],
        metavar="SIZE=N",
        dest="sizes",
        help=f"a what-if: another size of the model; may be given often: {', '.join(plan_fields.CHANGES)}",
    )
    for option, field, text in OPTIONS:
        group.add_argument(option, dest=f"plan_{field}", metavar=_metavar(field), help=text)
    add_hub_arguments(parser)


def _metavar(field: str) -> str:
    return {"choice": "NAME", "text": "NAME"}.get(FIELDS[field].kind, "N")


@dataclass(frozen=True, slots=True)
class Stated:
    """A plan as somebody stated it. `fields` are those that were set, in a command or in a plan file.

    `typed` are those of the command alone: a plan file keeps what its task does not need.
    """

    draft: Draft
    fields: frozenset[str] = frozenset()
    typed: frozenset[str] = frozenset()
    access: Access = ANYBODY  # how the hub may be asked for the model

    @property
    def ignored(self) -> tuple[str, ...]:
        """The fields of the command that the plan's memory does not depend on."""
        needed = used(self.draft.task, self.draft.engine, self.draft.method)
        return tuple(name for name in FIELDS if name in self.typed and name not in needed)


def stated(arguments: argparse.Namespace, otherwise: Draft | None = None) -> Stated:
    """The plan that the command line states: the plan file, then the options, then --set. Raises BadInput.

    `otherwise` is the plan to start from where neither a model nor a plan file is named.
    """
    unnamed = arguments.model is None and arguments.plan is None
    if unnamed and otherwise is None:
        raise BadInput(
            f"Name a model, or a plan file with --plan; `{program()} models` lists the catalogue.", "model"
        )
    draft = otherwise if unnamed and otherwise is not None else Draft()
    if arguments.plan is not None:
        draft = _read(Path(arguments.plan))
    if arguments.model is not None:
        draft = replace(draft, model=arguments.model, config=None, checkpoint=None, changes=None)
    typed = set()
    for field, text in _pairs(arguments):
        draft = plans.changed(draft, field, text)
        typed.add(field)
        if field == "model":
            draft = replace(draft, config=None, checkpoint=None, changes=None)
    for assignment in arguments.sizes:
        draft = plans.resized(draft, *_pair(assignment, "--change", "layers=40"))
    fields = frozenset(typed if arguments.plan is None else FIELDS)
    return Stated(draft, fields, frozenset(typed), access(arguments))


def _read(path: Path) -> Draft:
    try:
        return plans.read(path)
    except BadInput as error:
        raise BadInput(str(error), error.field or "plan") from error


def _pairs(arguments: argparse.Namespace) -> Iterator[tuple[str, str]]:
    """The fields that options and --set change, with the text that was typed."""
    for _, field, _ in OPTIONS:
        text = getattr(arguments, f"plan_{field}")
        if text is not None:
            yield field, text
    for assignment in arguments.assignments:
        yield _pair(assignment, "--set", "batch=4")


def _pair(assignment: str, option: str, example: str) -> tuple[str, str]:
    """The two sides of NAME=VALUE. Raises BadInput."""
    name, equals, text = assignment.partition("=")
    if not equals:
        raise BadInput(
            f"{option} takes NAME=VALUE, as in {option} {example}; {assignment!r} has no =.", option[2:]
        )
    return name.strip().replace("-", "_"), text
