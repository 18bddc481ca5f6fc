"""`llmplanner` alone, without a display."""

from collections.abc import Callable
from pathlib import Path

import pytest

from llmplanner.charts import export
from llmplanner.core.errors import BadInput
from llmplanner.plans import Draft, write
from tests.cli.conftest import Answer
from tests.reference import REFERENCE, needs_reference

Run = Callable[..., Answer]


@pytest.fixture(autouse=True)
def without_a_display(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.chdir(tmp_path)


def test_the_example_is_answered_and_charted(run: Run, tmp_path: Path) -> None:
    answer = run()
    assert (answer.code, answer.err) == (0, "")
    assert "Llama 3.1 8B" in answer.out
    assert "23.01 of 23.65 GiB of the empty card" in answer.out
    assert "llmplanner fit MODEL --gpu NAME" in answer.out
    picture = tmp_path / "llmplanner-memory.png"
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.name in answer.out
    assert all(len(line) <= 80 for line in answer.out.splitlines() if "/" not in line)


def test_a_plan_file_is_answered(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "mine.llmplan.json"
    write(path, Draft(model="mistral-7b-v0.1", gpu="rtx-3090", context=4096))
    assert "Mistral 7B" in run(path).out


@needs_reference
def test_a_model_file_is_answered(run: Run) -> None:
    answer = run(REFERENCE / "configs" / "bert-base-uncased.json")
    assert answer.code == 0
    assert "512 tokens of context" in answer.out


def test_a_file_of_neither_kind(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "notes.json"
    path.write_text("[]", encoding="utf-8")
    answer = run(path)
    assert answer.code == 2
    assert "notes.json" in answer.err


def test_a_display_that_does_not_answer_counts_as_none(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":4711")
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-4711")
    assert run().code == 0


def test_without_a_place_for_the_picture_the_answer_stands(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise BadInput("There is no room.")

    monkeypatch.setattr(export, "save", refuse)
    answer = run()
    assert answer.code == 0
    assert "The chart was not written. There is no room." in answer.out
