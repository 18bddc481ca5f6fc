"""What was stated counts, is said to have no effect, or is refused: nothing is passed over in silence."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from llmplanner.plans import Draft, write
from tests.cli.conftest import Answer

Run = Callable[..., Answer]
FIT = ("fit", "llama-3.1-8b", "--gpu", "rtx-4090")


@pytest.mark.parametrize(
    ("options", "ignored"),
    [
        ((), []),
        (("--zero", "3"), ["zero"]),
        (("--optimizer", "sgd", "--sequence", "1k"), ["optimizer", "sequence"]),
        (("--context", "4k", "--batch", "2", "--kv", "int8"), []),
        (("--task", "finetune", "--kv", "int8", "--context", "4k", "--weights", "int4"),
         ["weights", "kv", "context"]),
        (("--task", "finetune", "--zero", "0", "--optimizer", "sgd"), []),
        (("--task", "pretrain", "--set", "tokens=1T"), ["tokens"]),
        (("--task", "finetune", "--zero", "3"), ["zero"]),
        (("--task", "finetune", "--zero", "3", "--dp", "2"), []),
        (("--task", "finetune", "--zero", "3", "--set", "sharding=deepspeed"), []),
        (("--task", "finetune", "--zero", "3", "--set", "offload=parameters"), []),
        (("--task", "pretrain", "--set", "sequence_parallel=on"), ["sequence_parallel"]),
        (("--task", "pretrain", "--set", "sequence_parallel=on", "--tp", "2"), []),
    ],
)  # fmt: skip
def test_what_has_no_effect_is_said(run: Run, options: tuple[str, ...], ignored: list[str]) -> None:
    assert run(*FIT, *options, "--json").json["ignored"] == ignored
    assert run("memory", *FIT[1:], *options, "--json").json["ignored"] == ignored
    told = f"Without effect on this answer: {', '.join(ignored)}."
    for command in ("fit", "memory"):
        assert (told in run(command, *FIT[1:], *options).out) == bool(ignored)


def test_a_chart_says_it_too(run: Run, tmp_path: Path) -> None:
    asked = ("chart", "memory", "-o", tmp_path / "x.csv", "--zero", "3")
    assert run(*asked, "--json").json["ignored"] == ["zero"]
    assert "Without effect on this answer: zero." in run(*asked).out


def test_what_needs_a_gpu_is_said_without_one(run: Run) -> None:
    asked = ("compute", "--parameters", "7B", "--efficiency", "0.4", "--price", "2")
    assert run(*asked, "--json").json["ignored"] == ["efficiency", "price_per_hour"]
    assert "Without effect on this answer: efficiency, price_per_hour." in run(*asked).out
    assert run(*asked, "--gpu", "t4", "--json").json["ignored"] == []


def test_zero_divides_nothing_when_serving(run: Run) -> None:
    assert "ZeRO" not in run(*FIT, "--zero", "3", "--dp", "2").out


def test_a_plan_file_keeps_what_other_tasks_need(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "mine.llmplan.json"
    write(path, Draft(gpu="rtx-4090", zero=3, optimizer="sgd"))
    assert run("fit", "--plan", path, "--json").json["ignored"] == []
    assert run("fit", "--plan", path, "--zero", "2", "--json").json["ignored"] == ["zero"]


def test_a_quantized_file_is_not_passed_over(run: Run, tmp_path: Path) -> None:
    config = {"model_type": "gpt2", "torch_dtype": "float16", "quantization_config": {"bits": 4}}
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config), encoding="utf-8")
    for command in ("fit", "memory"):
        out = " ".join(run(command, path, "--gpu", "rtx-4090").out.split())
        assert "quantization_config, which this version does not read" in out
        assert "count as FP16 unless another format is stated" in out
        assert "quantization_config" not in run(command, "gpt2", "--gpu", "rtx-4090").out


@pytest.mark.parametrize(
    ("assignment", "words"),
    [
        ("batch=0", "it takes 1 to 1,000,000,000."),
        ("batch=-1", "it takes 1 to 1,000,000,000."),
        ("context=0", "it takes 1 to 1,000,000,000."),
        ("zero=4", "it takes 0 to 3."),
        ("efficiency=0", "it takes 0.001 to 1."),
        ("efficiency=35", "write 35 % or 0.35."),
        ("gpu=nodes.xml", "comes in a later version"),
    ],
)
def test_a_field_says_what_it_takes(run: Run, assignment: str, words: str) -> None:
    answer = run(*FIT, "--set", assignment, "--json")
    assert answer.code == 2
    assert answer.error["field"] == assignment.partition("=")[0].replace("-", "_")
    assert words in (answer.error["message"] or "")
