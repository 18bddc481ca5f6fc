"""Reads a config.json, the file that states a model's architecture, and turns it into a Model."""

import json
import os.path
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

from llmplanner.core.checkpoint import Checkpoint
from llmplanner.core.errors import BadInput
from llmplanner.core.model import Model
from llmplanner.core.tensors import parameters
from llmplanner.models.entries import Entries, plain, shown
from llmplanner.models.families import DIALECTS, heads
from llmplanner.models.families.dialect import DEFAULTS_SOURCE, Dialect, Part
from llmplanner.models.families.eager import EAGER, ROTARY_FP32, SCORES_FP32
from llmplanner.models.families.nested import left_out, text_part
from llmplanner.models.families.unknown import no_language, recognised
from llmplanner.models.other_files import what_it_is
from llmplanner.models.quantized import quantization
from llmplanner.resources import read_file

MOST_BYTES = 10_000_000
MOST_DEPTH = 64
MOST_DIGITS = 1000  # of a whole number, and quick to turn into one
MOST_PARAMETERS = 10**16  # a thousand times the largest that anyone trained
WITH_HEAD = (  # ends of the names of classes
    "ForCausalLM",
    "ForMaskedLM",
    "ForPreTraining",
    "LMHeadModel",
    "ForConditionalGeneration",
)
WITHOUT_HEAD = ("Model", "Encoder")
REMEDY = "download it again from the model's page"


def read(path: Path) -> dict[str, object]:
    """The entries of a config.json, or of the one in a folder. Raises BadInput."""
    file = file_of(path)
    content = read_file(
        file,
        MOST_BYTES,
        remedy="; give the path of a config.json or of the folder that holds it",
        field="model",
    )
    return parsed(content, str(file))


def parsed(content: bytes, where: str) -> dict[str, object]:
    """The entries in the bytes of a config.json that lies at `where`. Raises BadInput."""
    try:
        return _parse(content)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{where} {_problem(error)}; {REMEDY}.", "model") from error


def _problem(error: ValueError | RecursionError) -> str:
    """What is wrong with a file that `_parse` did not take."""
    if isinstance(error, json.JSONDecodeError):
        return f"is not a whole JSON file ({error.msg}, line {error.lineno}, column {error.colno})"
    if isinstance(error, UnicodeDecodeError):
        return "is not a text file in UTF-8"
    if isinstance(error, RecursionError):
        return "is not a config.json (it is nested without end)"
    return f"is not a config.json ({error})"


def file_of(path: Path) -> Path:
    """The config.json that a path stands for: itself, or the one in that folder."""
    with suppress(OSError):  # no such name can be: the reader says so
        if path.is_dir():
            return path / "config.json"
    return path


def _parse(content: bytes) -> dict[str, object]:
    """The table of entries in a file's bytes. Raises ValueError, RecursionError."""
    parsed = json.loads(
        content.decode("utf-8-sig"),
        object_pairs_hook=_table,
        parse_int=_whole,
        parse_constant=_constant,
    )
    _check_depth(parsed)
    if isinstance(parsed, dict):
        return parsed
    raise ValueError("it holds no table of entries")


def load(path: Path) -> Model:
    """The model that a config.json describes, named after its folder or its file. Raises BadInput."""
    file = file_of(path)
    return from_config(read(file), name_of(file), str(file))


def name_of(path: Path) -> str:
    """A name for the model of a file or folder: the folder's where the file is called config.json.

    Goes by the path alone: what it led to may be gone by now.
    """
    whole = Path(os.path.abspath(path))  # noqa: PTH100 - resolve() follows links, and fails in a loop of them
    if whole.suffix != ".json":
        return whole.name
    return whole.parent.name if whole.name == "config.json" and whole.parent.name else whole.stem


