"""Every picture: no text on another, none outside; marks where the data say; absurd input is safe."""

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from PySide6.QtCore import QRectF
from PySide6.QtGui import QColor, QFont, QFontDatabase, QFontInfo, QGuiApplication, QImage, QPainter

from llmplanner.charts.canvas import LABEL, Style, font, load_fonts, text_width
from llmplanner.charts.draw import CARD, FILE, Drawn, Options, draw
from llmplanner.charts.figure import Axis, Bar, Figure, Line, Mark, Point, Rule, Segment
from llmplanner.charts.palette import DARK, LIGHT, SERIES, Theme
from tests.charts.figures import ALL, GIB, memory, scaling

pytestmark = pytest.mark.usefixtures("qapp")

SIZES = ((800, 450), (560, 300), (320, 200), (200, 140), (120, 100), (1600, 900))
NUMBERS = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True),
    st.floats(1e-3, 1e15),
    st.sampled_from((0.0, -1.0, 1e308, -1e308, 5e-324)),
    st.integers(-(10**400), 10**400),
)
NAMES = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "Zs")), max_size=40)
COLOURS = st.sampled_from(sorted(SERIES))


def painted(
    figure: Figure, width: int, height: int, theme: Theme = LIGHT, options: Options = FILE
) -> tuple[QImage, Drawn]:
    image = QImage(width, height, QImage.Format.Format_RGB32)
    image.fill(QColor(theme.panel))
    with QPainter(image) as painter:
        drawn = draw(painter, width, height, figure, theme, options)
    return image, drawn


def assert_legible(drawn: Drawn, width: int, height: int) -> None:
    picture = QRectF(0, 0, width, height)
    for box in drawn.texts:
        assert picture.contains(box.rect), f"{box.text!r} leaves the picture"
    for one, other in itertools.combinations(drawn.texts, 2):
        assert not one.rect.intersects(other.rect), f"{one.text!r} lies on {other.text!r}"


def test_the_shipped_font_is_there() -> None:
    load_fonts()
    assert "Inter" in QFontDatabase.families()
    assert QFontInfo(font(LABEL)).family() == "Inter"


def test_the_application_font_changes_nothing() -> None:
    before = text_width("T5-3B", LABEL)
    loud = QFont("DejaVu Serif", 30)
    loud.setFeature(QFont.Tag("tnum"), 1)
    usual = QGuiApplication.font()
    QGuiApplication.setFont(loud)
    fresh = Style(LABEL.size + 0.25)  # not yet among the fonts that are kept
    assert text_width("T5-3B", fresh) == pytest.approx(before)
    QGuiApplication.setFont(usual)


@pytest.mark.parametrize("options", [FILE, CARD], ids=["file", "card"])
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", ALL)
def test_no_text_touches_another(name: str, size: tuple[int, int], options: Options) -> None:
    _, drawn = painted(ALL[name], *size, options=options)
    assert_legible(drawn, *size)


def test_a_chart_says_what_matters_at_its_usual_size() -> None:
    _, drawn = painted(memory(), 800, 300)
    words = {box.text for box in drawn.texts}
    assert {"Weights 14.96", "KV cache 4.00", "20.40 GiB", "Card 24.00 GiB", "Free now 23.00 GiB"} <= words
    assert {
        "Activations 0.62",
        "Runtime 0.83",
        "memory (GiB)",
        "RTX 4090",
        "From the model's tensors",
    } <= words


def segments() -> st.SearchStrategy[Segment]:
    return st.builds(Segment, series=NAMES, value=NUMBERS, colour=COLOURS, label=NAMES)


def marks_of_plot() -> st.SearchStrategy[Mark]:
    pairs = st.lists(st.tuples(NUMBERS, NUMBERS), max_size=12)
    lines = pairs.map(
        lambda ps: Line("law", tuple(x for x, _ in ps), tuple(y for _, y in ps), "kaplan", "Kaplan")
    )
    points = st.builds(Point, x=NUMBERS, y=NUMBERS, label=NAMES, colour=COLOURS, priority=st.floats(0, 9))
    rules = st.builds(Rule, axis=st.sampled_from(("x", "y")), value=NUMBERS, label=NAMES)
    return st.one_of(lines, points, points, rules)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(marks_of_plot(), max_size=25),
    st.sampled_from(("linear", "log10", "log2")),
    st.sampled_from(("plain", "si", "power", "percent")),
    st.integers(100, 900),
    st.integers(100, 700),
)
def test_no_plot_is_illegible(marks: list[Mark], scale: str, ticks: str, width: int, height: int) -> None:
    axis = Axis("quantity", scale, ticks=ticks)  # type: ignore[arg-type]
    figure = Figure("any", "A title", axis, replace(axis, label="another"), tuple(marks), source="somewhere")
    _, drawn = painted(figure, width, height)
    assert_legible(drawn, width, height)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.lists(segments(), max_size=6), NAMES), min_size=1, max_size=8),
    st.integers(100, 900),
    st.integers(100, 500),
)
def test_no_bars_are_illegible(rows: list[tuple[list[Segment], str]], width: int, height: int) -> None:
    names = tuple(f"device {place}" for place in range(len(rows)))
    bars = tuple(Bar(name, tuple(parts), label) for name, (parts, label) in zip(names, rows, strict=True))
    figure = Figure("any", "Bars", Axis("bytes"), Axis("", "category", names=names), bars)
    _, drawn = painted(figure, width, height)
    assert_legible(drawn, width, height)


