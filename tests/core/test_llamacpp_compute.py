"""llama.cpp's compute buffers against those that the program allocated."""

import csv
import json
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from statistics import median

import pytest

from llmplanner.compose import model_named
from llmplanner.core.blocks import cache_format_named
from llmplanner.core.engine import LlamaCpp
from llmplanner.core.formats import FP16
from llmplanner.core.machine import Device
from llmplanner.core.model import Model
from llmplanner.core.recipes import stored_as
from llmplanner.core.serving.llamacpp import cells, compute, weights
from llmplanner.core.serving.llamacpp.batch import Fork
from llmplanner.core.serving.llamacpp.buffer import Buffer
from llmplanner.core.serving.llamacpp.placement import placed
from llmplanner.models import files
from llmplanner.models.config import from_config
from tests.reference import REFERENCE, needs_reference, rows

MIB = 2**20
DATA = Path(__file__).parent.parent / "data"
FAMILIES = json.loads((DATA / "llamacpp_compute_families.json").read_text("utf-8"))["configs"]
CARD = Device("a card", 24 * 2**30, 24 * 2**30)
HEADERS = REFERENCE / "corpus" / "gguf_shapes"
NINE_TENTHS = 0.9


@cache
def header(name: str) -> Model:
    return files.open_path(HEADERS / f"{name}.gguf").model


def runs(model: Model, n_ctx: int, sequences: int, kv_type: str, engine: LlamaCpp) -> compute.Runs:
    form = cache_format_named(kv_type)
    return compute.Runs(model, cells.of_options(n_ctx, sequences, engine), engine, form, form)


@cache
def measured() -> tuple[tuple[dict[str, str], Buffer, float], ...]:
    """Rows of the CPU build that report a compute buffer, what is predicted, and what it was in bytes."""
    found = []
    for row in rows("llamacpp_memory_cpu.csv"):
        if not row["compute_MiB(CPU)"]:
            continue
        engine = LlamaCpp(
            ubatch=int(row["n_ubatch"]),
            flash_attention=row["flash_attn"] == "on",
            swa_full=row["swa_full"] == "1",
        )
        sequences = int(row["n_parallel"])
        run = runs(header(row["model"]), int(row["n_ctx"]), sequences, row["kv_type"], engine)
        found.append((row, compute.on_cpu(run), float(row["compute_MiB(CPU)"]) * MIB))
    return tuple(found)


def errors(chosen: Callable[[dict[str, str]], bool]) -> list[float]:
    """Relative errors of the chosen rows, the smallest first."""
    return sorted(abs(found.bytes / size - 1) for row, found, size in measured() if chosen(row))


@needs_reference
def test_the_cpu_table_within_a_thousandth_at_the_median() -> None:
    found = errors(lambda _: True)
    assert len(found) > 690
    assert median(found) < 1e-3
    assert found[int(NINE_TENTHS * len(found))] < 1e-3
    assert found[-1] < 0.025


@needs_reference
@pytest.mark.parametrize("column", ["model", "flash_attn", "n_ubatch", "n_ctx", "kv_type", "n_parallel"])
def test_no_kind_of_row_hides_behind_the_others(column: str) -> None:
    for value in {row[column] for row, _, _ in measured()}:

        def of_kind(row: dict[str, str], value: str = value) -> bool:
            return row[column] == value

        found = errors(of_kind)
        assert median(found) < 0.015, value
        assert found[int(NINE_TENTHS * len(found))] < 0.025, value


@needs_reference
@pytest.mark.parametrize("column", ["model", "flash_attn", "n_ubatch"])
def test_the_band_holds_four_of_five_of_every_kind(column: str) -> None:
    for value in {row[column] for row, _, _ in measured()}:
        held = [found.low <= size <= found.high for row, found, size in measured() if row[column] == value]
        assert sum(held) >= 0.8 * len(held), value


