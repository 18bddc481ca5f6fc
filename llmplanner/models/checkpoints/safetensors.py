"""Reads the header of a .safetensors file: names, types, shapes and bytes; never the data.

The checks are those of the safetensors library 0.8.0 (tensor.rs: read_metadata, validate); besides, no name
may stand twice. A file that ends before its data does is an interrupted download: it is read, and says so.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import msgspec

from llmplanner.core.checkpoint import StoredTensor
from llmplanner.core.errors import BadInput
from llmplanner.models.checkpoints.packed import Layout, stored
from llmplanner.models.checkpoints.signatures import ENOUGH, mistaken_for
from llmplanner.models.entries import shown
from llmplanner.resources import open_file

MOST_HEADER = 100_000_000  # bytes, as the library
BITS = {
    "BOOL": 8, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "U8": 8, "I8": 8,
    "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32,
    "C64": 64, "F64": 64, "I64": 64, "U64": 64,
}  # fmt: skip
KEYS = (b'"dtype"', b'"shape"', b'"data_offsets"')
MOST_BITS = 2**64  # of one tensor, as the library
METADATA = "__metadata__"


@dataclass(frozen=True, slots=True)
class Header:
    """What a file, or a set of shards, states of itself."""

    tensors: tuple[StoredTensor, ...]
    metadata: Mapping[str, str]
    bytes: int  # of the whole files
    absent: int = 0  # bytes of those that are not there: the download was interrupted


@dataclass(frozen=True, slots=True)
class Part:
    """One file's header, before it is known which tensors are the scales of others."""

    names: tuple[str, ...]
    layouts: tuple[Layout, ...]  # of the same length
    metadata: Mapping[str, str]
    bytes: int
    absent: int


class _Span(msgspec.Struct, array_like=True, forbid_unknown_fields=True, gc=False):
    """Where a tensor's bytes begin and end. Half as large in memory as a tuple."""

    begin: int
    end: int


class _Entry(msgspec.Struct, gc=False):
    """One tensor's entry; the checks below refuse what no tensor has."""

    dtype: str | msgspec.UnsetType = msgspec.UNSET
    shape: tuple[int, ...] | str | msgspec.UnsetType = msgspec.UNSET
    data_offsets: _Span | str | msgspec.UnsetType = msgspec.UNSET


class _Metadata(msgspec.Struct):
    """The one entry that is no tensor's."""

    metadata: dict[str, str] = msgspec.field(default_factory=dict, name=METADATA)


_entries = msgspec.json.Decoder(dict[str, _Entry])
_metadata = msgspec.json.Decoder(_Metadata)


def read(path: Path) -> Header:
    """The tensors that one file declares. Raises BadInput."""
    return join([read_part(path)])


def join(parts: Sequence[Part], bits: int | None = None) -> Header:
    """The files of a set as one. `bits`: of packed weights, where the tensors do not tell."""
    names = tuple(chain.from_iterable(part.names for part in parts))
    layouts = tuple(chain.from_iterable(part.layouts for part in parts))
    metadata = {key: text for part in parts for key, text in part.metadata.items()}
    total, absent = sum(part.bytes for part in parts), sum(part.absent for part in parts)
    return Header(stored(names, layouts, bits), metadata, total, absent)


def read_part(path: Path) -> Part:
    """The header of one file. Raises BadInput."""
    with open_file(path, remedy="; give the path of a model's file or folder", field="model") as file:
        return read_from(file, os.fstat(file.fileno()).st_size, str(path))


def read_from(file: BinaryIO, size: int, where: str) -> Part:
    """The header that starts an open file of `size` bytes. Raises BadInput."""
    try:
        start = file.read(8)
        length = int.from_bytes(start, "little")
        _check_length(length, size, start + file.read(ENOUGH))
        file.seek(8)
        return parse(file.read(length), size)
    except OSError as error:
        raise BadInput(f"{where} cannot be read: {error.strerror}.", "model") from error
    except _OtherKindError as error:
        raise BadInput(f"{where} {error}.", "model") from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise BadInput(
            f"{where} is not a whole safetensors file ({_problem(error)}); download it again.", "model"
        ) from error


class _OtherKindError(ValueError):
    """The file is another kind of file: its text says which, and what to do."""


