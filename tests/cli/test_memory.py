"""`memory`, and the options by which every command states a plan."""

from collections.abc import Callable
from pathlib import Path

import pytest

from llmplanner.plans import Draft, write
from tests.cli.conftest import Answer

Run = Callable[..., Answer]
PLAN = ("llama-3.1-8b", "--gpu", "rtx-4090")
TERMS = {
    *("weights", "kv_cache", "recurrent_state", "activations", "logits", "gradients"),
    *("optimizer", "master_weights", "temporaries", "communication", "runtime"),
}


def of(run: Run, *options: object) -> dict[str, int]:
    """The terms of the first device in bytes."""
    device = run("memory", *PLAN, *options, "--json").json["devices"][0]
    return {term["name"]: term["bytes"] for term in device["terms"]}


def test_the_answer_has_the_contracts_shape(run: Run) -> None:
    answer = run("memory", *PLAN, "--json").json
    assert answer["schema"] == 1
    assert set(answer["model"]) == {
        *("name", "kind", "layers", "parameters", "active_parameters"),
        *("embedding_parameters", "weight_bytes", "context_length", "source"),
    }
    (device,) = answer["devices"]
    assert device["name"] == "GeForce RTX 4090"
    assert [phase["phase"] for phase in device["phases"]] == ["load", "prefill", "decode"]
    assert device["peak_phase"] in {"load", "prefill", "decode"}
    for phase in (device, *device["phases"]):
        assert sum(term["bytes"] for term in phase["terms"]) == phase["total_bytes"]
        for term in phase["terms"]:
            assert {"name", "bytes", "low", "high", "formula", "source"} <= set(term)
            assert term["name"] in TERMS
            assert term["low"] <= term["bytes"] <= term["high"]
            assert term["formula"]
            assert term["source"]
    assert device["total_bytes"] == max(phase["total_bytes"] for phase in device["phases"])


def test_options_reach_the_estimate(run: Run) -> None:
    start = of(run)
    assert start["kv_cache"] == 2**30  # 8,192 tokens of 128 KiB: Llama 3.1 8B's cache in 16 bits
    assert of(run, "--context", "16k")["kv_cache"] == 2 * start["kv_cache"]
    assert of(run, "--batch", "3")["kv_cache"] == 3 * start["kv_cache"]
    assert of(run, "--kv", "fp8-e4m3")["kv_cache"] * 2 == start["kv_cache"]
    assert of(run, "--weights", "int8")["weights"] * 2 == start["weights"]
    assert of(run, "--set", "context=16384", "--set", "batch=2")["kv_cache"] == 4 * start["kv_cache"]


