"""llama.cpp's compute buffers against those that the program allocated."""

from collections.abc import Callable
from functools import cache
from statistics import median

import pytest

from llmplanner.core.blocks import cache_format_named
from llmplanner.core.engine import LlamaCpp
from llmplanner.core.model import Model
from llmplanner.core.serving.llamacpp import cells, compute
from llmplanner.models import files
from tests.reference import REFERENCE, needs_reference, rows

MIB = 2**20
HEADERS = REFERENCE / "corpus" / "gguf_shapes"
NINE_TENTHS = 0.9


@cache
def header(name: str) -> Model:
    return files.open_path(HEADERS / f"{name}.gguf").model


def runs(model: Model, n_ctx: int, sequences: int, kv_type: str, engine: LlamaCpp) -> compute.Runs:
    form = cache_format_named(kv_type)
    return compute.Runs(model, cells.of_options(n_ctx, sequences, engine), engine, form, form)


@cache
def measured() -> tuple[tuple[dict[str, str], compute.Buffer, float], ...]:
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
    assert found[int(NINE_TENTHS * len(found))] < 0.01
    assert found[-1] < 0.1


@needs_reference
@pytest.mark.parametrize("column", ["model", "flash_attn", "n_ubatch", "n_ctx", "kv_type", "n_parallel"])
def test_no_kind_of_row_hides_behind_the_others(column: str) -> None:
    for value in {row[column] for row, _, _ in measured()}:
        found = errors(lambda row, value=value: row[column] == value)
        assert median(found) < 0.03, value
        assert found[int(NINE_TENTHS * len(found))] < 0.09, value


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
