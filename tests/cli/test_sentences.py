"""What the sentences say: the right name, the right number of things, and nothing that a terminal obeys."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from llmplanner.cli.program import VARIABLE
from tests.cli.conftest import Answer

Run = Callable[..., Answer]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a folder in it that is named like a file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.csv").mkdir()
    return tmp_path


@pytest.mark.parametrize("called", ["python3 run.py", "py ../planner/run.py"])
def test_the_program_is_named_as_it_was_called(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, called: str
) -> None:
    monkeypatch.setenv(VARIABLE, called)
    monkeypatch.setattr("llmplanner.cli.has_display", lambda: False)
    monkeypatch.chdir(tmp_path)
    assert f"`{called} bits --help`" in run("bits").err
    assert f"`{called} --help`" in run("--verbose").err
    assert f"{called} [FILE]" in run("--help").out
    assert f"{called} fit MODEL --gpu NAME" in run().out
    for arguments in (
        ("bits",),
        ("--help",),
        ("fit",),
        ("fit", "--help"),
        ("models", "zzz"),
        ("show", "zzz"),
    ):
        answer = run(*arguments)
        assert "llmplanner " not in answer.out + answer.err


def test_a_module_is_named_as_one(start: Run) -> None:
    assert "`python3 -m llmplanner bits --help`" in start("bits").err


def test_terminals_are_told_nothing_to_obey(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "line\nbreak\x1b]0;title\x07"
    folder.mkdir()
    config = {"model_type": "\x1b[31mred\n\u202e"}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    answer = run("show", folder)
    assert answer.code == 2
    assert answer.err.count("\n") == 1
    assert "red" in answer.err
    assert not {"\x1b", "\u202e"} & set(answer.err)
    assert r"line\nbreak\x1b]0;title\x07" in answer.err
    (folder / "config.json").write_text('{"model_type": "gpt2"}', encoding="utf-8")
    printed = run("show", folder).out + run("fit", folder, "--gpu", "rtx-4090").out
    assert "\x1b" not in printed
    assert "Source: " in printed


@pytest.mark.parametrize(
    ("arguments", "field", "words"),
    [
        (("scaling", "--compute", "0"), "compute", "--compute: '0' is out of range"),
        (("scaling", "--compute", "1"), "compute", "it takes 1,000,000,000,000 to"),
        (("scaling", "--parameters", "1", "--tokens", "1"), "parameters", "below 1.00e12 FLOPs"),
        (("scaling", "--parameters", "0", "--tokens", "1T"), "parameters", "--parameters: '0'"),
        (("chart", "memory", "-o", "x.csv", "--dpi"), "dpi", "expected one argument"),
        (("chart", "memory", "-o", "x.png", "--dpi", "1.5"), "dpi", "it takes 48 to 1,200"),
        (("chart", "memory", "-o", "x.png", "--dpi", "96.5"), "dpi", "is not whole"),
        (("chart", "memory", "-o", "x.jpg"), "output", "the kind jpg is not supported; take .png"),
        (("chart", "memory", "-o", "there.csv"), "output", "it is a folder; add the name of a file"),
        (("chart", "memory", "-o", "nodir/x.csv"), "output", "there is no folder nodir; make it"),
        (("fit", "gpt2", "--colour=red"), "colour", "--colour"),
        (("fit", "gpt2", "--micro-bunch", "3"), "micro_bunch", "--micro-bunch"),
        (("--verbose",), "verbose", "options follow a command"),
        (("compute", "--parameters", "7B", "--gpu", "t4", "--efficiency", "35"), "efficiency", "35 %"),
        (("compute", "--parameters", "7B", "--gpu", "t4", "--precision", "bf16"), "precision",
         "No BF16 peak of Tesla T4 is known"),
        (("compute", "--parameters", "7B", "--gpu", "t4", "--precision", "bf16-mixed"), "precision",
         "take --precision fp32 or fp16-mixed"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(
    run: Run, folder: Path, arguments: tuple[str, ...], field: str, words: str
) -> None:
    answer = run(*arguments, "--json")
    assert (answer.code, answer.error["field"]) == (2, field)
    assert words in (answer.error["message"] or "")
    assert [path.name for path in folder.iterdir()] == ["there.csv"]


def test_a_peak_of_another_format_is_said(run: Run) -> None:
    asked = ("compute", "--parameters", "7B", "--gpu", "t4")
    answer = run(*asked, "--json").json
    assert (answer["format"], answer["format_wanted"], answer["peak_flops"]) == ("fp16", "bf16", 65e12)
    out = " ".join(run(*asked).out.split())
    assert "65 TFLOP/s dense FP16" in out
    assert "No BF16 peak of it is known" in out
    assert "No FP16" not in run(*asked, "--precision", "fp16-mixed").out


def test_one_is_not_many(run: Run) -> None:
    out = run("compute", "--parameters", "1", "--tokens", "1", "--gpu", "t4").out
    assert "1 GPU at once" in out
    assert "of 1 parameter on 1 token\n" in out
    assert "6 × 1 parameter × 1 token\n" in out
    assert "8 GPUs at once" in run("compute", "--parameters", "7B", "--gpu", "t4", "--count", "8").out


def test_laws_without_a_loss_do_not_repeat_the_question(run: Run) -> None:
    asked = ("scaling", "--parameters", "70B", "--tokens", "1.4T")
    rows = [line.split()[0] for line in run(*asked).out.splitlines() if "70B " in line]
    losses = {law["law"]: law["loss"] for law in run(*asked, "--json").json["laws"]}
    assert set(rows[1:]) == {name for name, loss in losses.items() if loss is not None}
    assert "Of the best size alone, not of a loss, speak: hoffmann1, hoffmann2" in run(*asked).out
    assert "hoffmann1" in run(*asked, "--law", "hoffmann1").out


def test_no_model_is_an_answer(run: Run) -> None:
    answer = run("models", "nothing-like-it", "--json")
    assert answer.code == 0
    assert answer.json == {"schema": 1, "models": []}
    assert "No model matches" in run("models", "nothing-like-it").out


@pytest.mark.parametrize(("typed", "read"), [("3,141", "3141"), ("0,1", "0.1"), ("1.234.567,5", "1234567.5")])
def test_a_comma_is_shown_as_it_was_read(run: Run, typed: str, read: str) -> None:
    assert run("bits", typed).out.startswith(f"{typed} = {read}\n")
