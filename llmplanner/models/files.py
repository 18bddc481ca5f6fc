"""Opens a model by its path, whatever is there: a config.json, a folder, safetensors, GGUF, PyTorch."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from llmplanner.core.checkpoint import Amount, Checkpoint, StoredTensor, checkpoint
from llmplanner.core.errors import BadInput
from llmplanner.core.formats import format_named
from llmplanner.core.model import Model
from llmplanner.core.quantities import gib_text
from llmplanner.core.tensors import parameters
from llmplanner.models import config as configs
from llmplanner.models.checkpoints import by_names, pytorch, safetensors, shards
from llmplanner.models.checkpoints.outside import told_outside, without_guesses
from llmplanner.models.checkpoints.safetensors import Header
from llmplanner.models.entries import shown
from llmplanner.models.gguf import opening as gguf_models
from llmplanner.models.quantized import quantization
from llmplanner.resources import is_there, open_file

CONFIG = "config.json"
SAFETENSORS = "model.safetensors"
PYTORCH = "pytorch_model.bin"
SUFFIXES = frozenset({".json", ".safetensors", ".gguf", ".bin", ".pt", ".pth"})
PICKLES = frozenset({".bin", ".pt", ".pth"})
FLOATS = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}
MATRICES = ("weight", "qweight", "weight_packed")  # what a linear's matrix is called, packed or not
Config = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Opened:
    """A model from a path. From `config` models.config builds the same architecture, without its bytes.

    `tensors` is the file's own table, empty where a config.json was all there is.
    """

    model: Model
    config: Config
    tensors: tuple[StoredTensor, ...] = ()


class UndescribedError(BadInput):
    """A file of weights whose architecture nothing tells. What it holds is known all the same."""

    def __init__(self, message: str, held: Checkpoint, tensors: tuple[StoredTensor, ...] = ()) -> None:
        super().__init__(message, "model")
        self.held = held
        self.tensors = tensors


def open_path(path: Path) -> Opened:
    """The model that a path stands for. Raises BadInput."""
    if _is_folder(path):
        path = _main_file(_snapshot(path))
    suffix = path.suffix.lower()
    if path.name.lower().endswith(shards.SUFFIX):
        return _index(path)
    if suffix == ".json":
        config = configs.read(path)
        return Opened(configs.from_config(config, name_of(path), str(path)), config)
    if suffix == ".safetensors":
        return _safetensors(path)
    if suffix in PICKLES:
        return _pickles(path, shards.numbered(path))
    if suffix == ".gguf" or _begins_as_gguf(path):
        return Opened(*gguf_models.load(path))
    raise BadInput(
        f"{path} is no model that is known; give the path of a config.json, a .safetensors, .gguf or .bin "
        "file, or of the folder that holds one.",
        "model",
    )


def name_of(path: Path) -> str:
    """What the model of a path is called: in a hub's cache, by its repository."""
    for folder in path.parents:
        if folder.name.startswith("models--") and path.name != folder.name:
            return folder.name.rpartition("--")[2]
    alone = path.name not in {CONFIG, SAFETENSORS, PYTORCH} and "-of-" not in path.name
    if not alone or path.name.endswith(shards.SUFFIX):
        path = path.parent / CONFIG
    weights = path.suffix.lower() in SUFFIXES - {".json"}
    return path.stem if weights else configs.name_of(path)


def _is_folder(path: Path) -> bool:
    with suppress(OSError, ValueError):
        return path.is_dir()
    return False


def _snapshot(folder: Path) -> Path:
    """The newest snapshot of a repository in a hub's cache; any other folder is itself."""
    if not folder.name.startswith("models--"):
        return folder
    try:
        taken = [
            (entry.stat().st_mtime, entry) for entry in (folder / "snapshots").iterdir() if entry.is_dir()
        ]
    except OSError:
        return folder
    return max(taken, default=(0.0, folder))[1]