def test_a_bar_ends_where_its_total_lies() -> None:
    image, drawn = painted(memory(), 800, 300)
    x = drawn.plots[0].x
    bar = memory().marks[0]
    assert isinstance(bar, Bar)
    total = x.at(sum(part.value for part in bar.segments))
    y = round(drawn.plots[0].rect.center().y())
    assert total is not None
    inside = QColor(image.pixel(round(total) - 4, y))
    outside = QColor(image.pixel(round(total) + 3, y))
    assert inside == QColor(LIGHT.colour("runtime"))
    assert outside == QColor(LIGHT.panel)


def test_the_smallest_segment_is_seen() -> None:
    image, drawn = painted(memory(), 800, 300)
    y = round(drawn.plots[0].rect.center().y())
    row = {QColor(image.pixel(x, y)).name() for x in range(image.width())}
    assert LIGHT.colour("logits") in row  # 1 MB beside 15 GiB


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_points_lie_where_the_data_say(theme: Theme) -> None:
    image, drawn = painted(scaling(), 900, 600, theme)
    plot = drawn.plots[0]
    share = (math.log10(1.6e11) - 9) / (14 - 9)
    y = plot.rect.bottom() - share * plot.rect.height()
    assert plot.y.at(1.6e11) == pytest.approx(y, abs=1e-6)
    assert QColor(image.pixel(round(plot.x.at(8e9) or 0), round(y))).name() == theme.accent


def test_values_come_back_from_pixels() -> None:
    _, drawn = painted(scaling(), 900, 600)
    for span in (drawn.plots[0].x, drawn.plots[0].y):
        middle = (span.start + span.end) / 2
        assert span.at(span.value(middle)) == pytest.approx(middle)


def test_hover_tells_the_exact_value_and_its_formula() -> None:
    _, drawn = painted(memory(), 800, 300)
    x, y = drawn.plots[0].x.at(8 * GIB) or 0, drawn.plots[0].rect.center().y()
    hit = drawn.at(x, y)
    assert hit is not None
    assert "16,060,522,496 bytes" in hit.text
    assert "a paper" in hit.text


def test_hover_says_where_a_law_is_extrapolated() -> None:
    figure = replace(scaling(), marks=tuple(mark for mark in scaling().marks if not isinstance(mark, Point)))
    _, drawn = painted(figure, 900, 600)
    plot = drawn.plots[0]
    fitted = drawn.at(plot.x.at(1e9) or 0, plot.y.at(2e10) or 0)
    beyond = drawn.at(plot.x.at(1e11) or 0, plot.y.at(2e12) or 0)
    assert fitted is not None
    assert beyond is not None
    assert "extrapolated" in beyond.text
    assert "extrapolated" not in fitted.text


def test_an_extrapolated_curve_is_dashed() -> None:
    line = Line("law", (1.0, 100.0), (1.0, 1.0), "kaplan", fitted=(1.0, 50.0))
    figure = Figure("line", "", Axis("", low=0, high=100), Axis("", low=0, high=2), (line,))
    image, drawn = painted(figure, 600, 200)
    plot = drawn.plots[0]
    y = round(plot.y.at(1.0) or 0)

    def inked(low: float, high: float) -> float:
        span = range(round(plot.x.at(low) or 0), round(plot.x.at(high) or 0))
        return sum(QColor(image.pixel(x, y)).lightness() < 200 for x in span) / len(span)

    assert inked(5, 45) > 0.95
    assert 0.3 < inked(55, 95) < 0.8


def test_limits_are_named_on_their_lines() -> None:
    _, drawn = painted(memory(), 800, 300)
    for rule in (mark for mark in memory().marks if isinstance(mark, Rule)):
        name = next(box for box in drawn.texts if box.text == rule.label)
        x = drawn.plots[0].x.at(rule.value) or 0
        assert name.rect.left() - 4 <= x <= name.rect.right() + 4
        assert name.rect.bottom() <= drawn.plots[0].rect.top() + 2
