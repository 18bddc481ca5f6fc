"""A model found in a store, and the files of one folder told apart."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

SHARD = re.compile(r"(?P<stem>.{1,200})-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf", re.IGNORECASE)
INDEX = "model.safetensors.index.json"
PROJECTOR = "mmproj"  # llama.cpp's vision encoders, which lie beside the model that they belong to


@dataclass(frozen=True, slots=True)
class Found:
    """A model on this computer."""

    name: str
    where: str
    path: Path  # the file or the folder to open
    format: str  # "GGUF", "safetensors", "PyTorch"
    bytes: int  # of its weights as they lie there
    config: Path | None = None  # its config.json, which tells the architecture without a header
    note: str = ""


@dataclass(frozen=True, slots=True)
class Listing:
    """What was found, and a sentence on each thing that could not be looked at."""

    models: tuple[Found, ...]
    problems: tuple[str, ...] = ()


@dataclass(slots=True)
class Files:
    """The files of one folder that belong to models, by kind, with their sizes."""

    gguf: dict[Path, int] = field(default_factory=dict)
    safetensors: dict[Path, int] = field(default_factory=dict)
    torch: dict[Path, int] = field(default_factory=dict)
    config: Path | None = None
    index: bool = False
    lost: list[str] = field(default_factory=list)  # links that lead nowhere, or out of the store
    folders: list[Path] = field(default_factory=list)


def files_of(folder: Path, inside: Path) -> Files:
    """The files of a folder. A link counts where it stays inside the folder `inside`. Raises OSError."""
    found = Files()
    root = os.path.realpath(inside)
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda one: one.name):
            _sort(entry, root, found)
    return found


def _sort(entry: "os.DirEntry[str]", root: str, found: Files) -> None:
    suffix = os.path.splitext(entry.name)[1].lower()  # noqa: PTH122 - a Path for each of many files takes longer
    known = suffix in {".gguf", ".safetensors", ".bin", ".pt", ".pth"} or entry.name in {"config.json", INDEX}
    if not known:
        if entry.is_dir(follow_symlinks=False):
            found.folders.append(Path(entry.path))
        return
    try:
        outside = entry.is_symlink() and not _within(os.path.realpath(entry.path), root)
        if outside or not entry.is_file():
            found.lost.append(entry.name)
            return
        size = entry.stat().st_size
    except OSError:
        found.lost.append(entry.name)
        return
    path = Path(entry.path)
    if entry.name == "config.json":
        found.config = path
    elif entry.name == INDEX:
        found.index = True
    elif suffix == ".gguf":
        found.gguf[path] = size
    elif suffix == ".safetensors":
        found.safetensors[path] = size
    elif entry.name.startswith(("pytorch_model", "consolidated", "model")):
        found.torch[path] = size


def _within(path: str, root: str) -> bool:
    return path.startswith(root + os.sep)


def models_of(files: Files, folder: Path, name: str, where: str) -> Iterator[Found]:
    """The models that a folder's files make up: each GGUF or set of shards, and the checkpoint beside.

    `name` is the folder's within its store, empty for the store's own: there a GGUF is called by its file.
    """
    note = f"{len(files.lost)} of its files are missing: {files.lost[0]}" if files.lost else ""
    checkpoint = _checkpoint(files)
    if checkpoint is not None:
        kind, size = checkpoint
        yield Found(name or folder.name, where, folder, kind, size, files.config, note)
    yield from _ggufs(files.gguf, name, where)


def _checkpoint(files: Files) -> tuple[str, int] | None:
    """Format and bytes of a folder's own checkpoint, as Transformers would take it."""
    if files.safetensors:
        single = [size for path, size in files.safetensors.items() if path.name == "model.safetensors"]
        return "safetensors", single[0] if single else sum(files.safetensors.values())
    if files.torch:
        return "PyTorch", sum(files.torch.values())
    return None


def _ggufs(files: dict[Path, int], name: str, where: str) -> Iterator[Found]:
    models = {path: size for path, size in files.items() if not path.name.lower().startswith(PROJECTOR)}
    shards: dict[str, list[Path]] = {}
    for path in models:
        found = SHARD.fullmatch(path.name)
        shards.setdefault(found["stem"] if found else path.stem, []).append(path)
    for stem, paths in shards.items():
        count = SHARD.fullmatch(paths[0].name)
        expected = int(count["count"]) if count else 1
        note = f"{expected - len(paths)} of its {expected} files are missing" if len(paths) < expected else ""
        title = name if len(shards) == 1 and name else f"{name}/{stem}" if name else stem
        yield Found(title, where, paths[0], "GGUF", sum(models[path] for path in paths), None, note)