def _main_file(folder: Path) -> Path:
    """The file of a folder that says most of its model; no variant such as model.fp16.safetensors."""
    fixed = (SAFETENSORS, SAFETENSORS + shards.SUFFIX, PYTORCH, PYTORCH + shards.SUFFIX)
    for name in fixed[:2]:
        if is_there(folder / name):
            return folder / name
    try:
        files = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise BadInput(f"{folder} cannot be read: {error.strerror}.", "model") from error
    for suffix in (".safetensors", ".gguf"):
        weights = [file for file in files if file.name.endswith(suffix) and "mmproj" not in file.name]
        whole = [file for file in weights if "." not in file.name.removesuffix(suffix)] or weights
        if len(whole) == 1 or (whole and "-of-" in whole[0].name):
            return whole[0]
        if whole and not (folder / CONFIG).is_file():
            first = ", ".join(shown(file.name) for file in whole[:3])
            raise BadInput(
                f"{folder} holds {len(whole):,} {suffix} files, {first}{', ...' if whole[3:] else ''}; "
                "give the path of one.",
                "model",
            )
    return next((folder / name for name in fixed[2:] if is_there(folder / name)), folder / CONFIG)


def _begins_as_gguf(path: Path) -> bool:
    with open_file(path, remedy="; give the path of a model's file or folder", field="model") as file:
        try:
            return file.read(4) == b"GGUF"
        except OSError as error:
            raise BadInput(f"{path} cannot be read: {error.strerror}.", "model") from error


def _config_beside(path: Path) -> Config | None:
    file = path.parent / CONFIG
    return configs.read(file) if is_there(file) else None


# Safetensors


def _safetensors(path: Path) -> Opened:
    """One file, or the set that it is one of."""
    index = path.parent / (SAFETENSORS + shards.SUFFIX)
    if "-of-" in path.name and is_there(index) and path.name in shards.read_index(index).values():
        return _index(index)
    return _joined(path, shards.numbered(path), {})


def _index(path: Path) -> Opened:
    where = shards.read_index(path)
    files = shards.shards(path, where)
    return _pickles(path, files) if files[0].suffix.lower() in PICKLES else _joined(path, files, where)


def _joined(path: Path, files: tuple[Path, ...], where: dict[str, str]) -> Opened:
    """The model in these files. `where` says which tensor is in which, and is emptied."""
    config = _config_beside(path)
    parts = []
    for file in files:
        part = safetensors.read_part(file)
        for name in part.names:
            if where.get(name) == file.name:
                del where[name]
        parts.append(part)
    if where:
        lost, file_name = next(iter(where.items()))
        raise BadInput(
            f"{path} lists {len(where):,} tensors that are not in the file it names, first {shown(lost)} "
            f"of {shown(file_name)}; download the set again.",
            "model",
        )
    header = safetensors.join(parts, packed_bits(config))
    if len(parts) > 1 and len({tensor.name for tensor in header.tensors}) < len(header.tensors):
        raise BadInput(f"{path}: two files of its set hold a tensor of one name; download it again.", "model")
    return opened(header, config, name_of(path), str(path))


def packed_bits(config: Config | None) -> int | None:
    """Bits of a packed weight, where the config says how its checkpoint is quantized."""
    with suppress(BadInput):  # the reading of the config will say so
        return None if config is None else quantization.bits_of(quantization.table_in(config))
    return None


def opened(header: Header, config: Config | None, name: str, where: str) -> Opened:
    """The model of a header and of the config.json beside it. Raises BadInput.

    What the header knows better is taken from it: whether the head is tied, the weights' type, the bytes.
    Where no config can be used, names and shapes tell the architecture, if they are those of Llama's form.
    """
    held = checkpoint(_label(header, config), header.tensors, f"header of {where}")
    why = "No config.json lies beside the file"
    refusal: BadInput = _undescribed(header, held, where)
    if config is not None:
        try:
            return _noted(header, held, _corrected(config, header, name, where), name, where)[0]
        except BadInput as error:
            why = "The config.json beside the file cannot be used"
            there = f"The files hold {held.elements:,} parameters in {gib_text(held.bytes)}."
            refusal = UndescribedError(f"{error} {there}", held, header.tensors)
            refusal.__cause__ = error
    derived = by_names.config_of(header.tensors)
    if derived is None:
        raise refusal
    try:
        found, outside = _noted(header, held, _corrected(derived, header, name, where), name, where)
    except BadInput as error:
        raise refusal from error
    if outside:
        raise refusal
    assumed = (
        f"{why}: the architecture follows from the names and shapes of its tensors, with heads of a usual "
        "size, on which the key/value cache does not depend."
    )
    return replace(found, model=replace(found.model, note=f"{assumed} {found.model.note}".strip()))


def _noted(header: Header, held: Checkpoint, config: Config, name: str, where: str) -> tuple[Opened, str]:
    """The config's model with the files' bytes and what there is to say of them; what is outside of it."""
    model = configs.from_config(config, name, where)
    outside = told_outside(model, header.tensors, held.elements)
    note = " ".join(filter(None, (_told_absent(header), outside, without_guesses(model.note))))
    return Opened(replace(model, checkpoint=held, note=note), config, header.tensors), outside


