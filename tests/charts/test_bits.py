"""The charts of one value: its bits and the ranges."""

from collections import Counter

import pytest
from PySide6.QtGui import QImage, QPainter

from llmplanner.charts.bits import ERRORS, VALUES, bits_figure
from llmplanner.charts.draw import Drawn, draw
from llmplanner.charts.figure import Bar, Cell, Figure, Rule, Text
from llmplanner.charts.palette import LIGHT
from llmplanner.charts.ranges import ranges_figure
from llmplanner.core.stored import in_every_format, read


def bits_of(text: str) -> Figure:
    typed = read(text)
    return bits_figure(typed, in_every_format(typed))


def ranges_of(text: str) -> Figure:
    typed = read(text)
    return ranges_figure(typed, in_every_format(typed))


def drawn(figure: Figure, width: int, height: int) -> Drawn:
    image = QImage(width, height, QImage.Format.Format_ARGB32)
    painter = QPainter(image)
    done = draw(painter, width, height, figure, LIGHT)
    painter.end()
    return done


def cells(figure: Figure, row: str, kind: str) -> str:
    found = [mark for mark in figure.marks if isinstance(mark, Cell) and mark.series == f"{row}, {kind}"]
    return "".join(cell.text for cell in sorted(found, key=lambda cell: cell.x))


def test_pi_in_cells_as_the_course_has_it() -> None:
    figure = bits_of("3.141592")
    assert [cells(figure, "FP32", kind) for kind in ("sign", "exponent", "fraction")] == [
        "0", "10000000", "10010010000111111011000"]  # fmt: skip
    assert [cells(figure, "FP16", kind) for kind in ("sign", "exponent", "fraction")] == [
        "0",
        "10000",
        "1001001000",
    ]
    assert [cells(figure, "INT8, no scale", kind) for kind in ("sign", "integer")] == ["0", "0000011"]


def test_exponents_end_in_one_column() -> None:
    figure = bits_of("pi")
    ends = {
        max(mark.x for mark in figure.marks if isinstance(mark, Cell) and mark.series == f"{row}, exponent")
        for row in ("FP32", "TF32", "BF16", "FP16", "FP8 E4M3", "FP8 E5M2")
    }
    assert len(ends) == 1


def test_integers_store_none_of_nan() -> None:
    said = {(mark.x, mark.y): mark.text for mark in bits_of("nan").marks if isinstance(mark, Text)}
    values = {y: text for (x, y), text in said.items() if x == VALUES}
    errors = {y: text for (x, y), text in said.items() if x == ERRORS}
    assert [values[row] for row in range(10)] == ["nan"] * 6 + ["none"] * 4
    assert [errors[row] for row in range(10)] == ["nan"] * 6 + ["–"] * 4


@pytest.mark.usefixtures("qapp")
@pytest.mark.parametrize("text", ["nan", "pi"])
def test_last_row_stands_apart_from_the_source(text: str) -> None:
    done = drawn(bits_of(text), 1600, 900)
    last = max(box.rect.bottom() for box in done.texts if box.text.startswith("INT4, absmax"))
    source = min(box.rect.top() for box in done.texts if box.text.startswith("IEEE 754"))
    assert source - last >= 12


def test_range_tells_the_smallest_normal_too() -> None:
    """IEEE 754: FP16 is normal from 2^-14, its smallest is 2^-24."""
    (hover,) = [m.hover for m in bits_of("pi").marks if isinstance(m, Text) and m.text == "±65,504"]
    assert "smallest normal 6.1035e-5, smallest 5.9605e-8" in hover


@pytest.mark.usefixtures("qapp")
@pytest.mark.parametrize("size", [(800, 450), (1200, 440), (1920, 1080)])
@pytest.mark.parametrize("text", ["pi", "-70000", "-1e-45", "nan", "-1e400", "1/3", "12345678.9"])
def test_every_stored_value_is_written(text: str, size: tuple[int, int]) -> None:
    figure = bits_of(text)
    words = Counter(box.text for box in drawn(figure, *size).texts)
    wanted = Counter(mark.text for mark in figure.marks if isinstance(mark, Text))
    assert wanted - words == Counter()


def test_the_table_has_every_digit() -> None:
    heads, *lines = bits_of("pi").table
    by_name = {line[0]: dict(zip(heads, line, strict=True)) for line in lines}
    assert by_name["FP32"]["bits"] == "0 10000000 10010010000111111011011"
    assert by_name["FP32"]["stored_value"] == "3.1415927410125732421875"
    assert by_name["FP16"]["hex"] == "0x4248"


def test_ranges_end_where_the_formats_do() -> None:
    figure = ranges_of("pi")
    ends = {
        mark.category: mark.start + sum(segment.value for segment in mark.segments)
        for mark in figure.marks
        if isinstance(mark, Bar)
    }
    assert ends["FP16"] == 65504
    assert ends["FP8 E4M3"] == 448
    assert ends["FP32"] == pytest.approx(3.4028234663852886e38)
    assert ends["INT8, absmax 4"] == 4


@pytest.mark.usefixtures("qapp")
@pytest.mark.parametrize(
    ("text", "places"), [("pi", 1), ("-0.1", 1), ("0", 0), ("nan", 0), ("1e400", 0), ("1e-60", 0)]
)
def test_the_value_is_a_line_where_it_has_a_place(text: str, places: int) -> None:
    figure = ranges_of(text)
    assert sum(isinstance(mark, Rule) for mark in figure.marks) == places
    assert bool(figure.note) == (places == 0)
    assert {mark.category for mark in figure.marks if isinstance(mark, Bar)} <= {
        box.text for box in drawn(figure, 600, 420).texts
    }
