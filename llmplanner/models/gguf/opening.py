"""From the header of a GGUF file to its model: the entries of a config.json that say the same, built as such.

An architecture that no family describes is built from its own tensors (families/by_tensors.py). The bytes
are always those of the file; where its tensors hold more or fewer weights than that, a note says so.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from llmplanner.core.checkpoint import Checkpoint, StoredTensor, checkpoint
from llmplanner.core.errors import BadInput
from llmplanner.core.model import Model
from llmplanner.core.tensors import parameters
from llmplanner.models.config import from_config, model_types
from llmplanner.models.families import DIALECTS
from llmplanner.models.gguf.architectures import COMMON, TRANSLATIONS, Translation
from llmplanner.models.gguf.facts import Facts, Source, facts
from llmplanner.models.gguf.reader import Header, read
from llmplanner.models.gguf.tensors import table_of_tensors
from llmplanner.models.gguf.types import FILE_TYPES

FLOATS = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}
OTHER_KINDS = {
    "adapter": "is a LoRA adapter, which has no model of its own; open the model's file",
    "mmproj": "is the vision part of a model; open the language model's file, which lies beside it",
    "imatrix": "holds statistics for quantization, no model; open the model's file",
}
Built = tuple[Model, dict[str, object]]
SPLIT = re.compile(r"-\d{5}-of-\d{5}$")
_LONGEST_NAME = 80
_SHARE = 0.9  # of the weights, that the formats named in a label have together
_NAMED_FORMATS = 3
_LITTLE = 1e-4
_ALIKE = 0.03  # as little as a class and its file differ by: biases of routers, a pooler


def load(path: Path) -> tuple[Model, dict[str, object], tuple[StoredTensor, ...]]:
    """The model of a file or a split set, its config table, and its tensors. Raises BadInput."""
    header = read(path)
    model, config = opened(header, _name(path, header), str(path))
    return model, config, header.tensors


def _name(path: Path, header: Header) -> str:
    """The file's, which tells the quantization too; the model's own where the file is called by its hash."""
    stated = header.metadata.get("general.name")
    if path.suffix.lower() == ".gguf":
        return SPLIT.sub("", path.name[: -len(".gguf")])
    if isinstance(stated, str) and stated.isprintable() and 0 < len(stated) <= _LONGEST_NAME:
        return stated
    return path.name


def opened(header: Header, name: str, where: str) -> Built:
    """The model of a header, and the table from which models.config builds the same. Raises BadInput."""
    stated = _facts(header, where)
    model, config = _architecture(stated, name, where)
    stored = checkpoint(label(header), header.tensors, f"header of {where}")
    return replace(model, checkpoint=stored, note=_note(model, header, stored)), config | _stated(header)


def _stated(header: Header) -> dict[str, object]:
    """What the file says of itself in words, under the names that a config.json or a model card gives it."""
    names = {
        "license": "general.license",
        "license_link": "general.license.link",
        "_name_or_path": "general.name",
    }
    words = {entry: header.metadata.get(key) for entry, key in names.items()}
    return {entry: text for entry, text in words.items() if isinstance(text, str) and text}


def label(header: Header) -> str:
    """What its file type is called, where most weights have it: custom mixes keep a wrong one."""
    weights: Counter[str] = Counter()
    for tensor in header.tensors:
        weights[tensor.format] += tensor.elements
    if not weights:
        return "none"
    number = header.metadata.get("general.file_type")
    named = FILE_TYPES.get(number) if isinstance(number, int) else None
    (largest, _), *_ = weights.most_common(1)
    if named is not None and largest in named.types:
        return named.name
    return _mix(weights)


def _mix(weights: Counter[str]) -> str:
    """The formats that nine tenths of the weights have, largest first."""
    names, sum_ = [], 0
    for name, count in weights.most_common(_NAMED_FORMATS):
        names.append(name)
        sum_ += count
        if sum_ >= _SHARE * weights.total():
            break
    return names[0] if len(names) == 1 else f"mix of {', '.join(names)}"


def _facts(header: Header, where: str) -> Facts:
    """What the file says, once it is known to hold a model. Raises BadInput."""
    kind = header.metadata.get("general.type")
    if isinstance(kind, str) and kind in OTHER_KINDS:
        raise BadInput(f"{where} {OTHER_KINDS[kind]}.", "model")
    architecture = header.metadata.get("general.architecture")
    if not isinstance(architecture, str) or not architecture.isprintable():
        raise BadInput(
            f"{where} does not name its architecture (general.architecture); take the model from another "
            "source, or convert it again.",
            "model",
        )
    if architecture == "clip":
        raise BadInput(f"{where} {OTHER_KINDS['mmproj']}.", "model")
    if not header.tensors:
        raise BadInput(f"{where} holds a vocabulary and no weights; open the model's own file.", "model")
    for size in ("block_count", "embedding_length"):
        if f"{architecture}.{size}" not in header.metadata:
            raise BadInput(
                f"{where} does not state {architecture}.{size}, without which no model of it can be built; "
                "download it again.",
                "model",
            )
    return facts(header, architecture)


def _architecture(stated: Facts, name: str, where: str) -> Built:
    """The model by its family; by its tensors where no family takes what the file says. Raises BadInput."""
    family = _by_family(stated, name, where)
    if family is not None and abs(parameters(family[0]).total / max(stated.elements, 1) - 1) < _ALIKE:
        return family
    try:
        config = table_of_tensors(stated, where)
        return from_config(config, name, where), config
    except BadInput:
        if family is None:
            raise
        return family  # an encoder-decoder's tensors are in no one row of layers


def _by_family(stated: Facts, name: str, where: str) -> Built | None:
    """None where there is no family, or its layers are alike and the file's are not."""
    translation = TRANSLATIONS.get(stated.architecture)
    if translation is None or translation.named(stated) not in model_types():
        return None
    config = config_table(stated, translation)
    try:
        return from_config(config, name, where), config
    except BadInput:
        return None


