"""One value in every format: what the rows say."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmplanner.core.errors import BadInput
from llmplanner.core.formats import FORMATS, ValueClass
from llmplanner.core.stored import Stored, default_absmax, flipped, in_every_format, read


def rows(text: str, absmax: str | None = None) -> dict[str, Stored]:
    typed = read(text)
    return {row.key: row for row in in_every_format(typed, None if absmax is None else Fraction(absmax))}


def test_pi_as_the_course_shows_it() -> None:
    by_key = rows("pi", "4")
    assert by_key["fp16"].value == by_key["bf16"].value == Fraction("3.140625")
    assert float(by_key["fp16"].error) == pytest.approx(-9.68e-4, rel=1e-3)
    assert by_key["int8"].value == 3
    assert float(by_key["int8-absmax"].value) == pytest.approx(3.14961, abs=1e-5)
    assert float(by_key["int8-absmax"].error) == pytest.approx(8.0e-3, rel=0.01)
    assert by_key["int8-absmax"].name == "INT8, absmax 4"


def test_every_format_is_there_and_the_scaled_ones_besides() -> None:
    assert set(rows("1")) == {*FORMATS, "int8-absmax", "int4-absmax"}


def test_beyond_the_range() -> None:
    by_key = rows("70000")
    assert by_key["fp16"].value == math.inf
    assert by_key["fp16"].error == math.inf
    assert by_key["fp16"].saturated == 65504
    assert by_key["fp8-e4m3"].kind is ValueClass.NAN
    assert by_key["fp8-e4m3"].saturated == 448
    assert by_key["int8"].value == 127
    assert by_key["int8"].error == 127 - 70000


def test_nan_has_no_integer() -> None:
    by_key = rows("nan")
    assert by_key["int8"].code is None
    assert by_key["int4-absmax"].code is None
    assert math.isnan(by_key["fp16"].value)


def test_infinity_is_stored_without_error_where_there_is_one() -> None:
    by_key = rows("-inf")
    assert by_key["fp32"].error == 0
    assert by_key["int8"].value == -128
    assert by_key["int8"].error == math.inf


def test_negative_zero_keeps_its_sign() -> None:
    row = rows("-0")["bf16"]
    assert (row.code, row.error, row.kind) == (0x8000, 0, ValueClass.ZERO)


def test_truncation_is_told_beside_rounding() -> None:
    row = rows("0.1")["bf16"]  # 0x3DCD by rounding, 0x3DCC cut off (0.1 in FP32 is 0x3DCCCCCD)
    assert row.code == 0x3DCD
    assert row.truncated == Fraction("0.099609375")


@pytest.mark.parametrize(
    ("text", "key", "code"), [("bf16:0x4049", "bf16", 0x4049), ("fp8:0b00110001", "fp8-e4m3", 0x31)]
)
def test_patterns_are_read_with_their_format(text: str, key: str, code: int) -> None:
    assert rows(text)[key].code == code
    assert rows(text)[key].error == 0


@pytest.mark.parametrize(
    "text", ["bf16:0x14049", "bf16:zz", "fp7:0x1", "bf16:", "bf16:-1", "fp32:" + "0" * 10**6]
)
def test_what_is_no_pattern_gets_a_sentence(text: str) -> None:
    with pytest.raises(BadInput) as caught:
        read(text)
    assert len(str(caught.value)) < 160


@given(key=st.sampled_from([*FORMATS, "int8-absmax", "int4-absmax"]), data=st.data())
def test_flipping_a_bit_shows_that_very_pattern_and_can_be_typed_again(key: str, data: st.DataObject) -> None:
    row = rows("pi", "4")[key]
    assert row.code is not None
    code = row.code ^ (1 << data.draw(st.integers(0, row.format.width - 1)))
    typed = flipped(row, code)
    shown = next(each for each in in_every_format(typed, Fraction(4)) if each.key == key)
    assert shown.code == code
    again = read(typed.text).value
    assert again == typed.value or (math.isnan(again) and math.isnan(typed.value))


@given(value=st.fractions())
def test_the_default_absmax_holds_the_value(value: Fraction) -> None:
    reach = default_absmax(value)
    assert abs(value) <= reach
    assert value == 0 or reach < 2 * abs(value)
