"""`chart`: every chart in every kind of file, and nothing left behind where one cannot be written."""

import csv
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtGui import QImage

from llmplanner.core.plan import Precision
from tests.cli.conftest import ROOT, Answer

Run = Callable[..., Answer]
NAMES = ("memory", "bits", "ranges", "formats", "budget", "limits", "scaling", "loss")
SIGNS = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF", ".csv": b""}


def test_list_names_the_charts(run: Run) -> None:
    charts = run("chart", "--list", "--json").json["charts"]
    assert set(NAMES) <= {chart["name"] for chart in charts}
    assert all(chart["title"] for chart in charts)
    assert all(name in run("chart", "--list").out for name in NAMES)


@pytest.mark.parametrize("suffix", SIGNS)
@pytest.mark.parametrize("name", NAMES)
def test_every_chart_of_the_example(run: Run, tmp_path: Path, name: str, suffix: str) -> None:
    path = tmp_path / f"{name}{suffix}"
    answer = run("chart", name, "-o", path, "--json")
    assert answer.code == 0
    assert set(answer.json) == {"schema", "file", "title", "source", "ignored"}
    assert answer.json["file"] == str(path)
    assert answer.json["title"]
    assert path.read_bytes().startswith(SIGNS[suffix])
    assert list(tmp_path.iterdir()) == [path]


def test_the_size_is_the_one_asked_for(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "memory.png"
    assert (
        run("chart", "memory", "-o", path, "--size", "640x400", "--dpi", "288", "--theme", "dark").code == 0
    )
    picture = QImage(str(path))
    assert (picture.width(), picture.height()) == (1920, 1200)
    assert picture.pixelColor(2, 2).lightness() < 100


def test_a_chart_is_of_the_plan_that_is_stated(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "memory.csv"
    stated = ("mistral-7b-v0.1", "--gpu", "rtx-3090", "--context", "4096")
    run("chart", "memory", *stated, "-o", path)
    weights = run("memory", *stated, "--json").json["devices"][0]["terms"][0]["bytes"]
    with path.open(newline="", encoding="utf-8") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert str(weights) in [cell.removesuffix(".0") for cell in cells]


@pytest.mark.parametrize("precision", [each.value for each in Precision])
def test_the_formats_of_training_in_any_precision(run: Run, tmp_path: Path, precision: str) -> None:
    path = tmp_path / "formats.csv"
    stated = ("llama-3.1-8b", "--task", "pretrain", "--precision", precision, "--gpu", "h100-sxm")
    assert run("chart", "formats", *stated, "-o", path).code == 0
    assert ", as planned" in path.read_text(encoding="utf-8")


def test_bits_of_a_value(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "bits.csv"
    assert run("chart", "bits", "0,1", "-o", path).code == 0
    assert "0" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("value", "bits"), [("-1/3", "1 01111101 01010101010101010101011"), ("-inf", "1 11111111 " + "0" * 23)]
)
def test_a_negative_value_is_no_option(run: Run, tmp_path: Path, value: str, bits: str) -> None:
    path = tmp_path / "bits.csv"
    assert run("chart", "bits", value, "-o", path).code == 0
    assert bits in path.read_text(encoding="utf-8")
    assert run("chart", "ranges", value, "-o", path).code == 0


def test_limits_are_the_plans_and_an_example_without(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "limits.csv"
    assert run("chart", "limits", "-o", path).code == 0
    assert "money $10,000" in path.read_text(encoding="utf-8")
    assert (
        run("chart", "limits", "llama-3.1-8b", "--gpu", "h100-sxm", "--set", "limit_days=21", "-o", path).code
        == 0
    )
    written = path.read_text(encoding="utf-8")
    assert "time 21 days" in written
    assert "money" not in written


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ((), "name"),
        (("pie", "-o", "x.png"), "name"),
        (("memory",), "output"),
        (("memory", "-o", "x.gif"), "output"),
        (("memory", "-o", "picture"), "output"),
        (("memory", "-o", "/no/such/folder/x.png"), "output"),
        (("memory", "-o", "x.png", "--size", "large"), "size"),
        (("memory", "-o", "x.png", "--size", "1x1"), "size"),
        (("memory", "-o", "x.png", "--dpi", "9999999"), "dpi"),
        (("memory", "-o", "x.png", "--dpi", "fine"), "dpi"),
        (("memory", "-o", "x.png", "--theme", "sepia"), "theme"),
        (("memory", "nothing-like-it", "-o", "x.png"), "model"),
        (("bits", "many", "-o", "x.png"), "value"),
        (("limits", "llama-3.1-8b", "--gpu", "apple-m4-max-128", "-o", "x.png"), "gpu"),
    ],
)
def test_what_cannot_be_charted(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], field: str
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = run("chart", *arguments, "--json")
    assert answer.code == 2
    assert answer.error["field"] == field
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="needs a user whom a folder can refuse")
def test_a_folder_that_cannot_be_written(run: Run, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    answer = run("chart", "memory", "-o", tmp_path / "x.png", "--json")
    assert answer.error["field"] == "output"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", ["fit llama-3.1-8b --gpu rtx-4090", "chart memory -o {folder}/x.csv"])
def test_qt_is_not_imported_for_what_needs_no_picture(tmp_path: Path, command: str) -> None:
    script = (
        "import sys; from llmplanner.cli import main; code = main(sys.argv[1:]);"
        "sys.exit(code or any(name.startswith(('PySide6', 'pyqtgraph')) for name in sys.modules))"
    )
    arguments = command.format(folder=tmp_path).split()
    done = subprocess.run([sys.executable, "-c", script, *arguments], cwd=ROOT, timeout=60, check=False)
    assert done.returncode == 0