@needs_reference
def test_the_fullest_moment_is_named_and_its_parts_add_up() -> None:
    for _, found, _ in measured():
        assert sum(int(part.bytes) for part in found.parts) == found.bytes
        assert found.moment in found.formula
    moments = {(row["model"], row["flash_attn"], row["n_ctx"]): found.moment for row, found, _ in measured()}
    assert moments["llama-2-7b", "off", "131072"].startswith("attention scores")
    assert moments["llama-2-7b", "on", "4096"].startswith("feed-forward")
    assert moments["mixtral-8x7b", "on", "4096"].startswith("experts")
    assert moments["qwen2-1.5b", "on", "4096"] == "logits"


def of_family(row: dict[str, object]) -> Iterator[tuple[Buffer, float]]:
    """What is predicted of each of a small model's buffers, and what it was in bytes."""
    config, buffers = row["config"], row["buffers"]
    assert isinstance(config, dict)
    assert isinstance(buffers, list)
    model = from_config(config, "a", "a.json")
    for each in buffers:
        engine = LlamaCpp(flash_attention=each["flash_attn"])
        run = runs(model, each["n_ctx"], each["n_parallel"], each["kv_type"], engine)
        yield compute.on_cpu(run), each["MiB"] * MIB


@pytest.mark.parametrize("row", FAMILIES, ids=lambda row: row["name"])
def test_families_beyond_the_table(row: dict[str, object]) -> None:
    """Each alone within a fifth: a small model's tensors are all about as large, and a quirk of one shows."""
    for found, size in of_family(row):
        assert found.bytes == pytest.approx(size, rel=0.2)


def test_families_within_a_hundredth_at_the_median() -> None:
    found = [pair for row in FAMILIES for pair in of_family(row)]
    off = sorted(abs(buffer.bytes / size - 1) for buffer, size in found)
    assert median(off) < 0.01
    assert off[int(NINE_TENTHS * len(off))] < 0.1
    assert sum(buffer.low <= size <= buffer.high for buffer, size in found) >= 0.8 * len(found)


Run = tuple[str, str, Buffer, float]  # how it ran, the device, what is predicted, and what it was in bytes


@cache
def on_gpus() -> tuple[Run, ...]:
    """Buffers that llama.cpp's scheduler reserved on devices that only count, as CUDA would have it."""
    with (DATA / "llamacpp_gpu_buffers.csv").open(newline="", encoding="utf-8") as file:
        return tuple(each for row in csv.DictReader(file) for each in of_gpus(row))


def of_gpus(row: dict[str, str]) -> Iterator[Run]:
    model, cards = header(row["model"]), int(row["gpus"])
    engine = LlamaCpp(
        ubatch=int(row["n_ubatch"]),
        flash_attention=row["flash_attn"] == "on",
        gpu_layers=int(row["gpu_layers"]) if row["gpu_layers"] else None,
        cpu_experts=model.layers if row["cpu_experts"] == "1" else 0,
    )
    run = runs(model, int(row["n_ctx"]), 1, row["kv_type"], engine)
    held = weights.stored(model, model.checkpoint or FP16)
    where = placed(len(held.layers), engine, (CARD,) * cards)
    lent = "all" if engine.gpu_layers is None else "some" if engine.gpu_layers else "none"
    how = f"{cards} GPUs, {lent} layers on them, experts on the CPU {row['cpu_experts']}"
    for place in range(cards):
        found = compute.on_device(run, held, where, place, cards=cards)
        if row[f"CUDA{place}"]:
            yield how, f"CUDA{place}", found, float(row[f"CUDA{place}"]) * MIB
    yield how, "CUDA_Host", compute.beside_devices(run, where, cards), float(row["CUDA_Host"]) * MIB


@needs_reference
def test_gpus_within_a_hundredth_at_the_median() -> None:
    off = sorted(abs(found.bytes / size - 1) for _, _, found, size in on_gpus())
    assert len(off) > 700
    assert median(off) < 0.01
    assert off[int(NINE_TENTHS * len(off))] < 0.1


