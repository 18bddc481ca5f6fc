"""The headers of model files of 40 GB, opened as the program opens them, beside reading the same bytes alone.

The files are sparse: true headers, and holes for data. Each round begins with none of them in the page cache.
"""

import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from math import prod
from pathlib import Path

from benchmarks.measure import Row, in_turn
from llmplanner.models.checkpoints import safetensors

SHARDS = 9
LAYERS, HIDDEN, FEED_FORWARD, KV, VOCABULARY = 48, 6656, 17920, 1664, 32000  # 40 GB in BF16
BOUND = 3.0


def _tensors() -> Iterator[tuple[str, tuple[int, ...]]]:
    yield "model.embed_tokens.weight", (VOCABULARY, HIDDEN)
    for layer in range(LAYERS):
        prefix = f"model.layers.{layer}."
        for name, shape in {
            "self_attn.q_proj": (HIDDEN, HIDDEN),
            "self_attn.k_proj": (KV, HIDDEN),
            "self_attn.v_proj": (KV, HIDDEN),
            "self_attn.o_proj": (HIDDEN, HIDDEN),
            "mlp.gate_proj": (FEED_FORWARD, HIDDEN),
            "mlp.up_proj": (FEED_FORWARD, HIDDEN),
            "mlp.down_proj": (HIDDEN, FEED_FORWARD),
        }.items():
            yield f"{prefix}{name}.weight", shape
        yield f"{prefix}input_layernorm.weight", (HIDDEN,)
        yield f"{prefix}post_attention_layernorm.weight", (HIDDEN,)
    yield "model.norm.weight", (HIDDEN,)
    yield "lm_head.weight", (VOCABULARY, HIDDEN)


def _write(folder: Path) -> list[tuple[Path, int]]:
    """The shards, and the bytes of each one's header."""
    tensors = list(_tensors())
    found = []
    for number in range(SHARDS):
        table, end = {}, 0
        for name, shape in tensors[number * len(tensors) // SHARDS : (number + 1) * len(tensors) // SHARDS]:
            begin, end = end, end + 2 * prod(shape)
            table[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [begin, end]}
        content = json.dumps(table, separators=(",", ":")).encode()
        path = folder / f"model-{number + 1:05}-of-{SHARDS:05}.safetensors"
        with path.open("wb") as file:
            file.write(len(content).to_bytes(8, "little") + content)
            file.truncate(8 + len(content) + end)
            os.fsync(file.fileno())
        found.append((path, 8 + len(content)))
    return found


def _cold(files: list[tuple[Path, int]], work: Callable[[], object]) -> float:
    """Seconds of the work, with nothing of the files in the page cache."""
    for path, _ in files:
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _bytes_alone(files: list[tuple[Path, int]]) -> None:
    for path, length in files:
        with path.open("rb") as file:
            file.read(length)


def rows() -> Iterator[Row]:
    """One line: a sharded model."""
    with tempfile.TemporaryDirectory() as folder:
        files = _write(Path(folder))
        ours, floor = in_turn(
            lambda: _cold(
                files, lambda: safetensors.join([safetensors.read_part(path) for path, _ in files])
            ),
            lambda: _cold(files, lambda: _bytes_alone(files)),
        )
        total = sum(path.stat().st_size for path, _ in files)
    yield Row(
        f"safetensors, {total / 1e9:.0f} GB in {SHARDS} files", ours, "the headers' bytes alone", floor, BOUND
    )
