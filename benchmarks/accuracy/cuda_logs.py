"""Compute buffers of llama.cpp on GPUs: those that it logged, and those that its scheduler reserved for us.

Logs are rows of measured_inference.csv; what they say beside it of the fork ik_llama.cpp's options stands in
tests/data/ik_llama_options.csv.
"""

import csv
from collections.abc import Iterator
from functools import cache

from benchmarks.accuracy.scores import Entry
from benchmarks.reference import ROOT
from llmplanner.check.answer import Row
from llmplanner.check.compute_buffers import compute_buffers
from llmplanner.check.compute_buffers import logged as logged_buffers
from llmplanner.check.lookup import Lookup
from llmplanner.core.blocks import cache_format_named
from llmplanner.core.engine import LlamaCpp
from llmplanner.core.errors import BadInput
from llmplanner.core.formats import FP16
from llmplanner.core.machine import Device
from llmplanner.core.serving.llamacpp import cells, compute, weights
from llmplanner.core.serving.llamacpp.placement import placed
from llmplanner.models import files

MIB = 2**20
CARD = Device("a card", 24 * 2**30, 24 * 2**30)


def logged(number: int, label: str, row: Row) -> Iterator[Entry]:
    """The row's buffers on its CUDA devices."""
    buffers = logged_buffers(row)
    if not buffers or "llama.cpp" not in row["engine"]:
        return
    try:
        found = compute_buffers({**row, **_options().get(row["id"], {})})
    except BadInput as error:
        for name, size in buffers.items():
            yield Entry(number, f"{label} · {name}", size, None, note=str(error))
        return
    for name, size in buffers.items():
        one = found[name]
        yield Entry(number, f"{label} · {name}", size, one.bytes / MIB, one.low / MIB, one.high / MIB)


@cache
def _options() -> dict[str, Row]:
    """What logs say of the fork's options, by the row's id."""
    with (ROOT / "tests" / "data" / "ik_llama_options.csv").open(newline="", encoding="utf-8") as file:
        return {row["id"]: row for row in csv.DictReader(file)}


def reserved(number: int, label: str, row: Row, models: Lookup) -> Iterator[Entry]:
    """The buffers that llama.cpp's scheduler reserved on devices that only count."""
    path = models.path(row["model"], ".gguf")
    if path is None:
        return
    model, cards = files.open_path(path).model, int(row["gpus"])
    engine = LlamaCpp(
        ubatch=int(row["n_ubatch"]),
        flash_attention=row["flash_attn"] == "on",
        gpu_layers=int(row["gpu_layers"]) if row["gpu_layers"] else None,
        cpu_experts=model.layers if row["cpu_experts"] == "1" else 0,
    )
    form = cache_format_named(row["kv_type"])
    run = compute.Runs(model, cells.of_options(int(row["n_ctx"]), 1, engine), engine, form, form)
    held = weights.stored(model, model.checkpoint or FP16)
    where = placed(len(held.layers), engine, (CARD,) * cards)
    for place in range(cards):
        if row[f"CUDA{place}"]:
            one = compute.on_device(run, held, where, place, cards=cards)
            bounds = (int(one.low) / MIB, int(one.high) / MIB)
            name, size = f"{label} · CUDA{place}", float(row[f"CUDA{place}"])
            yield Entry(number, name, size, int(one.bytes) / MIB, *bounds)
