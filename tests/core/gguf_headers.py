"""Reads the headers among the reference data: trusted files, so that the recipes are tested on their own."""

import struct
from pathlib import Path
from typing import BinaryIO

from llmplanner.core.checkpoint import StoredTensor
from llmplanner.core.recipes.llamacpp import Architecture
from tests.reference import REFERENCE

SHAPES = REFERENCE / "corpus" / "gguf_shapes"
NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
TEXT, LIST = 8, 9
TYPES = {0: "F32", 1: "F16", 30: "BF16"}
SIZES = {"F32": 4, "F16": 2, "BF16": 2}


def read(path: Path) -> tuple[Architecture, list[StoredTensor]]:
    """The architecture and the tensors of a header that was written at 16 bits."""
    with path.open("rb") as file:
        assert file.read(4) == b"GGUF"
        _number(file, "I")
        tensors, entries = _number(file, "Q"), _number(file, "Q")
        table = {_text(file): _value(file, _number(file, "I")) for _ in range(entries)}
        return _architecture(table), [_tensor(file) for _ in range(tensors)]


def _architecture(table: dict[str, object]) -> Architecture:
    name = str(table["general.architecture"])
    sizes = (
        table.get(f"{name}.{key}", 0)
        for key in ("block_count", "attention.head_count", "attention.head_count_kv", "expert_count")
    )
    return Architecture(name, *(size for size in sizes if isinstance(size, int)))


def _tensor(file: BinaryIO) -> StoredTensor:
    name = _text(file)
    shape = tuple(_number(file, "Q") for _ in range(_number(file, "I")))[::-1]
    kind = TYPES[_number(file, "I")]
    _number(file, "Q")
    elements = 1
    for size in shape:
        elements *= size
    return StoredTensor(name, shape, kind, elements, elements * SIZES[kind])


def _number(file: BinaryIO, letter: str) -> int:
    return int(struct.unpack("<" + letter, file.read(struct.calcsize(letter)))[0])


def _text(file: BinaryIO) -> str:
    return file.read(_number(file, "Q")).decode()


def _value(file: BinaryIO, kind: int) -> object:
    if kind == TEXT:
        return _text(file)
    if kind == LIST:
        inner = _number(file, "I")
        return [_value(file, inner) for _ in range(_number(file, "Q"))]
    return _number(file, NUMBERS[kind])
