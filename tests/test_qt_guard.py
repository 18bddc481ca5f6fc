"""What the environment must hold for the program not to be killed or slowed by its libraries."""

import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution, version

import pytest
from PySide6.QtCore import QObject
from PySide6.QtGui import QFontDatabase, QGuiApplication, QRawFont
from pytestqt.qtbot import QtBot

from tests.reference import ROOT


def test_calls_into_qt_keep_the_references_to_none() -> None:
    """PySide6 6.12.0 on Python 3.11 loses one reference a call, until the process is killed."""
    thing = QObject()
    before = sys.getrefcount(None)
    for _ in range(1000):
        thing.setObjectName("name")
    assert abs(sys.getrefcount(None) - before) < 100


def test_qt_is_of_the_release_that_is_known_to_be_safe() -> None:
    release = tuple(int(part) for part in version("PySide6-Essentials").split(".")[:3])
    assert (6, 11, 3) <= release < (6, 12)


def test_the_module_pynvml_comes_from_nvidia() -> None:
    assert distribution("nvidia-ml-py").locate_file("pynvml.py")
    with pytest.raises(PackageNotFoundError):
        version("pynvml")  # the deprecated package of that name


def test_the_command_line_starts_without_qt() -> None:
    program = "import sys, llmplanner.cli; print([m for m in sys.modules if m in ('PySide6', 'pyqtgraph')])"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


@pytest.mark.parametrize("task", ["serve", "finetune", "pretrain"])
def test_a_plan_is_answered_without_numpy(task: str) -> None:
    """The import of NumPy takes longer than everything else that an answer needs."""
    program = (
        "import sys; from llmplanner.cli import main;"
        f"main(['fit', 'llama-3.1-8b', '--gpu', 'rtx-4090', '--task', '{task}']);"
        "sys.exit('numpy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=False).returncode == 0


def test_the_tests_have_a_desktop_sized_screen(qtbot: QtBot) -> None:
    del qtbot  # starts the application
    if QGuiApplication.platformName() == "offscreen":
        size = QGuiApplication.primaryScreen().size()
        assert (size.width(), size.height()) == (1920, 1080)


@pytest.mark.parametrize(("file", "weight"), [("Inter-Regular.ttf", 400), ("Inter-SemiBold.ttf", 600)])
def test_the_shipped_font_has_the_letters_shown(qtbot: QtBot, file: str, weight: int) -> None:
    """Where no font is installed, every letter would be a box, and Qt says nothing."""
    del qtbot
    path = ROOT / "resources/fonts" / file
    assert QFontDatabase.addApplicationFont(str(path)) >= 0
    assert QFontDatabase.weight("Inter", path.stem.removeprefix("Inter-")) == weight
    font = QRawFont(str(path), 12)
    assert [letter for letter in "aZ09×·–…≤≥≈²µÄé€→" if not font.supportsCharacter(ord(letter))] == []
