"""What holds for every command: help, version, errors as sentences and as JSON, and the program's edge."""

import errno
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

import llmplanner
from llmplanner import cli
from llmplanner.cli import edge, output
from tests.cli.conftest import ROOT, Answer

Run = Callable[..., Answer]


def test_version(run: Run) -> None:
    assert run("--version").out == f"llmplanner {llmplanner.__version__}\n"


def test_help_names_every_command(run: Run) -> None:
    answer = run("--help")
    assert answer.code == 0
    for name in cli.COMMANDS:
        assert f"  {name} " in answer.out


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_has_help(run: Run, name: str) -> None:
    answer = run(name, "--help")
    assert answer.code == 0
    assert "--json" in answer.out


@pytest.mark.parametrize(
    ("arguments", "field", "words"),
    [
        (("solve", "context", "llama"), "command", "comes in a later version"),
        (("fitt",), "command", "neither a file nor a command"),
        (("--verbose",), "verbose", "options follow a command"),
        (("gpus", "--verbose"), "verbose", "Unrecognized arguments: --verbose"),
        (("gpus", "extra"), None, "Unrecognized arguments: extra"),
        (("gpus", "--js"), "js", "Unrecognized"),  # no abbreviations
    ],
)
def test_what_cannot_be_run_is_one_sentence(
    run: Run, arguments: tuple[str, ...], field: str | None, words: str
) -> None:
    answer = run(*arguments)
    assert (answer.code, answer.out) == (2, "")
    assert words in answer.err
    assert answer.err.count("\n") == 1
    again = run(*arguments, "--json")
    assert again.code == 2
    assert again.error["field"] == field
    assert words in (again.error["message"] or "")


def test_a_file_and_more_is_refused(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    file.touch()
    answer = run(file, "fit")
    assert answer.code == 2
    assert "one file" in answer.err


def command(monkeypatch: pytest.MonkeyPatch, action: Callable[[object], int]) -> None:
    """Makes `llmplanner gpus` do something else."""
    module = SimpleNamespace(add_arguments=lambda _parser: None, run=action)
    monkeypatch.setattr(importlib, "import_module", lambda _name: module)


def test_a_mistake_of_ours_goes_to_the_log_and_says_where(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr("llmplanner.cli.places.log_file", lambda: tmp_path / "logs" / "llmplanner.log")

    def broken(_arguments: object) -> int:
        raise ZeroDivisionError("by nothing")

    command(monkeypatch, broken)
    answer = run("gpus")
    assert answer.code == edge.CRASHED
    assert answer.err.count("\n") == 1
    assert "ZeroDivisionError" in answer.err
    log = tmp_path / "logs" / "llmplanner.log"
    assert str(log) in answer.err
    assert "by nothing" in log.read_text(encoding="utf-8")
    assert "Traceback" in log.read_text(encoding="utf-8")
    assert run("gpus", "--json").error["field"] is None


def test_a_log_that_cannot_be_written_gives_the_details_at_once(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr("llmplanner.cli.places.log_file", lambda: tmp_path / "file" / "llmplanner.log")

    def broken(_arguments: object) -> int:
        raise ZeroDivisionError("by nothing")

    command(monkeypatch, broken)
    answer = run("gpus")
    assert answer.code == edge.CRASHED
    assert "by nothing" in answer.err


def test_an_interrupt_is_no_error(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_arguments: object) -> int:
        raise KeyboardInterrupt

    command(monkeypatch, interrupted)
    answer = run("gpus")
    assert (answer.code, answer.err) == (130, "Stopped.\n")


def test_a_full_disk_is_said(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_arguments: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "answer.txt")

    monkeypatch.setattr(cli, "silence", lambda: 0)
    command(monkeypatch, full)
    answer = run("gpus")
    assert answer.code == 2
    assert "answer.txt cannot be used: No space left on device" in answer.err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_behind_standard_output() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "llmplanner", "--version"],
            cwd=ROOT,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 2
    assert "No space left" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.skipif(os.name != "posix", reason="needs a shell")
def test_a_reader_that_leaves_early() -> None:
    script = f"set -o pipefail; {sys.executable} -m llmplanner --help | true"
    done = subprocess.run(
        ["bash", "-c", f"for i in 1 2 3; do {script}; done"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""


@pytest.mark.skipif(os.name != "posix", reason="needs a shell")
def test_closed_streams() -> None:
    script = f"{sys.executable} -m llmplanner gpus >&- 2>&-"
    assert subprocess.run(["sh", "-c", script], cwd=ROOT, timeout=60, check=False).returncode == 0


def test_a_terminal_without_the_characters(start: Run) -> None:
    answer = start("gpus", PYTHONIOENCODING="ascii")
    assert answer.code == 0


def test_numbers_that_are_not_finite_are_no_json() -> None:
    with pytest.raises(ValueError, match="Out of range"):
        output.print_json({"loss": float("nan")})


def test_tables_are_aligned() -> None:
    assert output.table([("a", "1"), ("long", "1,000")], "lr") == ["a         1", "long  1,000"]


def test_gpus_says_which_cards_programs_are_shown(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,3")
    assert "CUDA_VISIBLE_DEVICES is '1,3'" in run("gpus").out
    assert run("gpus", "--json").json["cuda_visible_devices"] == "1,3"


def test_gpus_as_json(run: Run) -> None:
    answer = run("gpus", "--json")
    assert answer.code == 0
    assert answer.json["schema"] == 1
    assert {"state", "message", "devices"} <= set(answer.json)
    assert json.loads(answer.out)["message"].endswith(".")
