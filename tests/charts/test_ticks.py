"""Tick labels as the field writes them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmplanner.charts.figure import Axis
from llmplanner.charts.ticks import fraction, raised, ticks


def texts(axis: Axis, low: float, high: float, room: float = 600) -> list[str]:
    return [tick.text for tick in ticks(axis, low, high, room, lambda words: 7.0 * len(words))]


@pytest.mark.parametrize(
    ("axis", "low", "high", "said"),
    [
        (Axis("", one=2**30), 0, 27 * 2**30, ["0", "5", "10", "15", "20", "25"]),
        (Axis("", "log2", ticks="si"), 1024, 131072, ["1k", "2k", "4k", "8k", "16k", "32k", "64k", "128k"]),
        (Axis("", "log10", ticks="power"), 1e20, 1e24, ["10²⁰", "10²¹", "10²²", "10²³", "10²⁴"]),
        (Axis("", "log10", ticks="si"), 1e8, 1e12, ["100M", "1B", "10B", "100B", "1T"]),
        (Axis("", "log10"), 0.001, 100, ["0.001", "0.01", "0.1", "1", "10", "100"]),
        (Axis("", ticks="percent"), 0, 1, ["0 %", "20 %", "40 %", "60 %", "80 %", "100 %"]),
    ],
)
def test_ticks_read_as_the_field_writes_them(axis: Axis, low: float, high: float, said: list[str]) -> None:
    assert texts(axis, low, high, 420) == said


def test_a_short_range_on_a_log_axis_still_has_ticks() -> None:
    assert len(texts(Axis("", "log10"), 2.1, 2.5)) >= 3


@given(st.floats(-1e12, 1e12), st.floats(1e-6, 1e12), st.floats(30, 2000))
def test_ticks_lie_in_the_range_and_never_touch(low: float, width: float, room: float) -> None:
    axis = Axis("")
    high = low + max(width, abs(low) * 1e-6)
    shown = ticks(axis, low, high, room, lambda words: 7.0 * len(words))
    places = [fraction(axis, tick.value, low, high) * room for tick in shown]
    assert all(-1e-3 * room <= place <= room * 1.001 for place in places)
    for (one, before), (other, after) in zip(
        zip(shown, places, strict=True), list(zip(shown, places, strict=True))[1:], strict=False
    ):
        assert after - before >= 7.0 * (len(one.text) + len(other.text)) / 2
    assert not any(math.isnan(tick.value) for tick in shown)


@pytest.mark.parametrize(
    ("figures", "said"),
    [
        ("7.23e23 FLOPs", "7.23×10²³ FLOPs"),
        ("9.7e-4", "9.7×10⁻⁴"),
        ("1,230 FLOPs", "1,230 FLOPs"),
        ("0xe5", "0xe5"),
    ],
)
def test_exponents_are_raised(figures: str, said: str) -> None:
    assert raised(figures) == said
