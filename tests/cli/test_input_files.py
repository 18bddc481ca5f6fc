"""Files that are none: devices, pipes, loops, impossible names. Each gets its own sentence, at once."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Answer

Run = Callable[..., Answer]
PLAN = ("fit", "gpt2", "--gpu", "rtx-4090", "--plan")
posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX devices, pipes and links")


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """A folder with a pipe and with links that lead nowhere."""
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "loop.json").symlink_to(tmp_path / "loop.json")
    (tmp_path / "gone.json").symlink_to(tmp_path / "nothing")
    return tmp_path


@posix
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("/dev/zero", "is not a regular file"),
        ("/dev/null", "is not a regular file"),
        ("pipe.json", "is not a regular file"),
        ("loop.json", "is a link that leads nowhere"),
        ("gone.json", "is a link that leads nowhere"),
        ("nothing.json", "is not there"),
        ("a" * 300 + ".json", "cannot be read: File name too long"),
    ],
)
@pytest.mark.parametrize("command", [("show",), PLAN], ids=["model", "plan"])
def test_what_is_no_file_is_said(
    run: Run, odd: Path, name: str, words: str, command: tuple[str, ...]
) -> None:
    answer = run(*command, odd / name, "--json")
    assert answer.code == 2
    assert answer.error["field"] == ("model" if command == ("show",) else "plan")
    assert words in (answer.error["message"] or "")
    assert "written" not in (answer.error["message"] or "")


@posix
def test_the_window_s_file_is_looked_at_too(run: Run, odd: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmplanner.cli.has_display", lambda: False)
    assert "leads nowhere" in run(odd / "loop.json").err
    assert "neither a file nor a command" in run("a" * 300).err


def test_a_folder_is_no_plan(run: Run, tmp_path: Path) -> None:
    assert "is a folder" in run(*PLAN, tmp_path).err


def test_a_home_that_nobody_has(run: Run) -> None:
    answer = run("show", "~nobody-of-this-name/x.json", "--json")
    assert (answer.code, answer.error["field"]) == (2, "model")
    assert "is not there" in (answer.error["message"] or "")


def test_a_name_that_no_file_can_have_is_no_model(run: Run) -> None:
    assert "There is no model" in run("show", "a" * 300).err


@pytest.mark.parametrize(
    "content",
    [b'{"llmplanner_plan": 1, "batch": ' + b"9" * 5000 + b"}", b'{"llmplanner_plan": ' + b"[" * 100_000],
    ids=["digits", "depth"],
)
def test_the_interpreter_s_own_words_stay_inside(run: Run, tmp_path: Path, content: bytes) -> None:
    plan = tmp_path / "plan.json"
    plan.write_bytes(content)
    config = tmp_path / "config.json"
    config.write_bytes(content.replace(b"llmplanner_plan", b"model_type"))
    for answer in (run(*PLAN, plan), run("show", config)):
        assert answer.code == 2
        assert "recursion" not in answer.err
        assert "sys." not in answer.err


def test_a_bad_dtype_is_told_by_its_own_key_and_the_file(run: Run, tmp_path: Path) -> None:
    config = {"model_type": "gpt2", "torch_dtype": "float1"}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    answer = run("show", tmp_path, "--json")
    assert answer.error["field"] == "torch_dtype"
    assert answer.error["message"].startswith(f'{tmp_path / "config.json"}: torch_dtype is "float1", not one')  # type: ignore[union-attr]


def test_a_kept_config_needs_nothing_of_its_path(run: Run, tmp_path: Path) -> None:
    plan = {"llmplanner_plan": 1, "gpu": "rtx-4090", "context": 512, "config": {"model_type": "gpt2"}}
    for name in ("~nobody-of-this-name/config.json", "a" * 300, "a\0b", "Qwen2.5-7B"):
        file = tmp_path / "plan.json"
        file.write_text(json.dumps({**plan, "model": name}), encoding="utf-8")
        assert run("fit", "--plan", file).code == 0
    assert run("fit", "--plan", file, "--json").json["model"]["name"] == "Qwen2.5-7B"
