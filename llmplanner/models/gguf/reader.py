"""Reads the header of a GGUF file, version 2 or 3, and of a split set: metadata and tensors, never the data.

The layout and the checks are those of ggml-org/llama.cpp, ggml/src/gguf.cpp: what it refuses is refused here.
Beyond it, what a header may hold is bounded, so that no file costs more than its own header. A file that ends
before its data does is an interrupted download: it is read, and says so.
"""

import math
import os
import re
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from llmplanner.core.checkpoint import StoredTensor
from llmplanner.core.errors import BadInput
from llmplanner.models.checkpoints.signatures import ENOUGH, mistaken_for
from llmplanner.models.entries import shown
from llmplanner.models.gguf.cursor import Cursor
from llmplanner.models.gguf.types import REMOVED, TYPES
from llmplanner.resources import is_there, open_file

VERSIONS = (2, 3)
MOST_KEYS = 65_536
MOST_TENSORS = 131_072
MOST_ITEMS = 16_000_000  # of one array of numbers
MOST_STRINGS = 4_000_000  # of all arrays of strings together: four times the largest vocabularies
MOST_NAME = 63  # bytes of a tensor's name
MOST_RANK = 4
MOST_DIMENSION = 2**63 - 1
MOST_ELEMENTS = 2**62
MOST_SIZE = 2**64 - 1
MOST_KEY = 65_535  # bytes of a key, as the format says
KEPT_NUMBERS = 10_000  # of an array: as many as a model has layers
KEPT_STRINGS = 8
ALIGNMENT = "general.alignment"
TABLES = frozenset(
    {"rope_freqs", "rope_factors_long", "rope_factors_short", "attn_rot_embd"}
)  # no parameters
SCALES = frozenset({"scale", "input_scale"})  # of another tensor's weights, as NVFP4 has them
_SPLIT_NAME = re.compile(r"(.+)-(\d{5})-of-(\d{5})\.gguf", re.IGNORECASE)
_LONGEST_SHOWN = 60  # bytes of a name
_NAMED_MISSING = 3  # of a set's missing files

_STRING, _ARRAY, _BOOL = 8, 9, 7
_NUMBERS = {
    kind: struct.Struct(f"<{code}")
    for kind, code in {
        0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"
    }.items()
}  # fmt: skip
_U32 = _NUMBERS[4]
_START = struct.Struct("<4sIQQ")
_INFO = [struct.Struct(f"<{rank}QIQ") for rank in range(MOST_RANK + 1)]  # dimensions, type, offset
_LONGEST_INFO = 8 + MOST_NAME + 4 + _INFO[-1].size
_LEAST_KEY = 8 + 1 + 4 + 1  # bytes: a key of one letter, its type, a value of one byte
_LEAST_TENSOR = 8 + 4 + 4 + 8


@dataclass(frozen=True, slots=True)
class Array:
    """An array of the metadata: its length, and its first values; numbers up to 10,000 are kept."""

    length: int
    first: tuple[str, ...] | tuple[int | float | bool, ...]


Value = int | float | bool | str | Array


@dataclass(frozen=True, slots=True)
class Header:
    """What a file, or a split set, states of itself."""

    version: int
    metadata: Mapping[str, Value]
    tensors: tuple[StoredTensor, ...]
    bytes: int  # of the files as they should be
    absent: int = 0  # bytes of those that are not there: the download was interrupted
    files: int = 1

    @property
    def complete(self) -> float:
        """The share of the files' bytes that is there."""
        return 1.0 if not self.absent else 1 - self.absent / self.bytes


def read(path: Path) -> Header:
    """The header of a file, or of the whole set where its name says that it is split. Raises BadInput."""
    match = _SPLIT_NAME.fullmatch(path.name)
    if match is None or match[3] == "00001":
        header = _read_one(path)
        _refuse_part(path, header)
        return header
    return join(str(path), int(match[3]), (_read_one(one) for one in _files(path, match)))


def read_from(file: BinaryIO, size: int, where: str) -> Header:
    """The header that starts an open file of `size` bytes, of one file alone. Raises BadInput."""
    try:
        _check_start(file.read(ENOUGH))
        file.seek(0)
        return _header(Cursor(file, size))
    except BadInput:  # of a file that is read over the network
        raise
    except ValueError as error:
        raise BadInput(f"{where} {error}.", "model") from error
    except OSError as error:
        raise BadInput(f"{where} cannot be read: {error.strerror}.", "model") from error


def _read_one(path: Path) -> Header:
    with open_file(path, str(path), "; give the path of a .gguf file", "model") as file:
        return read_from(file, os.fstat(file.fileno()).st_size, str(path))


# One file


def _header(cursor: Cursor) -> Header:
    """The header under the cursor. Raises ValueError with the rest of a sentence on the file."""
    _, version, tensors, keys = _START.unpack(cursor.take(_START.size))
    _check_version(version)
    _check_count(cursor, "keys", keys, MOST_KEYS, _LEAST_KEY)
    _check_count(cursor, "tensors", tensors, MOST_TENSORS, _LEAST_TENSOR)
    metadata = _metadata(cursor, keys)
    alignment = _alignment(metadata)
    infos, data = _tensors(cursor, tensors, alignment)
    start = cursor.position + (-cursor.position % alignment if infos else 0)
    if start > cursor.size:
        raise _cut()
    size = max(start + data, cursor.size)
    return Header(version, metadata, infos, size, size - cursor.size)


