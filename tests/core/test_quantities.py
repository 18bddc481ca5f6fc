"""Quantities as people type and read them."""

import math
import time
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmplanner.core.errors import BadInput
from llmplanner.core.quantities import (
    context_text,
    count_text,
    decimal_text,
    duration_text,
    exact_text,
    flops_text,
    gb_text,
    gib_text,
    has_exact_decimal,
    money_text,
    parse_amount,
    parse_bytes,
    parse_count,
    parse_tokens,
    parse_value,
    significant,
)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("32k", 32_000), ("1.4T", 1_400_000_000_000), ("70b", 70_000_000_000), ("70 B", 70_000_000_000),
        ("3e21", 3 * 10**21), ("1_000", 1000), ("1,000", 1000), ("1,234,567", 1_234_567),
        ("1.234.567", 1_234_567), ("1 000 000", 1_000_000), ("1,5k", 1500), ("8.03B", 8_030_000_000),
        ("+7", 7), ("1e3k", 1_000_000), ("1\u202f024", 1024), ("12,5M", 12_500_000),
    ],
)  # fmt: skip
def test_counts(text: str, count: int) -> None:
    assert parse_count(text) == count


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("32k", 32_768), ("32,768", 32_768), ("32000", 32_000), ("1M", 1_048_576), ("0.5k", 512)],
)
def test_tokens_of_a_context(text: str, tokens: int) -> None:
    assert parse_tokens(text) == tokens