def config_table(stated: Facts, translation: Translation) -> dict[str, object]:
    """The entries of a config.json, under the names of the model_type's class."""
    model_type = translation.named(stated)
    own = DIALECTS[model_type].names
    table: dict[str, object] = {"model_type": model_type, "torch_dtype": _dtype(stated.tensors.values())}
    if translation.body:
        table["architectures"] = [translation.body]
    for entry, source in {**COMMON, **translation.entries}.items():
        value = _value(stated, source)
        if value is not None or entry in translation.entries:
            table[own.get(entry, (entry,))[0]] = value
    return table


def _value(stated: Facts, source: Source | None) -> object:
    if source is None:
        return None
    return stated.key(source) if isinstance(source, str) else source(stated)


def _dtype(tensors: Iterable[StoredTensor]) -> str | None:
    """The format of a file that is not quantized; None for the others."""
    sums: Counter[str] = Counter()
    for tensor in tensors:
        sums[tensor.format] += tensor.bytes
    return FLOATS.get(sums.most_common(1)[0][0])


def _note(model: Model, header: Header, stored: Checkpoint) -> str:
    """What the file holds beside its architecture, and how much of it is there."""
    notes = []
    if header.absent:
        notes.append(
            f"The download was interrupted: {100 * header.complete:.3g} % of the file's "
            f"{header.bytes:,} bytes are here."
        )
    derived = parameters(model).total
    difference = stored.elements - derived
    if difference:
        word = "more" if difference > 0 else "fewer"
        notes.append(
            f"The file's tensors hold {abs(difference):,} weights {word} than the architecture that its keys "
            f"state ({_percent(abs(difference) / derived)}); its bytes are those of the tensors."
        )
    if model.note:
        notes.append(model.note)
    return " ".join(notes)


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share > _LITTLE else "under 0.01 %"