def _check_start(start: bytes) -> None:
    if not start.startswith(b"GGUF"):
        unknown = "is not a GGUF file: it does not start as one; give the path of a .gguf file"
        raise ValueError(mistaken_for(start) or unknown)


def _check_version(version: int) -> None:
    if version in VERSIONS:
        return
    if version == 1:
        raise ValueError("is a GGUF file of version 1, which no current program reads; take a newer one")
    if version & 0xFFFF == 0 and version:
        raise ValueError(
            "is a GGUF file for big-endian computers; take the one for common (little-endian) ones"
        )
    raise ValueError(
        f"is a GGUF file of version {version:,}; versions 2 and 3 are read, so take one of those"
    )


def _check_count(cursor: Cursor, what: str, count: int, most: int, least: int) -> None:
    """Believes a count only if that many items, of at least so many bytes each, fit in what is left."""
    if count > most:
        raise ValueError(
            f"is damaged: it claims {count:,} {what}, more than the {most:,} read; download it again"
        )
    if count * least > cursor.left:
        raise ValueError(
            f"is cut off or damaged: it claims {count:,} {what}, for which its {cursor.size:,} bytes "
            "have no room; download it again"
        )


def _cut() -> ValueError:
    return ValueError("is cut off inside its header; download it again")


def _damaged(problem: str) -> ValueError:
    return ValueError(f"is damaged: {problem}; download it again")


def _metadata(cursor: Cursor, count: int) -> dict[str, Value]:
    table: dict[str, Value] = {}
    seen: set[bytes] = set()
    for _ in range(count):
        key = cursor.string()
        if not 0 < len(key) <= MOST_KEY:
            raise _damaged(f"a key of its metadata has {len(key) or 'no'} bytes of name")
        if key in seen:
            raise _damaged(f"its key {_plain(key)} stands twice")
        seen.add(key)
        kind = _U32.unpack(cursor.take(4))[0]
        value = _array(cursor, key) if kind == _ARRAY else _value(cursor, kind, key)
        if key == ALIGNMENT.encode() and kind != 4:  # noqa: PLR2004 - u32
            raise _damaged(f"its {ALIGNMENT} is not of the type u32")
        table[_text(key)] = value
    return table


def _value(cursor: Cursor, kind: int, key: bytes) -> int | float | bool | str:
    if kind == _STRING:
        return _text(cursor.string())
    number = _NUMBERS.get(kind)
    if number is None:
        raise _damaged(f"its key {_plain(key)} has the type {kind:,}, which no GGUF file has")
    value: int | float | bool = number.unpack(cursor.take(number.size))[0]
    return value


def _array(cursor: Cursor, key: bytes) -> Array:
    kind = _U32.unpack(cursor.take(4))[0]
    length = cursor.length()
    if kind == _STRING:
        if length > MOST_STRINGS - cursor.strings:
            raise _damaged(f"its key {_plain(key)} claims {length:,} strings")
        if 8 * length > cursor.left:
            raise _cut()
        kept = tuple(_text(cursor.string()) for _ in range(min(length, KEPT_STRINGS)))
        cursor.skip_strings(length - len(kept))
        return Array(length, kept)
    number = _NUMBERS.get(kind)
    if number is None:
        raise _damaged(f"its key {_plain(key)} is an array of the type {kind:,}, which no GGUF file has")
    if length > MOST_ITEMS:
        raise _damaged(f"its key {_plain(key)} claims {length:,} numbers")
    if length * number.size > cursor.left:
        raise _cut()
    count = length if length <= KEPT_NUMBERS else KEPT_STRINGS
    values = struct.unpack(f"<{count}{number.format[1:]}", cursor.take(count * number.size))
    cursor.skip((length - count) * number.size)
    return Array(length, values)


def _alignment(metadata: Mapping[str, Value]) -> int:
    alignment = metadata.get(ALIGNMENT, 32)
    if not isinstance(alignment, int) or alignment <= 0 or alignment & (alignment - 1):
        raise _damaged(f"its {ALIGNMENT}, {alignment}, is not a power of two")
    return alignment


