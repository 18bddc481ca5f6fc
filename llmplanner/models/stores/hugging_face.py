"""The Hugging Face cache: models--owner--name/{refs,snapshots/<commit>,blobs}.

Transformers, vLLM, SGLang and llama.cpp keep their downloads in it. Layout: huggingface_hub 2.4.0. Files of a
snapshot are links into `blobs`; where links need a right that the user lacks (Windows), they are the files.
"""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

from llmplanner.core.errors import BadInput
from llmplanner.models.stores.found import Found, files_of, models_of
from llmplanner.resources import read_file

PREFIX = "models--"
COMMIT = re.compile(r"[0-9a-f]{40}")
MOST_REF = 100  # bytes of a file in refs: a commit
MOST_DEPTH = 2  # folders inside a snapshot: some repositories keep a folder for each quantization


def find(folder: Path) -> Iterator[Found | str]:
    """The models of the cache. Raises OSError where it cannot be read."""
    yield from find_for("Hugging Face cache")(folder)


def find_for(where: str) -> Callable[[Path], Iterator[Found | str]]:
    """The finder of a cache in this layout that belongs to some other program."""

    def walk(folder: Path) -> Iterator[Found | str]:
        with os.scandir(folder) as entries:
            repositories = sorted(entry.name for entry in entries if entry.name.startswith(PREFIX))
        for name in repositories:
            yield from _repository(folder / name, where)

    return walk


def _repository(folder: Path, where: str) -> Iterator[Found | str]:
    name = folder.name.removeprefix(PREFIX).replace("--", "/", 1)
    try:
        snapshot = _snapshot(folder)
        if snapshot is not None:
            yield from _models(snapshot, folder, name, where, MOST_DEPTH)
    except OSError as error:
        yield f"{where}: {folder} cannot be read ({error.strerror}); it is left out."


def _models(folder: Path, repository: Path, name: str, where: str, depth: int) -> Iterator[Found]:
    files = files_of(folder, repository)
    yield from models_of(files, folder, name, where)
    for inner in files.folders if depth else ():
        yield from _models(inner, repository, f"{name}/{inner.name}", where, depth - 1)


def _snapshot(folder: Path) -> Path | None:
    """The snapshot that `main` names, else the newest one."""
    try:
        with os.scandir(folder / "snapshots") as entries:
            snapshots = {entry.name: entry.stat().st_mtime for entry in entries if entry.is_dir()}
    except FileNotFoundError:
        return None
    if not snapshots:
        return None
    main = _main(folder / "refs" / "main")
    chosen = main if main in snapshots else max(snapshots, key=lambda name: snapshots[name])
    return folder / "snapshots" / chosen


def _main(reference: Path) -> str:
    """The commit in a file of `refs`; empty where there is none."""
    try:
        text = read_file(reference, MOST_REF).decode("ascii", "replace").strip()
    except BadInput:
        return ""
    return text if COMMIT.fullmatch(text) else ""
