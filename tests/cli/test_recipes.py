"""Weights that nobody has quantized yet, on the command line and in plan files."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from llmplanner.core.recipes import RECIPES
from llmplanner.plans import Draft, read, write
from tests.cli.conftest import Answer

Run = Callable[..., Answer]
PLAN = ("llama-3.1-8b", "--gpu", "rtx-4090")
GIB = 2**30


def _weights(run: Run, *options: object) -> dict[str, float]:
    (device,) = run("memory", *PLAN, *options, "--json").json["devices"]
    return next(term for term in device["terms"] if term["name"] == "weights")


@pytest.mark.parametrize(  # ggml-org/llama.cpp, tools/quantize/README.md, Llama-3.1-8B
    ("key", "published"), [("q4_k_m", 4.58), ("Q8_0", 7.95), ("q2_k", 2.95), ("iq4_xs", 4.17)]
)
def test_a_quantization_is_as_large_as_published(run: Run, key: str, published: float) -> None:
    term = _weights(run, "--weights", key)
    assert term["bytes"] / GIB == pytest.approx(published, rel=0.005)
    assert term["low"] == term["bytes"] == term["high"]


def test_the_answer_says_what_the_file_holds(run: Run) -> None:
    out = " ".join(run("memory", *PLAN, "--weights", "q4_k_m").out.split())
    assert "served in Q4_K_M" in out
    assert "GiB of Q6_K" in out
    assert "MiB of F32 (65 tensors)" in out  # too little for GiB
    assert "llama.cpp 0.5.0-dev" in out


def test_a_plan_file_keeps_the_quantization(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "mine.llmplan.json"
    write(path, Draft(weights="nf4-double", gpu="rtx-4090"))
    assert read(path) == replace(Draft(), weights="nf4-double", gpu="rtx-4090")
    assert "served in NF4" in run("fit", "--plan", path).out


def test_help_lists_every_quantization(run: Run) -> None:
    help_text = run("memory", "--help").out
    assert all(key in help_text for key in RECIPES)
    assert "bitsandbytes: nf4" in " ".join(help_text.split())


def test_a_quantization_that_there_is_not_is_refused_with_its_likes(run: Run) -> None:
    answer = run("memory", *PLAN, "--weights", "q4_k_x", "--json")
    assert answer.code == 2
    assert answer.error["field"] == "weights"
    assert "q4_k_m" in str(answer.error["message"])


def test_a_start_without_a_quantization_loads_no_rules() -> None:
    code = (
        "import sys; from llmplanner import cli; cli.main(['fit', 'llama-3.1-8b', '--gpu', 'rtx-4090']);"
        "print(sorted(name for name in sys.modules if name.startswith('llmplanner.core.recipes.')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=os.environ
    )
    assert not {"llamacpp", "file_types", "gguf_tensors", "libraries"} & set(
        done.stdout.splitlines()[-1].replace("'", ".").split(".")
    )
