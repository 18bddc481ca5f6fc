"""Keeps the tests off the user's screen, files and language. Set before anything starts Qt."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from PySide6.QtGui import QGuiApplication

from llmplanner.app.theme import ARGUMENTS

HOME = Path(tempfile.mkdtemp(prefix="llmplanner-tests-"))
SCREEN = {"name": "tests", "x": 0, "y": 0, "width": 1920, "height": 1080, "logicalDpi": 96, "dpr": 1}


def isolate() -> None:
    """Gives this process, and the ones it starts, a home, a screen and a language of their own."""
    folders = {
        "HOME": HOME,
        "XDG_CONFIG_HOME": HOME / ".config",
        "XDG_DATA_HOME": HOME / ".local/share",
        "XDG_STATE_HOME": HOME / ".local/state",
        "XDG_CACHE_HOME": HOME / ".cache",
        "XDG_RUNTIME_DIR": HOME / "runtime",
    }
    for name, folder in folders.items():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.environ[name] = str(folder)
    os.environ["LC_ALL"] = "C.UTF-8"
    os.environ["HF_ENDPOINT"] = "http://127.0.0.1:9"  # no test asks a server that it has not started
    screens = HOME / "screens.json"  # without it, offscreen is 800 x 800
    screens.write_text(json.dumps({"screens": [SCREEN]}), encoding="utf-8")
    os.environ.setdefault("QT_QPA_PLATFORM", f"offscreen:configfile={screens}")


isolate()


@pytest.fixture(scope="session")
def qapp_args() -> list[str]:
    """The tests' application has the program's style on every system."""
    return ARGUMENTS


@pytest.fixture(autouse=True)
def forget_settings() -> Iterator[None]:
    """No test finds what another one left in the settings folder."""
    yield
    for left in (HOME / ".config").iterdir():
        shutil.rmtree(left) if left.is_dir() else left.unlink()


@pytest.fixture(autouse=True, scope="session")
def empty_clipboard() -> Iterator[None]:
    """Offscreen, Qt would delete what is left on the clipboard after Python has gone, and crash."""
    yield
    if QGuiApplication.instance() is not None:
        QGuiApplication.clipboard().clear()


def pytest_unconfigure() -> None:
    """Leaves nothing behind."""
    shutil.rmtree(HOME, ignore_errors=True)
