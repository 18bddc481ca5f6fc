"""Writes small GGUF files, byte by byte as the format's page says, and any wrong byte on request."""

import struct
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

U32, I32, F32, BOOL, STRING, ARRAY, U64 = 4, 5, 6, 7, 8, 9, 10
CODES = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
Tensor = tuple[str, tuple[int, ...], int, int]  # name, shape as PyTorch has it, type, bytes


def string(text: str | bytes) -> bytes:
    data = text.encode() if isinstance(text, str) else text
    return struct.pack("<Q", len(data)) + data


def value(kind: int, content: Any) -> bytes:  # noqa: ANN401 - whatever the kind takes
    return string(content) if kind == STRING else struct.pack(f"<{CODES[kind]}", content)


def key(name: str | bytes, kind: int, content: Any) -> bytes:  # noqa: ANN401 - whatever the kind takes
    return string(name) + struct.pack("<I", kind) + value(kind, content)


def array(name: str, kind: int, contents: Iterable[Any]) -> bytes:
    items = [value(kind, one) for one in contents]
    return string(name) + struct.pack("<IIQ", ARRAY, kind, len(items)) + b"".join(items)


def kind_of(content: object) -> int:
    if isinstance(content, bool):
        return BOOL
    if isinstance(content, int):
        return U32
    return F32 if isinstance(content, float) else STRING


def keys(table: Mapping[str, Any]) -> list[bytes]:
    return [
        array(name, kind_of(content[0]), content)
        if isinstance(content, list)
        else key(name, kind_of(content), content)
        for name, content in table.items()
    ]


def info(name: str | bytes, shape: Iterable[int], kind: int, offset: int) -> bytes:
    dimensions = tuple(reversed(tuple(shape)))
    return string(name) + struct.pack(f"<I{len(dimensions)}QIQ", len(dimensions), *dimensions, kind, offset)


def infos(tensors: Iterable[Tensor], alignment: int = 32) -> tuple[list[bytes], int]:
    """The entries of tensors that follow each other, and the bytes of their data."""
    entries, offset = [], 0
    for name, shape, kind, size in tensors:
        entries.append(info(name, shape, kind, offset))
        offset += size + -size % alignment
    return entries, offset


def assemble(pairs: list[bytes], entries: list[bytes], data: int = 0, version: int = 3) -> bytes:
    header = struct.pack("<4sIQQ", b"GGUF", version, len(entries), len(pairs)) + b"".join(pairs + entries)
    return header + bytes(-len(header) % 32 + data) if entries else header


def write(path: Path, table: Mapping[str, Any], tensors: Iterable[Tensor] = (), version: int = 3) -> Path:
    """A whole file whose data is zeros, and takes no room on the disk."""
    entries, size = infos(tensors)
    header = assemble(keys(table), entries, version=version)
    with path.open("wb") as file:
        file.write(header)
        file.truncate(len(header) + size)
    return path
