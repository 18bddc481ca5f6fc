"""The index of a checkpoint in several files, and the files that it names: beside it, and nowhere else."""

import json
import os.path
import re
from collections.abc import Mapping
from pathlib import Path

import msgspec

from llmplanner.core.errors import BadInput
from llmplanner.models.checkpoints.safetensors import refuse_repeated
from llmplanner.models.entries import shown
from llmplanner.resources import is_there, read_file

MOST_INDEX = 100_000_000  # bytes; of half a million tensors it has 60 million
MOST_SHARDS = 10_000
SUFFIX = ".index.json"
WEIGHTS = (".safetensors", ".bin", ".pt", ".pth")
DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)  # on Windows, wherever it lies
NUMBERED = re.compile(r"(?P<stem>.+)-\d{5}-of-(?P<count>\d{5})(?P<suffix>\.\w+)")


class _Index(msgspec.Struct):
    weight_map: msgspec.Raw
    metadata: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)


_index = msgspec.json.Decoder(_Index)
_weight_map = msgspec.json.Decoder(dict[str, str])


def read_index(path: Path) -> dict[str, str]:
    """The file of each tensor. Raises BadInput."""
    content = read_file(
        path, MOST_INDEX, remedy="; give the path of an index or of its folder", field="model"
    )
    try:
        content.decode()
        index = _index.decode(content)
        files = _weight_map.decode(index.weight_map)
        _check_repeats(content, index, len(files))
    except RecursionError as error:
        raise BadInput(f"{path} is no index of a model: it is nested without end.", "model") from error
    except ValueError as error:
        problem = "it is not text in UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
        raise BadInput(
            f"{path} is no index of a model ({shown(problem)[1:-1]}); download it again.", "model"
        ) from error
    return files


def _check_repeats(content: bytes, index: _Index, tensors: int) -> None:
    """Refuses an index in which a name stands twice: the decoder kept the last. Raises ValueError.

    Each tensor has a name and a file in quotes. An index with no more quotes than that hides nothing.
    """
    rest = bytes(index.metadata)
    named = 2 + 2 * bool(rest)
    if content.count(b'"') != 4 * tensors + named + rest.count(b'"'):
        json.loads(content, object_pairs_hook=refuse_repeated)


def shards(index: Path, weight_map: Mapping[str, str]) -> tuple[Path, ...]:
    """The files that an index names, in their order. Raises BadInput where one is not there or elsewhere."""
    names = sorted(set(weight_map.values()))
    if not names:
        raise BadInput(f"{index} names no file; download it again.", "model")
    if len(names) > MOST_SHARDS:
        raise BadInput(f"{index} names {len(names):,} files, which no model has; download it again.", "model")
    for name in names:
        _refuse_elsewhere(index, name)
    return _all_there(index, [index.parent / name for name in names])


def numbered(path: Path) -> tuple[Path, ...]:
    """The set of files that one belongs to by its name, a-00001-of-00003, say; else that file alone.

    Raises BadInput where one of the set is not there.
    """
    match = NUMBERED.fullmatch(path.name)
    if match is None or not 1 < int(match["count"]) <= MOST_SHARDS:
        return (path,)
    stem, count, suffix = match["stem"], match["count"], match["suffix"]
    names = [f"{stem}-{number + 1:05}-of-{count}{suffix}" for number in range(int(count))]
    return _all_there(path, [path.parent / name for name in names])


def _all_there(path: Path, files: list[Path]) -> tuple[Path, ...]:
    missing = [file.name for file in files if not is_there(file)]
    if missing:
        is_are = "is" if len(missing) == 1 else "are"
        raise BadInput(
            f"Of the {len(files):,} files that {path} stands for, {len(missing):,} {is_are} not there, first "
            f"{shown(missing[0])}; download the rest.",
            "model",
        )
    _refuse_led_away(path, files)
    return tuple(files)


def _refuse_elsewhere(index: Path, name: str) -> None:
    """Refuses what is more than the name of a file beside the index."""
    steers = set(name) & set('/\\:*?"<>|') or not name.isprintable() or name.strip(" .") != name
    if steers or not name or len(name) > 255 or DEVICE.fullmatch(name):  # noqa: PLR2004 - what file systems take
        raise BadInput(
            f"{index} names {shown(name)}, which is not the name of a file beside it; do not use it.", "model"
        )
    if not name.lower().endswith(WEIGHTS):
        raise BadInput(f"{index} names {shown(name)}, which is no file of weights; do not use it.", "model")


def _refuse_led_away(path: Path, files: list[Path]) -> None:
    """Refuses links out of the model's folder, and two to one file. A hub's cache links within its own."""
    folder = Path(os.path.realpath(path.parent))
    root = folder.parent.parent if folder.parent.name == "snapshots" else folder
    seen: set[str] = set()
    for file in files:
        real = os.path.realpath(file)
        if not Path(real).is_relative_to(root):
            raise BadInput(f"{file} is a link out of its folder; put the file itself there.", "model")
        if real in seen:
            raise BadInput(f"{file} is the same file as another of the set; download it again.", "model")
        seen.add(real)