def _undescribed(header: Header, held: Checkpoint, where: str) -> UndescribedError:
    if any(".lora_A." in tensor.name for tensor in header.tensors):
        told = "is a LoRA adapter, which has no model of its own; open the model that it was trained on"
    else:
        told = "does not say its architecture; put the config.json of the model's page beside it"
    message = f"{where} holds {held.elements:,} parameters in {gib_text(held.bytes)} and {told}."
    message = f"{message} {_told_absent(header)}".strip()
    return UndescribedError(message, held, header.tensors)


def _label(header: Header, config: Config | None) -> str:
    """What the weights are stored as, in a few words."""
    with suppress(BadInput):  # the reading of the config will say so
        table = None if config is None else quantization.table_in(config)
        named = None if table is None else quantization.label_of(table)
        if named is not None:
            return named
    sums: dict[str, int] = {}
    for tensor in header.tensors:
        sums[tensor.format] = sums.get(tensor.format, 0) + tensor.bytes
    return max(sums, key=lambda one: sums[one]) if sums else "none"


def _told_absent(header: Header) -> str:
    if not header.absent:
        return ""
    present = 100 * (header.bytes - header.absent) / header.bytes
    return f"The download is not complete: {present:.0f} % of {gib_text(header.bytes)} is there."


def _corrected(config: Config, header: Header, name: str, where: str) -> Config:
    """The config with what the header says otherwise: tied or not, and the type of the weights."""
    model = configs.from_config(config, name, where)
    entries: dict[str, object] = {}
    dtype = _float_of(header)
    if dtype is not None and format_named(dtype).key != model.dtype:
        entries["dtype"] = dtype
    head = model.head.linear
    if head is not None:
        ends = tuple(f"{head.name}.{weight}" for weight in MATRICES)
        own = any(tensor.name.endswith(ends) for tensor in header.tensors)
        if own == model.head.tied:
            entries["tie_word_embeddings"] = not own
    return _with(config, entries) if entries else config


def _with(config: Config, entries: Config) -> Config:
    """The entries at the top, and in the text part where the file has one."""
    text = config.get("text_config")
    inner = {"text_config": {**text, **entries}} if isinstance(text, Mapping) else {}
    return {**config, **inner, **entries}


def _float_of(header: Header) -> str | None:
    """The floating type of most parameters that are not packed."""
    sums = dict.fromkeys(FLOATS, 0)
    for tensor in header.tensors:
        if tensor.format in sums:
            sums[tensor.format] += tensor.elements
    most = max(sums, key=lambda one: sums[one])
    return FLOATS[most] if sums[most] else None


# PyTorch


def _pickles(path: Path, files: tuple[Path, ...]) -> Opened:
    """A model of which the config.json tells the architecture, and the files the bytes alone."""
    found = [pytorch.read(file) for file in files]
    count, total = sum(one.count for one in found), sum(one.bytes for one in found)
    config = _config_beside(path)
    if config is None:
        held = Checkpoint("PyTorch", (Amount("storage", count, 0, total),), f"directory of {path}")
        message = (
            f"{path} holds {gib_text(total)} of weights in {count:,} storages; their names and shapes are a "
            "pickle, which is never run. Put the config.json of the model's page beside it."
        )
        raise UndescribedError(message, held)
    model = configs.from_config(config, name_of(path), str(path))
    elements = parameters(model).total
    if 8 * total < elements:
        raise BadInput(
            f"{path} holds {gib_text(total)} of weights, less than one bit for each of the {elements:,} "
            "parameters of the config.json beside it; they do not belong together.",
            "model",
        )
    per = round(total / elements)
    dtype = {4: "float32", 2: "bfloat16" if model.dtype == "bf16" else "float16"}.get(per)
    if dtype is not None and format_named(dtype).key != model.dtype:
        config = _with(config, {"dtype": dtype})
        model = configs.from_config(config, name_of(path), str(path))
    held = Checkpoint("PyTorch", (Amount("storage", count, elements, total),), f"directory of {path}")
    note = (
        "The bytes are those of the PyTorch file; its pickle was not run, so its parameters are the config's."
    )
    return Opened(replace(model, checkpoint=held, note=f"{note} {model.note}".strip()), config)
