"""Runs commands as the program does, in this process or in one of their own."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtWidgets import QApplication

from llmplanner.cli import main

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command printed and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:  # noqa: ANN401 - the tests look into it
        """The answer of a command with --json."""
        return json.loads(self.out)

    @property
    def error(self) -> dict[str, str | None]:
        """The error of a command with --json."""
        answer = json.loads(self.err)
        assert answer["schema"] == 1
        assert not self.out
        error: dict[str, str | None] = answer["error"]
        return error


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], qapp: QApplication) -> Callable[..., Answer]:
    """Runs a command in this process, where charts are drawn by the application that all tests share."""
    assert qapp is not None

    def command(*arguments: object) -> Answer:
        code = main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return Answer(code, printed.out, printed.err)

    return command


@pytest.fixture
def start() -> Callable[..., Answer]:
    """Runs `python -m llmplanner` as a process of its own."""

    def command(*arguments: object, **environment: str) -> Answer:
        done = subprocess.run(
            [sys.executable, "-m", "llmplanner", *map(str, arguments)],
            cwd=ROOT,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    return command