def _check_length(length: int, size: int, start: bytes) -> None:
    """Refuses a header that cannot be there."""
    if 8 + length <= size and length <= MOST_HEADER:
        return
    clause = mistaken_for(start)
    if clause is not None:
        raise _OtherKindError(clause)
    if size <= 8:  # noqa: PLR2004 - the length itself
        raise ValueError(f"it has {size} bytes and no header")
    if length > MOST_HEADER:
        raise ValueError(f"its header claims {length:,} bytes, more than the {MOST_HEADER:,} of the format")
    raise ValueError(f"its header claims {length:,} bytes, and {size - 8:,} are there")


def _problem(error: ValueError | RecursionError | MemoryError) -> str:
    if isinstance(error, RecursionError):
        return "its header is nested without end"
    if isinstance(error, UnicodeDecodeError):
        return "its header is not text in UTF-8"
    if isinstance(error, msgspec.DecodeError):
        return f"its header is not what the format says: {error}".replace(" - at `$[...]", " at `$[name]")
    if isinstance(error, MemoryError):
        return "its header does not fit into memory"
    return str(error)


def parse(content: bytes, size: int) -> Part:
    """The header in the bytes that follow its length, of a file of `size` bytes. Raises ValueError,
    RecursionError.
    """
    whole = 8 + len(content)
    if not content.isascii():
        content.decode()
    entries = _entries.decode(content)
    metadata: Mapping[str, str] = {}
    if entries.pop(METADATA, None) is not None:
        metadata = _metadata.decode(content).metadata
    _refuse_repeats(content, len(entries))
    del content  # of a large header, as much again would be held while its tensors are gathered
    names = sorted(entries, key=lambda name: _offsets(name, entries[name]))
    layouts = _layouts(names, entries)
    whole += sum(layout.bytes for layout in layouts)
    if whole < size:
        raise ValueError(f"{size - whole:,} bytes follow its last tensor and belong to none")
    return Part(tuple(names), layouts, metadata, whole, whole - size)


def _offsets(name: str, entry: _Entry) -> tuple[int, int]:
    if isinstance(entry.data_offsets, _Span):
        return entry.data_offsets.begin, entry.data_offsets.end
    raise ValueError(f"the tensor {shown(name)} has no data_offsets")


def _layouts(names: Sequence[str], entries: dict[str, _Entry]) -> tuple[Layout, ...]:
    """Type, shape and bytes of each tensor, checked; equal ones are one object. Takes the entries apart."""
    known: dict[object, Layout] = {}
    found, position = [], 0
    for name in names:
        entry = entries.pop(name)
        begin, end = _offsets(name, entry)
        key = (entry.dtype, entry.shape)
        layout = known.get(key)
        if layout is None:
            layout = known[key] = _layout(name, entry)
        if begin != position:
            kind = "overlaps what stands before it" if begin < position else "leaves a gap before it"
            raise ValueError(f"the tensor {shown(name)} {kind}")
        if end - begin != layout.bytes:
            raise ValueError(
                f"the tensor {shown(name)} takes {end - begin:,} bytes, and its shape {layout.bytes:,}"
            )
        found.append(layout)
        position = end
    return tuple(found)


def _layout(name: str, entry: _Entry) -> Layout:
    if not isinstance(entry.dtype, str) or not isinstance(entry.shape, tuple):
        raise ValueError(f"the tensor {shown(name)} has no dtype or no shape")  # noqa: TRY004 - of the file
    bits = BITS.get(entry.dtype)
    if bits is None:
        raise ValueError(f"the tensor {shown(name)} is of an unknown type, {shown(entry.dtype)}")
    count = 1
    for size in entry.shape:
        if size < 0:
            raise ValueError(f"the tensor {shown(name)} has a negative size")
        count *= size
        if count * bits >= MOST_BITS:
            raise ValueError(f"the tensor {shown(name)} would have more than 2^64 bits")
    if count * bits % 8:
        raise ValueError(f"the tensor {shown(name)} does not end with a whole byte")
    return Layout(entry.dtype, entry.shape, count, count * bits // 8)


def _refuse_repeats(content: bytes, tensors: int) -> None:
    """Refuses a header in which a name stands twice: of two such entries, the decoder kept the last.

    As each entry has its three keys, a header with no more of them than tensors cannot hide another one.
    """
    hidden = b"\\" in content or content.count(b'"__metadata__"') > 1
    if hidden or any(content.count(key) != tensors for key in KEYS):
        json.loads(content, object_pairs_hook=refuse_repeated)


def refuse_repeated(pairs: list[tuple[str, object]]) -> None:
    """A hook for json.loads. Raises ValueError where a name stands twice in one table."""
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        seen: set[str] = set()
        twice = next(name for name in names if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise ValueError(f"the name {shown(twice)} stands twice")