@needs_reference
def test_no_way_of_sharing_the_work_hides_behind_the_others() -> None:
    for kind in {(how, device) for how, device, _, _ in on_gpus()}:
        rows_of = [(found, size) for how, device, found, size in on_gpus() if (how, device) == kind]
        off = sorted(abs(found.bytes / size - 1) for found, size in rows_of)
        assert median(off) < 0.1, kind
        assert off[int(NINE_TENTHS * len(off))] < 0.3, kind
        assert sum(found.low <= size <= found.high for found, size in rows_of) >= 0.8 * len(rows_of), kind


LOGGED = {  # logs of 2024 and 2025: the model, the cards, and the file where experts are on the CPU
    "I018": ("gemma-3-27b-text", 1, ""),
    "I025": ("qwen3-235b-a22b", 1, "q6_k"),
    "I027": ("qwen3-235b-a22b", 2, "q6_k"),
    "I030": ("qwen3-235b-a22b", 0, ""),
    "I032": ("qwen3-32b", 1, ""),
    "I033": ("llama-3.1-8b", 1, ""),
    "I036": ("deepseek-v3", 0, ""),
    "I045": ("qwen3-30b-a3b", 0, ""),
    "I046": ("qwen3-30b-a3b", 0, ""),
    "I050": ("qwen3-235b-a22b", 0, ""),
    "I052": ("qwen3-30b-a3b", 2, ""),
    "I071": ("qwen3-235b-a22b", 1, ""),
    "I078": ("gemma-3-27b-text", 0, ""),
    "I107": ("qwen3-30b-a3b", 1, ""),
    "I109": ("qwen3-235b-a22b", 2, "q6_k"),
    "I119": ("command-r-35b", 2, ""),
    "I121": ("pythia-2.8b", 1, ""),
}
EXPANDED = {"I036"}  # before latent attention was absorbed


def of_log(row: dict[str, str]) -> Iterator[tuple[Buffer, float]]:
    """What is predicted of each buffer of a log, and what it says in bytes."""
    name, cards, stored = LOGGED[row["id"]]
    model, form = model_named(name).model, cache_format_named(row["kv_type_k"])
    engine = LlamaCpp(
        ubatch=int(row["n_ubatch"]),
        flash_attention=row["flash_attn"] == "1",
        swa_full=True,  # none had caches for windows yet
        cpu_experts=model.layers if stored else 0,
    )
    sizes = cells.of_options(int(row["n_ctx"]), 1, engine, int(row["n_batch"]))
    fork = Fork(latent=0) if row["engine"].startswith("ik") else None
    run = compute.Runs(model, sizes, engine, form, form, row["id"] in EXPANDED, older=True, fork=fork)
    logged = {place: float(size) for place, size in re.findall(r"(\w+)=([\d.]+)", row["compute_buffers_MiB"])}
    if not cards:
        yield compute.on_cpu(run), logged["CPU"] * MIB
        return
    held = weights.stored(model, stored_as(model, stored) if stored else FP16)
    where = placed(len(held.layers), engine, (CARD,) * cards)
    for place in range(cards):
        if f"CUDA{place}" in logged:
            found = compute.on_device(run, held, where, place, cards=cards)
            yield found, logged[f"CUDA{place}"] * MIB
    if "CUDA_Host" in logged:
        yield compute.beside_devices(run, where, cards), logged["CUDA_Host"] * MIB


@needs_reference
def test_logs_from_gpus_within_a_hundredth_at_the_median() -> None:
    found = [pair for row in rows("measured_inference.csv") if row["id"] in LOGGED for pair in of_log(row)]
    off = sorted(abs(buffer.bytes / size - 1) for buffer, size in found)
    assert len(off) > 28
    assert median(off) < 0.01
    assert off[int(NINE_TENTHS * len(off))] < 0.06
    assert off[-1] < 0.1
    assert sum(buffer.low <= size <= buffer.high for buffer, size in found) >= 0.9 * len(found)
