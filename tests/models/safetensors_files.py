"""Writes safetensors files for tests: true headers, and data that is a hole in the file."""

import json
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path

from llmplanner.core.model import Model
from llmplanner.core.tensors import inventory
from llmplanner.models.checkpoints.safetensors import BITS

Tensors = Mapping[str, tuple[str, Sequence[int]]]  # name -> type, shape


def header(tensors: Tensors, metadata: Mapping[str, str] | None = None) -> tuple[bytes, int]:
    """The header's bytes, and the bytes of the data that follow."""
    table: dict[str, object] = {} if metadata is None else {"__metadata__": metadata}
    end = 0
    for name, (kind, shape) in tensors.items():
        begin, end = end, end + prod(shape) * BITS[kind] // 8
        table[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [begin, end]}
    content = json.dumps(table, separators=(",", ":")).encode()
    return content + b" " * (-len(content) % 8), end


def write(path: Path, tensors: Tensors, metadata: Mapping[str, str] | None = None) -> Path:
    """A sparse file with these tensors."""
    content, data = header(tensors, metadata)
    return write_raw(path, content, data)


def write_raw(path: Path, content: bytes, data: int = 0, length: int | None = None) -> Path:
    """A file with this header, whatever it holds, and so much data."""
    stated = len(content) if length is None else length
    with path.open("wb") as file:
        file.write(stated.to_bytes(8, "little") + content)
        file.truncate(8 + len(content) + data)
    return path


def tensors_of(model: Model, kind: str = "BF16") -> dict[str, tuple[str, Sequence[int]]]:
    """A model's inventory as a file holds it."""
    return {tensor.name: (kind, tensor.shape) for tensor in inventory(model)}


def write_sharded(folder: Path, tensors: Tensors, shards: int) -> Path:
    """A set of shards and its index, whose path is returned."""
    names = list(tensors)
    where: dict[str, str] = {}
    for number in range(shards):
        file = f"model-{number + 1:05}-of-{shards:05}.safetensors"
        own = names[number::shards]
        write(folder / file, {name: tensors[name] for name in own})
        where |= dict.fromkeys(own, file)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 0}, "weight_map": where}), encoding="utf-8")
    return index
