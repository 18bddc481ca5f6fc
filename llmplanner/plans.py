"""The plan as the user states it, and the files that keep it.

A Draft holds names and numbers, nothing looked up: what a plan file holds, `--set` changes, a panel edits and
an undo step goes back to. compose.py turns it into the core's Plan.
"""

import json
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import msgspec

from llmplanner.core.checkpoint import MOST_LAYERS, Checkpoint
from llmplanner.core.errors import BadInput, quoted, short
from llmplanner.core.quantities import parse_amount, parse_count, parse_gib, parse_tokens, range_text
from llmplanner.plan_fields import CHANGES, FIELDS, Field
from llmplanner.resources import read_file

SCHEMA = 1
SUFFIX = ".llmplan.json"
HEAD = 4096  # bytes at the beginning of a file in which a plan says that it is one
FEW = 7  # choices that a sentence lists
MOST_HELD = 10**18  # bytes of a checkpoint
LONGEST_TEXT = 5000  # letters; a path has at most 4,096
LONGEST_NAME = 100  # letters of a file's name in a sentence
SWITCHED = {"on": True, "true": True, "yes": True, "1": True} | {
    "off": False,
    "false": False,
    "no": False,
    "0": False,
}
MAX_FILE = 10_000_000  # bytes; a plan with its model's config is a few kilobytes


@dataclass(frozen=True, slots=True)
class Draft:
    """A plan in the user's words. None means: not said, take what follows from the rest."""

    model: str = "llama-3.1-8b"  # a name of the catalogue, or the path of a config.json
    config: Mapping[str, object] | None = None  # that file as it was read, so that the plan outlives it
    checkpoint: Checkpoint | None = None  # what the files of its weights hold, for the same reason
    changes: Mapping[str, int] | None = None  # the what-if: sizes of the model that are not its own
    task: str = "serve"
    engine: str = "transformers"
    weights: str | None = None  # Format; None: as the config says
    kv: str | None = None  # Format of the keys; None: the format that the weights compute in
    kv_values: str | None = None  # Format of the values; None: that of the keys
    context: int = 8192
    prompt: int | None = None  # tokens prefilled at once (encoder-decoder: the encoder's); None: the context
    batch: int = 1
    parallel: int = 1  # llama.cpp: slots that share the context
    ubatch: int = 512
    flash_attention: bool = True
    swa_full: bool = False
    kv_unified: bool = False
    gpu_layers: int | None = None  # None: all, and the head
    cpu_experts: int = 0
    tensor_split: str | None = None  # "3,1"; None: by the cards' memory
    kv_offload: bool = True
    vllm_share: float = 0.9
    block_size: int = 16
    cuda_graphs: bool = True
    batched_tokens: int | None = None
    max_sequences: int | None = None
    static_cache: bool = False
    all_logits: bool = False
    method: str = "full"
    rank: int = 16
    lora_targets: str = "all-linear"  # names of linears with commas between, or attention
    lora_dropout: float = 0.0
    train_embeddings: bool = False
    adapter_width: int = 64
    frozen_layers: int = 0
    precision: str | None = None  # None: BF16 mixed; beside adapters of LoRA and its kin a BF16 base
    optimizer: str = "adamw"
    attention: str = "sdpa"
    checkpointing: str = "none"
    sequence: int = 2048
    micro_batch: int = 1
    accumulation: int = 1
    loss: str = "whole"
    padding: str = "none"  # none: sequences of one length; padded: with a mask; packed: none is wasted
    dropout: float | None = None  # None: the model's own
    keep_logits: bool = False
    kernels: bool = False  # as a plain installation of Transformers has none
    gpu: str = "local"  # local, a UUID of this computer's cards, or a name of the catalogue
    count: int | None = None
    dp: int | None = None
    tp: int | None = None
    zero: int = 0
    pp: int = 1
    cp: int = 1
    ep: int = 1
    sequence_parallel: bool = False
    pipeline_chunks: int = 1
    sharding: str = "fsdp"
    hybrid: int | None = None  # GPUs that share one copy; None: all
    offload: str = "none"
    offload_to: str = "cpu"
    host_memory: float | None = None  # GiB; None: not known
    runtime: float | None = None  # GiB, measured of an empty process; None: the published range
    parameters: int | None = None  # compute budget; None: the model's own
    tokens: int | None = None  # None: 20 per parameter
    efficiency: float = 0.35
    price_per_hour: float | None = None  # USD; None: the catalogue's
    pue: float = 1.1
    limit_devices: int | None = None
    limit_days: float | None = None
    limit_cost: float | None = None


