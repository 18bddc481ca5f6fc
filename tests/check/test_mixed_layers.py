"""Logged caches of models of which only some layers keep keys and values."""

from pathlib import Path

import pytest

from llmplanner.check import measured_inference
from llmplanner.check.lookup import Lookup
from llmplanner.core.errors import BadInput

LOGGED = {
    "engine": "llama.cpp",
    "engine_ver": "2026",
    "model": "Qwen3.6 27B",
    "arch": "qwen35",
    "n_layer": "64",
    "n_head_kv": "4",
    "head_k": "256",
    "head_v": "256",
    "flash_attn": "1",
    "kv_type_k": "q8_0",
    "kv_type_v": "q8_0",
}


@pytest.mark.parametrize(("context", "size"), [("131072", 4352), ("200192", 6647), ("262144", 8704)])
def test_of_layers_that_take_turns_with_a_state_one_in_four_keeps_keys_and_values(
    context: str, size: int
) -> None:
    """Three public logs of llama.cpp, of 2026: "16 layers" of 64."""
    found = measured_inference.answer(LOGGED | {"n_ctx": context}, Lookup(Path("nowhere")))["kv_total_MiB"]
    assert found.predicted == pytest.approx(size)


@pytest.mark.parametrize("arch", ["nemotron_h_moe", "jamba", "granitehybrid", "lfm2", "kimi-linear"])
def test_how_many_layers_keep_keys_and_values_is_not_guessed(arch: str) -> None:
    with pytest.raises(BadInput, match="Which layers"):
        measured_inference.answer(LOGGED | {"n_ctx": "8192", "arch": arch}, Lookup(Path("nowhere")))
