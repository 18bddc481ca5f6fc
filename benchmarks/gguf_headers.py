"""The header of a GGUF file of 42 GB with a vocabulary of 262,144 words, beside reading the same bytes alone.

The file is sparse: a true header, and a hole for data. Each round begins with nothing of it in the cache.
Where the gguf package is installed, its reader opens the same file once.
"""

import importlib.util
import os
import struct
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from importlib import import_module
from math import prod
from pathlib import Path

from benchmarks.measure import Row, in_turn
from llmplanner.models.gguf import opening as gguf_models
from llmplanner.models.gguf import reader as gguf

LAYERS, HIDDEN, FEED_FORWARD, HEADS, KV_HEADS = 80, 8192, 28672, 64, 8  # 70 billion weights in Q4_K
TOKENS, MERGES = 262_144, 514_906
Q4_K, F32, U32, I32, STRING, ARRAY = 12, 0, 4, 5, 8, 9
BOUND, MEMORY_BOUND, PEER_BOUND = 3.0, 5.0, 0.1


def string(text: bytes) -> bytes:
    """A text with its length before it."""
    return struct.pack("<Q", len(text)) + text


def strings(name: bytes, texts: Iterator[bytes], count: int) -> bytes:
    """An array of texts under a key."""
    return string(name) + struct.pack("<IIQ", ARRAY, STRING, count) + b"".join(map(string, texts))


def keys() -> list[bytes]:
    """The metadata of a model of Llama's form, its vocabulary with it."""
    sizes = {
        "block_count": LAYERS,
        "embedding_length": HIDDEN,
        "feed_forward_length": FEED_FORWARD,
        "attention.head_count": HEADS,
        "attention.head_count_kv": KV_HEADS,
        "context_length": 131_072,
    }
    kinds = struct.pack("<IIQ", ARRAY, I32, TOKENS) + bytes(4 * TOKENS)
    return [
        string(b"general.architecture") + struct.pack("<I", STRING) + string(b"llama"),
        *(string(f"llama.{name}".encode()) + struct.pack("<II", U32, size) for name, size in sizes.items()),
        strings(b"tokenizer.ggml.tokens", (b"x" * (number % 13 + 1) for number in range(TOKENS)), TOKENS),
        string(b"tokenizer.ggml.token_type") + kinds,
        strings(b"tokenizer.ggml.merges", (b"y" * (number % 11 + 3) for number in range(MERGES)), MERGES),
    ]


def tensors() -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and shapes, rows first."""
    yield "token_embd.weight", (TOKENS, HIDDEN)
    kv = HIDDEN // HEADS * KV_HEADS
    for layer in range(LAYERS):
        for name, shape in {
            "attn_norm": (HIDDEN,),
            "attn_q": (HIDDEN, HIDDEN),
            "attn_k": (kv, HIDDEN),
            "attn_v": (kv, HIDDEN),
            "attn_output": (HIDDEN, HIDDEN),
            "ffn_norm": (HIDDEN,),
            "ffn_gate": (FEED_FORWARD, HIDDEN),
            "ffn_up": (FEED_FORWARD, HIDDEN),
            "ffn_down": (HIDDEN, FEED_FORWARD),
        }.items():
            yield f"blk.{layer}.{name}.weight", shape
    yield "output_norm.weight", (HIDDEN,)


def write(path: Path) -> int:
    """Writes the file and gives the bytes of its header."""
    infos, offset = [], 0
    for name, shape in tensors():
        kind = F32 if len(shape) == 1 else Q4_K
        infos.append(
            string(name.encode())
            + struct.pack(f"<I{len(shape)}QIQ", len(shape), *reversed(shape), kind, offset)
        )
        offset += 4 * shape[0] if kind == F32 else prod(shape) // 256 * 144
    pairs = keys()
    header = struct.pack("<4sIQQ", b"GGUF", 3, len(infos), len(pairs)) + b"".join(pairs + infos)
    header += bytes(-len(header) % 32)
    with path.open("wb") as file:
        file.write(header)
        file.truncate(len(header) + offset)
        os.fsync(file.fileno())
    return len(header)


def cold(path: Path, work: Callable[[], object]) -> float:
    """Seconds of the work, with nothing of the file in the page cache."""
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def peak(work: Callable[[], object]) -> int:
    """Bytes that the work holds at most."""
    tracemalloc.start()
    work()
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most


def alone(path: Path, length: int) -> bytes:
    """The header's bytes, read and not looked at."""
    with path.open("rb") as file:
        return file.read(length)


def rows() -> Iterator[Row]:
    """The header, the whole model, memory, and the gguf package's reader."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.gguf"
        length = write(path)
        size = f"GGUF, {path.stat().st_size / 1e9:.0f} GB"
        header, model, floor = in_turn(
            lambda: cold(path, lambda: gguf.read(path)),
            lambda: cold(path, lambda: gguf_models.load(path)),
            lambda: cold(path, lambda: alone(path, length)),
        )
        yield Row(f"{size}, its header", header, "the header's bytes alone", floor, BOUND)
        yield Row(f"{size}, its model", model, "the header's bytes alone", floor, BOUND)
        held = peak(lambda: gguf_models.load(path))
        yield Row(f"{size}, memory", held, "the header", length, MEMORY_BOUND, "MB", 1e-6)
        if importlib.util.find_spec("gguf") is not None:
            reader = import_module("gguf").GGUFReader
            theirs = cold(path, lambda: reader(path))
            yield Row(f"{size}, its model", model, "the gguf package's reader", theirs, PEER_BOUND)