@pytest.mark.parametrize(
    ("text", "amount"),
    [("0,5", 0.5), ("0,500", 0.5), (".5", 0.5), ("40 %", 0.4), ("2.99", 2.99), ("1.234,5", 1234.5),
     ("1,234.5", 1234.5), ("3e21", 3e21), ("$1,234", 1234.0)],
)  # fmt: skip
def test_amounts(text: str, amount: float) -> None:
    assert parse_amount(text) == amount


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("24 GiB", 25_769_803_776),
        ("80 GB", 80_000_000_000),
        ("0,5 gib", 536_870_912),
        ("85520809984", 85_520_809_984),
    ],
)
def test_bytes(text: str, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize(
    "text",
    ["", "  ", "abc", "1..2", "1,23,4", "-3", "nan", "inf", "1e31", "1e999999999", "9" * 5000,
     "7B parameters", "0x10", "٣", "²", "1e", "--3", "0,5"],
)  # fmt: skip
def test_what_is_no_count_gets_a_sentence(text: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_count(text, field="parameters")
    assert caught.value.field == "parameters"
    sentence = str(caught.value)
    assert sentence.endswith(".")
    assert len(sentence) < 160


@pytest.mark.parametrize("text", ["24", "24 G", "24 GiBs", "-1 GB", "1e31 GB"])
def test_a_size_names_its_unit(text: str) -> None:
    with pytest.raises(BadInput, match="24 GiB or 80 GB"):
        parse_bytes(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.1", Fraction(1, 10)), ("0,1", Fraction(1, 10)), ("1/3", Fraction(1, 3)),
        ("-1/3", Fraction(-1, 3)),
        ("0x1.8p1", Fraction(3)), ("-0x1p-149", -Fraction(1, 2**149)), ("1e-45", Fraction(1, 10**45)),
        ("1e400", Fraction(10) ** 400), ("inf", math.inf), ("-inf", -math.inf), ("70000", Fraction(70000)),
    ],
)  # fmt: skip
def test_values_are_exact(text: str, value: Fraction | float) -> None:
    assert parse_value(text) == value


def test_named_and_special_values() -> None:
    assert float(parse_value("pi")) == float(parse_value("π")) == math.pi
    assert float(parse_value("-e")) == -math.e
    assert math.isnan(parse_value("nan"))
    assert math.copysign(1, parse_value("-0")) == -1


@given(value=st.floats(allow_nan=False, allow_infinity=False))
def test_the_value_of_a_double_is_what_it_prints(value: float) -> None:
    assert float(parse_value(repr(value))) == value
    assert float(parse_value(value.hex())) == value


@pytest.mark.parametrize(
    "text", ["1e999999999", "1e-999999999", "9" * 10**7, "0x1p999999999", "1/" + "9" * 10**6]
)
def test_hostile_values_are_answered_at_once(text: str) -> None:
    start = time.process_time()
    with pytest.raises(BadInput):
        parse_value(text)
    assert time.process_time() - start < 0.1


def test_a_bare_hexadecimal_is_refused_with_both_readings() -> None:
    with pytest.raises(BadInput, match=r"0x1.8p1 for a number.*bf16:0x4049"):
        parse_value("0x4049")


@given(count=st.integers(1, 10**18))
def test_a_printed_count_reads_back_within_its_digits(count: int) -> None:
    assert parse_count(count_text(count, 4)) == pytest.approx(count, rel=5e-4)
    assert parse_count(exact_text(count)) == count


@given(size=st.integers(10**6, 10**16))
def test_printed_bytes_read_back_within_their_digits(size: int) -> None:
    for text in (gib_text(size), gb_text(size)):
        assert parse_bytes(text) == pytest.approx(size, rel=0.06)  # 0.10 GiB has two digits
        if size > 10**12:
            assert parse_bytes(text) == pytest.approx(size, rel=6e-4)  # four digits at least


@given(number=st.floats(1e-20, 1e25))
def test_printed_numbers_read_back_within_their_digits(number: float) -> None:
    assert parse_amount(significant(number)) == pytest.approx(number, rel=5.1e-3)


@given(value=st.fractions() | st.floats(allow_nan=False, allow_infinity=False).map(Fraction))
def test_an_exact_decimal_gives_the_value_back(value: Fraction) -> None:
    back = Fraction(Decimal(decimal_text(value)))
    if has_exact_decimal(value):
        assert back == value
    else:
        assert abs(back - value) <= abs(value) / 10**58


def test_texts_on_screen() -> None:
    assert count_text(8_030_261_248) == "8.03B"
    assert count_text(999_999) == "1M"
    assert count_text(512) == "512"
    assert exact_text(8_030_261_248) == "8,030,261,248"
    assert gib_text(24_384_995_164) == "22.71 GiB"
    assert gb_text(80_000_000_000) == "80.00 GB"
    assert gib_text(5_000_000) == "4.77 MiB"
    assert flops_text(5.76e23) == "5.76e23 FLOPs"
    assert [duration_text(each) for each in (0.0, 2e-5, 0.5, 90.0, 86400.0, 34.1 * 86400, 1e8)] == [
        "0 s", "20 µs", "500 ms", "1.5 min", "24 h", "34.1 days", "3.17 years"]  # fmt: skip
    assert [money_text(each) for each in (0.45, 12.3, 1234.4, 4.6e6, -2.0)] == [
        "$0.45", "$12.30", "$1,234", "$4.6M", "-$2.00"]  # fmt: skip
    assert [context_text(each) for each in (512, 1024, 32_768, 1_048_576, 32_000)] == [
        "512", "1k", "32k", "1M", "32,000"]  # fmt: skip
    assert significant(Fraction(10) ** 400, 4) == "1e400"
    assert significant(Fraction("3.1415927410125732421875"), 10) == "3.141592741"
    assert [significant(each) for each in (0, 9.68e-4, 0.5, 999.9, 1e-8)] == [
        "0",
        "9.68e-4",
        "0.5",
        "1,000",
        "1e-8",
    ]


def test_a_share_typed_in_per_cent_is_recognised() -> None:
    with pytest.raises(BadInput, match=r"write 40 % or 0\.4"):
        parse_amount("40", high=1.0)
    with pytest.raises(BadInput) as caught:
        parse_amount("1.5", high=1.0)  # a share that is too large, not 1.5 per cent
    assert "%" not in str(caught.value)