def test_set_wins_over_options_and_both_over_a_plan_file(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "plan.llmplan.json"
    write(path, Draft(model="llama-3.1-8b", gpu="rtx-4090", context=1024, batch=8))
    planned = run("memory", "--plan", path, "--context", "2k", "--set", "context=4096", "--json").json
    terms = {term["name"]: term["bytes"] for term in planned["devices"][0]["phases"][-1]["terms"]}
    assert terms["kv_cache"] == 8 * 2**29


def test_lengths_that_nobody_stated_are_within_the_model(run: Run) -> None:
    assert "512 tokens of context" in run("memory", "bert-base-uncased", "--gpu", "rtx-4090").out
    assert "1 × 1,024 tokens" in run("memory", "gpt2", "--gpu", "rtx-4090", "--task", "finetune").out
    answer = run("memory", "gpt2", "--gpu", "rtx-4090", "--set", "context=8192", "--json")
    assert answer.error["field"] == "context"


def test_a_split_lists_every_device(run: Run) -> None:
    answer = run("memory", *PLAN, "--count", "2", "--json").json
    assert len(answer["devices"]) == 2
    assert run("memory", *PLAN, "--count", "2").out.count("on each of 2 devices") == 1


def test_memory_for_people(run: Run) -> None:
    answer = run("memory", *PLAN)
    assert "8,030,261,248 parameters" in answer.out
    assert "Source:" in answer.out
    assert "GiB" in answer.out
    assert all(len(line) <= 80 for line in answer.out.splitlines())


@pytest.mark.parametrize(
    ("options", "field", "words"),
    [
        (("--context", "0"), "context", ""),
        (("--context", "many"), "context", "many"),
        (("--context", "-1"), "context", ""),
        (("--context", "1M"), "context", "131,072"),
        (("--batch", "0,5"), "batch", ""),
        (("--weights", "fp3"), "weights", "bf16"),
        (("--kv", "q8"), "kv", ""),
        (("--engine", "ollama"), "engine", ""),
        (("--task", "sleep"), "task", "serve"),
        (
            ("--task", "finetune", "--method", "lora", "--set", "lora_targets=c_attn"),
            "lora_targets",
            "q_proj",
        ),
        (("--task", "pretrain", "--tp", "3"), "tp", "2 or 4"),
        (("--task", "pretrain", "--pp", "33"), "pp", "at most 32"),
        (("--task", "pretrain", "--cp", "3"), "cp", "2 or 4"),
        (("--task", "pretrain", "--ep", "2"), "ep", "no experts"),
        (("--task", "pretrain", "--dp", "8", "--zero", "3", "--set", "hybrid=3"), "hybrid", "2 or 4"),
        (("--zero", "4"), "zero", ""),
        (("--count", "3", "--tp", "2"), "count", ""),
        (("--gpu", "H100"), "gpu", "h100-sxm"),
        (("--gpu", "Voodoo 2"), "gpu", ""),
        (("--set", "colour=blue"), "colour", "no field"),
        (("--set", "context"), "set", "NAME=VALUE"),
        (("--plan", "/no/such/plan"), "plan", "is not there"),
        (("--context",), "context", "expected one argument"),
    ],
)
def test_options_that_cannot_be_used(
    run: Run, options: tuple[str, ...], field: str | None, words: str
) -> None:
    answer = run("memory", *PLAN, *options, "--json")
    assert answer.code == 2
    assert answer.error["field"] == field
    assert words in (answer.error["message"] or "")
    plain = run("memory", *PLAN, *options)
    assert plain.code == 2
    assert plain.err.count("\n") == 1


def test_a_model_is_needed(run: Run) -> None:
    answer = run("memory", "--json")
    assert answer.code == 2
    assert answer.error["field"] == "model"


def test_a_what_if_changes_the_model(run: Run) -> None:
    options = ("--context", "1k", "--gpu", "rtx-4090", "--json")
    whole = run("memory", "llama-3.1-8b", *options).json["model"]
    half = run("memory", "llama-3.1-8b", *options, "--change", "layers=16").json["model"]
    assert half["layers"] == 16
    assert whole["parameters"] - half["parameters"] == 16 * 218_112_000
    for wrong in ("layers", "layers=0", "depth=3", "heads=7", "experts=4"):
        answer = run("memory", "llama-3.1-8b", *options[:-1], "--change", wrong)
        assert answer.code == 2
        assert answer.err.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "field"),
    [
        (("--engine", "vllm", "--gpu", "t4"), "weights"),
        (("--attention", "flash", "--gpu", "v100-sxm2-32gb"), "attention"),
        (("--task", "finetune", "--precision", "fp8-mixed", "--gpu", "rtx-3090"), "precision"),
        (("--task", "finetune", "--attention", "flash", "--gpu", "rtx-2080-ti"), "attention"),
    ],
)
def test_what_a_card_cannot_run_is_refused(run: Run, options: tuple[str, ...], field: str) -> None:
    answer = run("memory", "llama-3.2-1b", "--json", *options)
    assert answer.code == 2
    assert answer.error["field"] == field


@pytest.mark.parametrize(
    "options",
    [
        ("--engine", "vllm", "--gpu", "t4", "--weights", "fp16"),
        ("--task", "finetune", "--precision", "fp8-mixed", "--gpu", "rtx-4090"),
        ("--task", "finetune", "--precision", "bf16", "--gpu", "v100-sxm2-32gb"),  # PyTorch emulates it
    ],
)
def test_what_it_can_run_is_not(run: Run, options: tuple[str, ...]) -> None:
    assert run("memory", "llama-3.2-1b", "--json", *options).code == 0