def _tensors(cursor: Cursor, count: int, alignment: int) -> tuple[tuple[StoredTensor, ...], int]:
    """The tensors' entries, and the bytes of all data. Each must start where the one before it ends."""
    tensors: list[StoredTensor] = []
    seen: set[bytes] = set()
    expected = 0
    for _ in range(count):
        window = cursor.peek(_LONGEST_INFO)
        length = int.from_bytes(window[:8], "little")
        if length > MOST_NAME:
            raise _damaged(f"a tensor's name has {length:,} bytes, more than the {MOST_NAME} allowed")
        name, end = window[8 : 8 + length], 8 + length
        rank = int.from_bytes(window[end : end + 4], "little")
        if rank > MOST_RANK:
            raise _damaged(f"its tensor {_plain(name)} has {rank:,} dimensions, more than {MOST_RANK}")
        *dimensions, kind, offset = _INFO[rank].unpack_from(window, end + 4)
        cursor.skip(end + 4 + _INFO[rank].size)
        unique = name.partition(b"\0")[0]  # as C compares names
        if unique in seen:
            raise _damaged(f"its tensor {_plain(name)} stands twice")
        seen.add(unique)
        tensor = _tensor(name, dimensions, kind)
        if offset != expected:
            raise _damaged(f"its tensor {_plain(name)} starts at byte {offset:,}, not at {expected:,}")
        expected += tensor.bytes + -tensor.bytes % alignment
        if expected > MOST_SIZE:
            raise _damaged(f"its tensor {_plain(name)} ends beyond any file")
        tensors.append(tensor)
    return tuple(tensors), expected


def _tensor(name: bytes, dimensions: list[int], kind: int) -> StoredTensor:
    """One entry, checked by itself. `dimensions` has the row's length first."""
    form = TYPES.get(kind)
    if form is None:
        raise ValueError(_unknown_type(name, kind))
    elements = math.prod(dimensions)
    if elements > MOST_ELEMENTS or max(dimensions, default=0) > MOST_DIMENSION:
        raise _damaged(f"its tensor {_plain(name)} is larger than any computer's memory")
    row = dimensions[0] if dimensions else 1
    if row % form.weights:
        raise _damaged(
            f"its tensor {_plain(name)} has rows of {row:,} weights, which are no whole blocks of "
            f"{form.weights} ({form.name})"
        )
    size = elements // form.weights * form.bytes
    text = _text(name)
    *_, module, part = ("", *text.split("."))[-2:]
    counted = 0 if module in TABLES or part in SCALES else elements
    return StoredTensor(text, tuple(reversed(dimensions)), form.name, counted, size)


def _unknown_type(name: bytes, kind: int) -> str:
    if kind in REMOVED:
        return (
            f"holds the tensor {_plain(name)} in {REMOVED[kind]}, a type that llama.cpp has removed; "
            "take the model in another quantization"
        )
    return (
        f"holds the tensor {_plain(name)} in the type {kind:,}, which is not known here; take the model in "
        "another quantization, or a newer version of this program"
    )


def _text(content: bytes) -> str:
    return content.decode("utf-8", "replace")


def _plain(content: bytes) -> str:
    """A name as a sentence shows it."""
    return shown(_text(content[:_LONGEST_SHOWN]))


# A split set


def _files(path: Path, match: re.Match[str]) -> Iterable[Path]:
    """The files of a set, by name beside the one given. Raises BadInput where one is missing."""
    stem, number, count = match[1], int(match[2]), int(match[3])
    if not 1 <= number <= count:
        raise BadInput(f"{path}: there is no part {number:,} of {count:,}; correct the file's name.", "model")
    ending = path.name[-5:]
    files, missing = [], []
    for one in range(1, count + 1):
        file = path.with_name(f"{stem}-{one:05}-of-{match[3]}{ending}")
        files.append(file)
        if not is_there(file):
            missing.append(file.name)
        if len(missing) > _NAMED_MISSING:
            missing[-1] = "others"
            break
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        names = " and ".join((", ".join(missing[:-1]), missing[-1])) if missing[1:] else missing[0]
        raise BadInput(
            f"{path} is one of {count:,} files, and {names} {verb} missing beside it; download the rest.",
            "model",
        )
    return files


def join(where: str, count: int, parts: Iterable[Header]) -> Header:
    """The set as one; its metadata is the first file's. Raises BadInput."""
    headers = tuple(parts)
    first = headers[0]
    for number, header in enumerate(headers):
        if header.metadata.get("split.no") != number or header.metadata.get("split.count") != count:
            raise BadInput(
                f"{where} is one of {count:,} files by its name, but file {number + 1:,} of them does not "
                "say so inside; download the set again.",
                "model",
            )
    tensors = tuple(tensor for header in headers for tensor in header.tensors)
    stated = first.metadata.get("split.tensors.count", len(tensors))
    if len({tensor.name for tensor in tensors}) < len(tensors) or stated != len(tensors):
        raise BadInput(
            f"{where}: the {count:,} files hold {len(tensors):,} tensors and do not belong together, as the "
            f"first speaks of {stated} different ones; download the set again.",
            "model",
        )
    total, absent = sum(one.bytes for one in headers), sum(one.absent for one in headers)
    return Header(first.version, first.metadata, tensors, total, absent, len(headers))


def _refuse_part(path: Path, header: Header) -> None:
    """Refuses a part of a set whose name does not tell the others' names."""
    count = header.metadata.get("split.count", 1)
    if isinstance(count, int) and count > 1:
        raise BadInput(
            f"{path} is one of {count:,} files of a split model, but its name does not say which; give it "
            f"back its name, like NAME-00001-of-{count:05}.gguf.",
            "model",
        )