EXAMPLE = Draft(model="llama-3.1-8b", gpu="rtx-4090", context=32_768)  # what is shown before a plan is stated


def precision_of(draft: Draft) -> str:
    """How a step computes: as stated, else as is usual: beside adapters a base of 16 bits stays as it is."""
    adapted = draft.task == "finetune" and draft.method not in {"full", "qlora"}
    return draft.precision or ("bf16" if adapted else "bf16-mixed")


def is_uuid(gpu: str) -> bool:
    """Whether a plan's GPU is the UUID of one of this computer's cards, or of a slice of one."""
    return gpu.startswith(("GPU-", "MIG-"))


def changed(draft: Draft, name: str, text: str) -> Draft:
    """The draft with one field set from what was typed. Raises BadInput, naming the field."""
    field = FIELDS.get(name)
    if field is None:
        raise BadInput(f"There is no field {quoted(name)} in a plan; there are {', '.join(FIELDS)}.", name)
    left_out = field.optional and text.strip().lower() in {"", "auto", "none"}
    entry: dict[str, Any] = {name: None if left_out else _parsed(name, field, text)}
    return checked(replace(draft, **entry))


def resized(draft: Draft, name: str, text: str) -> Draft:
    """The draft with one size of its model changed to what was typed: a what-if. Raises BadInput."""
    field = _resizable(name)
    try:
        size = parse_count(text, low=int(field.low), high=int(field.high))
    except BadInput as error:
        raise BadInput(f"{field.label}: {error}", f"changes.{name}") from error
    return checked(replace(draft, changes={**(draft.changes or {}), name: size}))


def _parsed(name: str, field: Field, text: str) -> str | int | float | bool:
    """What was typed, as the field's type."""
    if field.kind == "switch":
        return _switched(name, field, text.strip().lower())
    if field.kind in {"text", "choice"}:
        return text.strip() if field.kind == "text" else _choice(field, text.strip().lower())
    try:
        if field.kind == "gib":
            return parse_gib(text, low=field.low, high=field.high)
        if field.kind == "number":
            return parse_amount(text, low=field.low, high=field.high)
        parse = parse_tokens if field.kind == "tokens" else parse_count
        return parse(text, low=int(field.low), high=int(field.high))
    except BadInput as error:
        raise BadInput(f"{field.label}: {error}", name) from error


def _switched(name: str, field: Field, text: str) -> bool:
    """What a switch is set to. Raises BadInput."""
    if text not in SWITCHED:
        raise BadInput(f"{field.label} is on or off, not {quoted(text)}.", name)
    return SWITCHED[text]


def _choice(field: Field, text: str) -> str:
    """The choice that a text means: iq4-xs is iq4_xs, f16 is fp16, q4_k is q4_k_m as in llama.cpp's own tool.

    What means none is given back as it is.
    """
    alike = {one.replace("-", "_"): one for one in field.choices}
    plain = text.replace("-", "_")
    for name in (plain, f"{plain}_m" if plain.endswith("_k") else plain):
        if name in alike:
            return alike[name]
    from llmplanner.core.formats import format_named  # noqa: PLC0415 - most name what is offered

    with suppress(BadInput):  # the check of the field says what it takes
        form = format_named(text).key
        return form if form in field.choices else text
    return text


def checked(draft: Draft) -> Draft:
    """The same draft, if every field holds what it takes. Raises BadInput, naming the first that does not."""
    for name, field in FIELDS.items():
        value = getattr(draft, name)
        if value is None:
            continue
        if field.kind == "text" and len(value) > LONGEST_TEXT:
            raise BadInput(
                f"{field.label} has {len(value):,} letters; at most {LONGEST_TEXT:,} are read.", name
            )
        if field.kind == "choice" and value not in field.choices:
            raise BadInput(
                f"{field.label} cannot be {quoted(value)}; it takes {_offered(field, value)}.", name
            )
        if field.kind in {"count", "tokens", "number", "gib"} and not field.low <= value <= field.high:
            raise BadInput(
                f"{field.label} cannot be {quoted(value)}; it takes {range_text(field.low, field.high)}.",
                name,
            )
    for name, size in (draft.changes or {}).items():
        _check_change(name, size)
    if draft.checkpoint is not None:
        _check_checkpoint(draft.checkpoint)
    return draft


