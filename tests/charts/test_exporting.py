"""Files: opened by other programs, they show what the window shows; what fails leaves nothing behind."""

import csv
import io
import os
import shutil
import subprocess
import sys
from pathlib import Path
from threading import Thread

import pytest
from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QColor, QImage, QPainter

from llmplanner.charts import export
from llmplanner.charts.draw import draw
from llmplanner.charts.export import LEAST_NAMED, save
from llmplanner.charts.figure import Line
from llmplanner.charts.palette import DARK, LIGHT, Theme
from llmplanner.charts.render import Look, clipboard, image, png
from llmplanner.charts.scaling import scaling_figure
from llmplanner.charts.table import HEADER
from llmplanner.core.errors import BadInput
from llmplanner.models.laws import laws
from llmplanner.models.runs import training_runs
from tests.charts.figures import ALL, memory, scaling

pytestmark = pytest.mark.usefixtures("qapp")

LOOK = Look(width=800, height=400, dpi=96)


def tool(name: str) -> str:
    """The path of another program; without it the test is skipped."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


def run(*command: str | Path) -> bytes:
    return subprocess.run([str(part) for part in command], check=True, capture_output=True, timeout=60).stdout


def difference(one: QImage, other: QImage) -> float:
    """The root mean square of the difference of lightness, 0 to 1, at half the size, without edges."""
    assert one.size() == other.size()
    one, other = (
        picture.scaled(one.size() / 2, mode=Qt.TransformationMode.SmoothTransformation)
        for picture in (one, other)
    )
    squares = [
        (QColor(one.pixel(x, y)).lightnessF() - QColor(other.pixel(x, y)).lightnessF()) ** 2
        for y in range(0, one.height(), 2)
        for x in range(0, one.width(), 2)
    ]
    return float((sum(squares) / len(squares)) ** 0.5)


@pytest.mark.parametrize("name", ALL)
def test_svg_shows_the_same_picture(name: str, tmp_path: Path) -> None:
    save(ALL[name], tmp_path / "chart.svg", LOOK)
    run(tool("rsvg-convert"), tmp_path / "chart.svg", "-o", tmp_path / "seen.png")
    assert difference(image(ALL[name], LOOK), QImage(str(tmp_path / "seen.png"))) < 0.04


@pytest.mark.parametrize("name", ALL)
def test_pdf_shows_the_same_picture(name: str, tmp_path: Path) -> None:
    save(ALL[name], tmp_path / "chart.pdf", LOOK)
    run(tool("pdftoppm"), "-r", "96", "-png", "-singlefile", tmp_path / "chart.pdf", tmp_path / "seen")
    assert difference(image(ALL[name], LOOK), QImage(str(tmp_path / "seen.png"))) < 0.04


def test_pdf_holds_text_and_fonts(tmp_path: Path) -> None:
    save(memory(), tmp_path / "chart.pdf", LOOK)
    text = run(tool("pdftotext"), "-layout", tmp_path / "chart.pdf", "-").decode()
    for words in (memory().title, memory().source, "20.40 GiB", "Card 24.00 GiB", "memory (GiB)", " 18 "):
        assert words in text
    assert not any("\ue000" <= letter <= "\uf8ff" for letter in text)  # those nobody can search or copy
    fonts = run(tool("pdffonts"), tmp_path / "chart.pdf").decode().splitlines()[2:]
    assert fonts
    for line in fonts:
        assert "Inter" in line
        assert line.split()[-5] == "yes"  # embedded


@pytest.mark.parametrize("outlines", [True, False], ids=["shapes", "text"])
def test_svg_can_be_searched(outlines: bool, tmp_path: Path) -> None:
    save(memory(), tmp_path / "chart.svg", Look(800, 400, outlines=outlines))
    text = (tmp_path / "chart.svg").read_text(encoding="utf-8")
    assert f"<title>{memory().title}</title>" in text
    assert ">Weights 14.96</text>" in text
    assert ('version="1.1"' in text) or ("<clipPath" in text)


def test_png_has_the_size_and_density_that_were_asked(tmp_path: Path) -> None:
    save(memory(), tmp_path / "chart.png", Look(width=800, height=450, dpi=300))
    seen = QImage(str(tmp_path / "chart.png"))
    assert seen.size() == QSize(2500, 1406)
    assert round(seen.dotsPerMeterX() * 0.0254) == 300
    assert seen.text("Title") == memory().title


def test_files_can_be_made_while_the_window_paints() -> None:
    alone = png(scaling(), LOOK)
    made: list[bytes] = []
    threads = [Thread(target=lambda: made.append(png(scaling(), LOOK))) for _ in range(3)]
    for thread in threads:
        thread.start()
    here = [png(scaling(), LOOK) for _ in range(3)]
    for thread in threads:
        thread.join()
    assert [alone] * 6 == [*made, *here]


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_png_takes_the_theme(theme: Theme, tmp_path: Path) -> None:
    save(memory(), tmp_path / "chart.png", Look(theme=theme))
    assert QColor(QImage(str(tmp_path / "chart.png")).pixel(1, 1)).name() == theme.panel


def test_csv_gives_exact_values_with_units_and_formulas(tmp_path: Path) -> None:
    save(memory(), tmp_path / "chart.csv")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "chart.csv").read_text(encoding="utf-8"))))
    assert tuple(rows[0]) == HEADER
    weights = next(row for row in rows if row["series"] == "Weights")
    assert (weights["x"], weights["x_unit"]) == ("16060522496", "bytes")
    assert weights["formula"] == "16060522496 B"
    assert {row["name"] for row in rows if row["mark"] == "limit"} == {"Card 24.00 GiB", "Free now 23.00 GiB"}


def test_csv_needs_no_qt(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from llmplanner.charts.export import save;"
        "from tests.charts.figures import memory;"
        f"save(memory(), Path({str(tmp_path / 'chart.csv')!r})); assert 'PySide6' not in sys.modules"
    )
    run(sys.executable, "-c", code)
    assert (tmp_path / "chart.csv").stat().st_size > 200


def test_pictures_need_no_display(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from llmplanner.charts.export import save;"
        f"from tests.charts.figures import memory; save(memory(), Path({str(tmp_path / 'chart.png')!r}))"
    )
    bare = {
        key: value
        for key, value in os.environ.items()
        if key not in {"DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"}
    }
    subprocess.run([sys.executable, "-c", code], check=True, env=bare, timeout=60)
    assert not QImage(str(tmp_path / "chart.png")).isNull()


def test_the_clipboard_holds_image_svg_and_table() -> None:
    data = clipboard(memory(), LOOK)
    assert data.hasImage()
    assert b"<svg" in data.data("image/svg+xml").data()
    assert "16060522496" in data.text()


@pytest.mark.parametrize(
    ("name", "look", "says"),
    [
        ("chart.gif", Look(), ".png, .svg, .pdf, .csv"),
        ("chart", Look(), ".png, .svg, .pdf, .csv"),
        ("chart.png", Look(width=20), "100 to 20,000"),
        ("chart.png", Look(width=20_000, height=20_000, dpi=1200), "million dots"),
        ("chart.png", Look(dpi=5), "48 to 1,200"),
        ("absent/chart.svg", Look(), "cannot be written"),
    ],
)
def test_what_cannot_be_made_is_said_and_leaves_nothing(
    name: str, look: Look, says: str, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match=says.replace(".", r"\.")):
        save(memory(), tmp_path / name, look)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_the_old_file_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "chart.csv"
    target.write_text("old", encoding="utf-8")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BadInput, match="No space left on device"):
        save(memory(), target)
    assert target.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write into every folder"
)
def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(BadInput, match="Permission denied"):
        save(memory(), tmp_path / "chart.csv")
    tmp_path.chmod(0o700)


def test_a_missing_system_library_is_named_with_its_package() -> None:
    error = ImportError("libGL.so.1: cannot open shared object file: No such file or directory")
    assert "apt install libgl1" in export.missing_library(error)


@pytest.mark.parametrize("size", [(479, 360), (480, 359), (420, 300)])
def test_a_picture_too_small_for_the_names_of_its_curves_is_refused(
    size: tuple[int, int], tmp_path: Path
) -> None:
    figure = scaling_figure(tuple(laws().values()), training_runs(), 8e9, 1.6e11)
    with pytest.raises(BadInput, match="take 480 x 360 or more") as caught:
        save(figure, tmp_path / "a.png", Look(*size))
    assert caught.value.field == "size"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("parameters", [1e9, 8e9, 4e11])
def test_the_smallest_picture_of_laws_names_them_all(parameters: float) -> None:
    figure = scaling_figure(tuple(laws().values()), training_runs(), parameters, 20 * parameters)
    picture = QImage(*LEAST_NAMED, QImage.Format.Format_RGB32)
    with QPainter(picture) as painter:
        drawn = draw(painter, *LEAST_NAMED, figure, LIGHT)
    names = {mark.label for mark in figure.marks if isinstance(mark, Line) and mark.dash != "dotted"}
    assert names - {""} <= {box.text for box in drawn.texts}