def from_config(config: Mapping[str, object], name: str, source: str) -> Model:
    """The architecture that a config states. `source` says where it was read. Raises BadInput.

    Of a config that wraps a language model, that model. One of an unknown type is read as its nearest kin
    where its keys allow it: an estimate, and the model's note says so.
    """
    where = source or name
    told = _told(config, where)
    dialect = DIALECTS[told.model_type]
    entries = Entries(where, told.config, dialect.defaults, dialect.names)
    if not told.guessed:
        _refuse_damaged(dialect, entries)
    part, remark = _part(dialect, told.config, where)
    model = (
        heads.build(dialect, entries, part) if isinstance(part, heads.Task) else dialect.build(entries, part)
    )
    if parameters(model).total > MOST_PARAMETERS:
        raise BadInput(
            f"{where}: its sizes come to more than 10^16 parameters; check them.", field=dialect.sizes[0]
        )
    notes = [where]
    if entries.assumed:
        notes.append(f"{', '.join(sorted(entries.assumed))}: {DEFAULTS_SOURCE}")
    try:
        stored, unread = _stored(config, model)
    except BadInput as error:
        raise BadInput(f"{where}: {error}", error.field) from error
    if stored is not None or unread:
        notes.append(f"its quantization_config: {stored.label if stored else 'not read'}")
    sentences = [model.note, told.note, remark, unread]
    return replace(
        model,
        name=name,
        model_type=plain(str(config.get("model_type"))) if told.guessed else dialect.model_type,
        eager=dialect.model_type in EAGER,
        scores_fp32=dialect.model_type in SCORES_FP32,
        rotary_fp32=dialect.model_type in ROTARY_FP32,
        checkpoint=stored,
        source="; ".join(notes),
        note=" ".join(sentence for sentence in sentences if sentence),
    )


def _stored(config: Mapping[str, object], model: Model) -> tuple[Checkpoint | None, str]:
    """What the files of a quantized model hold; else None, and a sentence on that. Raises BadInput."""
    table = quantization.table_in(config)
    if table is None:
        return None, ""
    stored = quantization.checkpoint_of(model, table)
    if stored is not None:
        return stored, ""
    return None, (
        "The model's file has a quantization_config, which this version does not read (quant_method is "
        f"{quantization.method_of(table)}): its weights count as {model.dtype.upper()} unless another format "
        "is stated."
    )


def model_types() -> tuple[str, ...]:
    """The architectures that can be read, by the name that a config.json gives them."""
    return tuple(DIALECTS)


@dataclass(frozen=True, slots=True)
class _Told:
    """The config of the language model that a file tells of."""

    model_type: str
    config: Mapping[str, object]
    note: str
    guessed: bool = False  # its own type is not known: these are the entries of the nearest kin


def _told(config: Mapping[str, object], where: str) -> _Told:
    """The language model of a file: itself, the one that it wraps, or the nearest kin. Raises BadInput."""
    inner = text_part(config)
    table, note = (config, "") if inner is None else (inner.config, inner.note)
    model_type = table.get("model_type")
    if model_type == "deepseek_v2" and table.get("use_mla") is False:
        model_type = "deepseek"  # DeepSeek-VL2 Tiny and DeepSeek-OCR: without the latent
    if isinstance(model_type, str) and model_type in DIALECTS:
        return _Told(model_type, table, note)
    if model_type is not None and not isinstance(model_type, str):
        message = f"{where}: model_type is {shown(model_type)}; it must be a text, such as llama."
        raise BadInput(message, field="model_type")
    named_class = _by_class(table, where) if model_type is not None else None
    if named_class is not None:
        read_as = (
            f"Its type {shown(model_type)} is not known: it is read as {named_class}, whose class it names."
        )
        return _Told(named_class, table, f"{read_as} {note}".strip())
    if model_type is not None and no_language(model_type):
        message = f"{where}: model_type {shown(model_type)} is no language model; only those are read."
        raise BadInput(message, field="model_type")
    kin = recognised(table)
    if kin is None:
        raise BadInput(f"{where}: {_unknown(model_type, table)}", field="model_type")
    near = str(kin["model_type"])
    named = "it names no model_type" if model_type is None else f"its type {shown(model_type)} is not known"
    guess = f"An estimate: {named}, so it is read as one of type {near}; open its weights for exact figures."
    return _Told(near, kin, f"{guess} {note or left_out(config)}".strip(), guessed=True)