def _check_checkpoint(held: Checkpoint) -> None:
    if any(
        len(text) > LONGEST_TEXT for text in (held.label, held.source, *(one.format for one in held.amounts))
    ):
        raise BadInput("The plan's checkpoint has a name that is too long; take it out.", "checkpoint")
    for amount in held.amounts:
        if not all(0 <= count <= MOST_HELD for count in (amount.tensors, amount.elements, amount.bytes)):
            raise BadInput("The plan's checkpoint states sizes that no file has; take it out.", "checkpoint")
    for place in held.places:
        if not (0 <= place.bytes <= MOST_HELD and -1 <= place.layer < MOST_LAYERS):
            raise BadInput("The plan's checkpoint has a place that no file has; take it out.", "checkpoint")


def _resizable(name: str) -> Field:
    if name in CHANGES:
        return CHANGES[name]
    raise BadInput(f"A what-if cannot change {quoted(name)}; it changes {', '.join(CHANGES)}.", "changes")


def _check_change(name: str, size: int) -> None:
    field = _resizable(name)
    if not field.low <= size <= field.high:
        raise BadInput(
            f"{field.label} cannot be {quoted(size)}; it takes {range_text(field.low, field.high)}.",
            f"changes.{name}",
        )


def _offered(field: Field, value: object) -> str:
    """The choices of a field in words; of very many, the first and those that look like what was stated."""
    first, others = field.choices[:FEW], field.choices[FEW:]
    if not others:
        return ", ".join(first)
    from difflib import get_close_matches  # noqa: PLC0415 - only who mistypes waits for it

    near = get_close_matches(short(str(value)), others, n=3, cutoff=0.5) or others[:3]
    return f"{', '.join(first)} and, as --help lists, others such as {', '.join(near)}"


def write(path: Path, draft: Draft) -> None:
    """Writes a plan file, whole or not at all. Raises BadInput where the folder cannot be written."""
    plain = {field.name: getattr(draft, field.name) for field in fields(draft)}
    text = json.dumps({"llmplanner_plan": SCHEMA, **plain}, indent=1, default=_plain) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False, encoding="utf-8") as file:
            temporary = Path(file.name)
            try:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            except OSError:
                temporary.unlink()
                raise
        temporary.replace(path)
    except OSError as error:
        raise BadInput(f"{path} cannot be written: {error.strerror}; choose another folder.") from error


def is_plan(path: Path) -> bool:
    """Whether a file is a plan: by its name, or by the key that plans begin with."""
    if path.name.endswith(SUFFIX):
        return True
    try:
        if path.suffix != ".json" or not path.is_file():
            return False
        with path.open("rb") as file:
            return b'"llmplanner_plan"' in file.read(HEAD)
    except OSError:  # told when it is read as a model
        return False


def _plain(value: object) -> object:
    """A part of a draft as JSON holds it."""
    return dict(value) if isinstance(value, Mapping) else msgspec.to_builtins(value)


def read(path: Path) -> Draft:
    """The draft that a plan file holds. Raises BadInput, naming the file and the field."""
    content = read_file(path, MAX_FILE, remedy="; give the path of a plan file")
    name = short(path.name, LONGEST_NAME)
    try:
        raw = msgspec.json.decode(content)
    except RecursionError as error:
        raise BadInput(f"{name} is not a plan file: it is nested without end.") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"{name} is not a plan file: it is not whole JSON ({error}).") from error
    return from_table(raw, name)


def from_table(raw: object, name: str) -> Draft:
    """The draft in a decoded plan file called `name`. Raises BadInput."""
    if not isinstance(raw, dict) or "llmplanner_plan" not in raw:
        raise BadInput(f"{name} is not a plan file: it has no key llmplanner_plan.")
    schema = raw.pop("llmplanner_plan")
    if schema != SCHEMA:
        raise BadInput(
            f"{name} is a plan file of format {quoted(schema)}, this version reads {SCHEMA}; "
            "update LLM Planner."
        )
    known = {field.name for field in fields(Draft)}
    unknown = sorted(set(raw) - known)
    if unknown:
        raise BadInput(
            f"{name} has a field {quoted(unknown[0])} that a plan does not have; remove it.",
            short(unknown[0]),
        )
    try:
        return checked(msgspec.convert(raw, Draft))
    except msgspec.ValidationError as error:
        place = str(error).partition("`$.")[2].rstrip("`")  # "... - at `$.checkpoint.files[0]`"
        field = place.partition(".")[0].partition("[")[0]
        raise BadInput(
            f"{name} cannot be used: a plan's {field} cannot hold what stands there; mend it or remove it.",
            field,
        ) from error
    except BadInput as error:
        raise BadInput(f"{name}: {error}", error.field) from error
