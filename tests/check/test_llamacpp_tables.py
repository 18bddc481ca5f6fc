"""The tables of llama.cpp's buffers: what the program and its kin allocated, beside what is said of a row."""

from pathlib import Path

import pytest

from llmplanner.check import llamacpp_memory, measured_inference
from llmplanner.check.lookup import Lookup
from llmplanner.core.errors import BadInput
from tests.reference import REFERENCE, needs_reference, rows

EXPANDED = {
    "engine": "ik_llama.cpp", "model": "a DeepSeek", "arch": "deepseek2", "n_layer": "61", "n_head_kv": "128",
    "head_k": "192", "head_v": "128", "n_ctx": "8192", "kv_type_k": "f16", "kv_type_v": "f16",
}  # fmt: skip


@needs_reference
def test_caches_and_outputs_of_the_cpu_build_are_exact() -> None:
    """From the headers that the program read, and from the configs of the same models."""
    lookup = Lookup(REFERENCE)
    for row in rows("llamacpp_memory_cpu.csv"):
        found = llamacpp_memory.answer(row, lookup)
        assert found["output_MiB"].predicted == float(row["output_MiB"])
        if row["context_MiB"]:
            assert found["context_MiB"].predicted == float(row["context_MiB"])


@needs_reference
@pytest.mark.parametrize(
    "row",
    [row for row in rows("measured_inference.csv") if "llama.cpp" in row["engine"] and row["kv_total_MiB"]],
    ids=lambda row: row["id"],
)
def test_logged_keys_and_values_are_exact(row: dict[str, str]) -> None:
    found = measured_inference.answer(row, Lookup(Path("nowhere")))["kv_total_MiB"]
    assert found.predicted == pytest.approx(float(row["kv_total_MiB"]), abs=0.02)


@needs_reference
@pytest.mark.parametrize("identity", ["I132", "I135", "I136", "I146"])
def test_keys_and_values_of_logged_tokens(identity: str) -> None:
    """Totals are logged in GiB to two places, of the rank with most room where several share the heads."""
    row = next(row for row in rows("measured_inference.csv") if row["id"] == identity)
    found = measured_inference.answer(row, Lookup(Path("nowhere")))["kv_total_MiB"]
    assert found.predicted == pytest.approx(float(row["kv_total_MiB"]), rel=0.012)


@pytest.mark.parametrize(
    ("mode", "flash", "elements"),
    [("0", "0", 128 * (192 + 128)), ("1", "0", 576 + 512), ("1", "1", 576), ("2", "0", 576), ("3", "1", 576)],
)
def test_modes_of_latent_attention(mode: str, flash: str, elements: int) -> None:
    row = {**EXPANDED, "mla_mode": mode, "flash_attn": flash}
    found = measured_inference.answer(row, Lookup(Path("nowhere")))["kv_total_MiB"]
    assert found.predicted == 61 * 8192 * elements * 2 / 2**20


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"engine": "exllama v1"}, "is not known"),
        ({"kv_type_k": "q9_7"}, "not a number format"),
        ({"n_ctx": ""}, "n_ctx is empty"),
        ({"engine": "llama.cpp", "arch": "gemma9", "n_swa": "512"}, "have a window"),
        ({"engine": "vLLM"}, "how many tokens"),
        ({"n_layer": "", "model": "no-such-model"}, "No model"),
    ],
)
def test_rows_that_cannot_be_answered_say_why(changed: dict[str, str], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        measured_inference.answer({**EXPANDED, **changed}, Lookup(Path("nowhere")))


@pytest.mark.parametrize(("flash", "cells"), [("0", 2048), ("1", 2048 + 256)])
def test_older_releases_pad_less_without_flash_attention(flash: str, cells: int) -> None:
    row = {**EXPANDED, "arch": "llama", "n_ctx": "2040" if flash == "0" else "2049", "flash_attn": flash}
    found = measured_inference.answer(row, Lookup(Path("nowhere")))["kv_total_MiB"]
    assert found.predicted == 61 * cells * 128 * (192 + 128) * 2 / 2**20