def _class_named(config: Mapping[str, object], where: str) -> str | None:
    """The class that the file names, the first where it names several. Raises BadInput."""
    names = config.get("architectures")
    if names is None or names == []:
        return None
    if isinstance(names, list) and isinstance(names[0], str):
        return names[0]
    raise BadInput(
        f"{where}: architectures is {shown(names)}; it must be a list of class names, or be taken out.",
        field="architectures",
    )


def _by_class(config: Mapping[str, object], where: str) -> str | None:
    """The type whose language model the file names as its class, where it states all of that type's sizes.

    Raises BadInput.
    """
    named = _class_named(config, where)
    if named is None:
        return None
    for dialect in DIALECTS.values():
        if dialect.classes.get(named) is Part.LANGUAGE_MODEL:
            entries = Entries("", config, dialect.defaults, dialect.names)
            return dialect.model_type if all(map(entries.stated, dialect.sizes)) else None
    return None


def _unknown(model_type: str | None, config: Mapping[str, object]) -> str:
    """What is wrong with a file of which nothing can be made, and what to do."""
    if model_type is None:
        other = what_it_is(config)
        return (
            "model_type is missing; add it, it names the architecture."
            if other is None
            else f"this is not a config.json: {other}."
        )
    near = get_close_matches(model_type, DIALECTS, n=3, cutoff=0.6)
    hint = f" Near it: {', '.join(near)}." if near else ""
    return (
        f"model_type {shown(model_type)} is not one of the {len(DIALECTS)} that are known, and the file "
        f"lacks the sizes of a decoder; open the model's weights, a safetensors or GGUF file.{hint}"
    )


def _part(dialect: Dialect, config: Mapping[str, object], where: str) -> tuple[Part | heads.Task, str]:
    """What the class that the file names builds, and a remark; the language model where it names none."""
    usual = next(iter(dialect.classes.values()))
    named = _class_named(config, where)
    if named is None:
        return usual, ""
    if named in dialect.classes:
        return dialect.classes[named], ""
    task = heads.task_of(dialect.model_type, named)
    if task is not None:
        return task, ""
    if named.endswith(WITH_HEAD):
        return usual, f"Its class {shown(named)} is not known: the language model of its type counts."
    if named.endswith(WITHOUT_HEAD):
        return (
            Part.BODY,
            f"Its class {shown(named)} is not known: its type counts, without an output head.",
        )
    known = ", ".join(dialect.classes)
    message = (
        f"{where}: architectures names {shown(named)}, which is not supported yet; known are {known}. "
        "Without the entry, the language model counts."
    )
    raise BadInput(message, field="architectures")


def _refuse_damaged(dialect: Dialect, entries: Entries) -> None:
    """Refuses a file that states most of its family's sizes, but not all. Raises BadInput.

    Transformers writes every size of a model, so a file with at least half of them lost the others. One
    with fewer was shortened to what differs from its class, and takes the class's defaults.
    """
    missing = [name for name in dialect.sizes if not entries.stated(name)]
    if missing and len(missing) <= len(dialect.sizes) / 2:
        raise entries.refuse(
            missing[0],
            "is missing, though most sizes are there; add it, or take the file of the model's own page",
        )


def _table(pairs: list[tuple[str, object]]) -> dict[str, object]:
    table = dict(pairs)
    if len(table) < len(pairs):
        (twice, _), *_ = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f'the entry "{twice[:40]}" stands twice')
    return table


def _whole(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"it has a number of {len(digits):,} digits")
    return int(digits)


def _constant(text: str) -> float:
    """What is no JSON: Mamba-2's published files hold an Infinity, for the longest step."""
    if text == "NaN":
        raise ValueError("NaN is not a number that JSON allows")
    return float(text)


def _check_depth(value: object) -> None:
    level = [value]
    for _ in range(MOST_DEPTH):
        level = [
            inner
            for item in level
            for inner in (item.values() if isinstance(item, dict) else item if isinstance(item, list) else ())
        ]
        if not level:
            return
    raise ValueError(f"it is nested more than {MOST_DEPTH} levels deep")
