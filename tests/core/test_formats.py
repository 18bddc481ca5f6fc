"""Number formats against NumPy, ml_dtypes, struct and published constants."""

import itertools
import math
import struct
from fractions import Fraction
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from llmplanner.core.errors import BadInput
from llmplanner.core.formats import (
    BF16,
    FORMATS,
    FP8_E4M3,
    FP8_E5M2,
    FP16,
    FP32,
    INT4,
    INT8,
    TF32,
    AbsMax,
    Exact,
    Format,
    ValueClass,
    format_named,
)

NARROW = [
    (FP16, np.float16, np.uint16),
    (BF16, ml_dtypes.bfloat16, np.uint16),
    (FP8_E4M3, ml_dtypes.float8_e4m3fn, np.uint8),
    (FP8_E5M2, ml_dtypes.float8_e5m2, np.uint8),
]
IDS = [each[0].key for each in NARROW]
PI = Fraction("3.14159265358979323846264338327950288419716939937510582097494459")


def as_double(value: Exact) -> float:
    return value if isinstance(value, float) else float(value)


def exact(value: float) -> Exact:
    return Fraction(value) if math.isfinite(value) and (value or math.copysign(1, value) > 0) else value


def same_double(ours: float, theirs: float) -> bool:
    if math.isnan(theirs):
        return math.isnan(ours)
    return struct.pack("<d", ours) == struct.pack("<d", theirs)


@pytest.mark.parametrize(("form", "dtype", "word"), NARROW, ids=IDS)
def test_every_pattern_decodes_as_the_reference_does(form: Format, dtype: type, word: type) -> None:
    codes: NDArray[np.uint16] = np.arange(1 << form.bits).astype(word)
    with np.errstate(invalid="ignore"):  # signalling NaNs
        theirs = codes.view(dtype).astype(np.float64)
    wrong = [
        code
        for code in range(1 << form.bits)
        if not same_double(as_double(form.decode(code)), float(theirs[code]))
    ]
    assert wrong == []


@pytest.mark.parametrize("form", FORMATS.values(), ids=FORMATS)
def test_encoding_what_was_decoded_gives_the_code_back(form: Format) -> None:
    codes = (
        range(1 << form.width) if form.width <= 16 else range(0, 1 << form.width, (1 << form.width) // 9973)
    )
    for code in codes:
        if form.classify(code) is not ValueClass.NAN:
            assert form.encode(form.decode(code)) == code


@pytest.mark.parametrize(("form", "dtype", "word"), NARROW, ids=IDS)
def test_midpoints_round_as_the_reference_does(form: Format, dtype: type, word: type) -> None:
    values = [
        float(form.decode(code))
        for code in range(1 << (form.bits - 1))
        if form.classify(code) not in (ValueClass.NAN, ValueClass.INFINITY)
    ]
    middles = [(a + b) / 2 for a, b in itertools.pairwise(values)]  # exact: neighbours differ by one bit
    middles = [sign * each for each in middles for sign in (1, -1)]
    theirs: NDArray[Any] = np.array(middles, np.float32).astype(dtype).view(word)
    assert [form.encode(Fraction(each)) for each in middles] == [int(code) for code in theirs]


@pytest.mark.parametrize(("form", "dtype", "word"), NARROW, ids=IDS)
@given(value=st.floats(width=32))
def test_any_single_casts_as_the_reference_does(form: Format, dtype: type, word: type, value: float) -> None:
    with np.errstate(over="ignore"):
        theirs = int(np.array([value], np.float32).astype(dtype).view(word)[0])
    ours = form.encode(exact(value))
    if math.isnan(value):
        assert form.classify(ours) is ValueClass.NAN
    elif form is FP8_E4M3 and form.classify(ours) is ValueClass.NAN:
        assert form.classify(theirs) is ValueClass.NAN
    else:
        assert ours == theirs


@given(value=st.floats())
def test_fp32_is_what_numpy_stores(value: float) -> None:
    with np.errstate(over="ignore"):
        theirs = int(np.array([value]).astype(np.float32).view(np.uint32)[0])
    ours = FP32.encode(exact(value))
    assert FP32.classify(ours) is ValueClass.NAN if math.isnan(value) else ours == theirs


@given(code=st.integers(0, 2**32 - 1))
def test_fp32_patterns_decode_as_struct_does(code: int) -> None:
    (theirs,) = struct.unpack("<f", struct.pack("<I", code))
    assert same_double(as_double(FP32.decode(code)), theirs)


@given(value=st.floats(width=32, allow_nan=False))
def test_tf32_rounds_the_thirteen_low_bits_of_fp32_away(value: float) -> None:
    (pattern,) = struct.unpack("<I", struct.pack("<f", value))
    if not math.isinf(value):
        pattern += 0xFFF + ((pattern >> 13) & 1)  # the usual trick for nearest even on the pattern
    assert TF32.encode(exact(value)) == pattern >> 13


def test_a_typed_decimal_is_rounded_once() -> None:
    """Just above a tie of FP32: by way of a double it would round down to even."""
    tie = 1 + Fraction(1, 2**24)
    assert FP32.encode(tie) == 0x3F800000
    assert FP32.encode(tie + Fraction(1, 10**40)) == 0x3F800001


@pytest.mark.parametrize(
    ("form", "pattern"),
    [
        (FP32, "0 10000000 10010010000111111011011"),
        (TF32, "0 10000000 1001001000"),
        (FP16, "0 10000 1001001000"),
        (BF16, "0 10000000 1001001"),
        (INT8, "0 0000011"),
        (INT4, "0 011"),
    ],
)
def test_pi(form: Format, pattern: str) -> None:
    assert form.bit_text(form.encode(PI)) == pattern.replace(" ", "")


def test_the_six_decimals_of_pi_are_another_number() -> None:
    code = FP32.encode(Fraction("3.141592"))
    assert FP32.hex_text(code) == "0x40490FD8"
    assert FP32.decode(code) == Fraction("3.1415920257568359375")


@pytest.mark.parametrize(
    ("form", "published", "integers"),
    [
        (FP32, [3.4028234663852886e38, 1.1754943508222875e-38, 1.401298464324817e-45, 2**-23], 16_777_216),
        (TF32, [3.4011621342146535e38, 1.1754943508222875e-38, 1.1479437019748901e-41, 2**-10], 2048),
        (FP16, [65504.0, 6.103515625e-05, 5.960464477539063e-08, 2**-10], 2048),
        (BF16, [3.3895313892515355e38, 1.1754943508222875e-38, 9.183549615799121e-41, 2**-7], 256),
        (FP8_E4M3, [448.0, 2**-6, 2**-9, 2**-3], 16),
        (FP8_E5M2, [57344.0, 2**-14, 2**-16, 2**-2], 8),
        (INT8, [127.0, 1.0, 1.0, 1.0], 127),
        (INT4, [7.0, 1.0, 1.0, 1.0], 7),
    ],
)
def test_published_ranges(form: Format, published: list[float], integers: int) -> None:
    """The largest, the smallest normal, the smallest, epsilon; the last integer before the first gap."""
    facts = (form.largest, form.smallest_normal, form.smallest, form.epsilon)
    assert [float(each) for each in facts] == published
    assert form.largest_exact_integer == integers


@pytest.mark.parametrize(("form", "dtype"), [(each[0], each[1]) for each in NARROW], ids=IDS)
def test_facts_agree_with_finfo(form: Format, dtype: type) -> None:
    info = ml_dtypes.finfo(dtype)
    assert float(form.largest) == float(info.max)
    assert float(form.smallest_normal) == float(info.smallest_normal)
    assert float(form.smallest) == float(info.smallest_subnormal)
    assert float(form.epsilon) == float(info.eps)


def test_what_lies_beyond_the_range() -> None:
    assert FP16.decode(FP16.encode(Fraction(70000))) == math.inf
    assert FP16.decode(FP16.saturate(Fraction(70000))) == 65504
    assert FP16.decode(FP16.saturate(-math.inf)) == -65504
    assert math.isnan(float(FP8_E4M3.decode(FP8_E4M3.encode(Fraction(465)))))
    assert FP8_E4M3.decode(FP8_E4M3.encode(Fraction(464))) == 448  # the tie goes to even
    assert FP8_E4M3.decode(FP8_E4M3.saturate(Fraction(-500))) == -448
    assert FP8_E4M3.classify(FP8_E4M3.encode(math.inf)) is ValueClass.NAN
    assert FP32.decode(FP32.encode(Fraction(10) ** 400)) == math.inf


@pytest.mark.parametrize(
    ("value", "stored"),
    [("2.5", 2), ("3.5", 4), ("-2.5", -2), ("127.5", 127), ("128", 127), ("-128.4", -128), ("1e30", 127)],
)
def test_integers_round_to_even_and_saturate(value: str, stored: int) -> None:
    assert INT8.decode(INT8.encode(Fraction(value))) == stored


def test_integers_have_no_nan() -> None:
    assert INT8.decode(INT8.encode(-math.inf)) == -128
    with pytest.raises(BadInput, match="INT8 has no NaN"):
        INT8.encode(math.nan)


def test_truncation_differs_from_rounding() -> None:
    value = Fraction("1.00585937500")  # 1.5 steps of BF16 above 1: between two codes
    assert BF16.decode(BF16.encode(value)) == Fraction("1.0078125")
    assert BF16.decode(BF16.encode(value, truncate=True)) == 1


def test_absmax_as_the_course_has_it() -> None:
    scaled = AbsMax(INT8, Fraction(4))
    assert INT8.decode(scaled.encode(PI)) == 100
    assert float(scaled.decode(scaled.encode(PI))) == pytest.approx(3.1496063, abs=1e-7)
    own = AbsMax(INT8, PI)
    assert own.decode(own.encode(PI)) == PI
    assert INT8.decode(scaled.encode(Fraction(-9))) == -127
    with pytest.raises(BadInput, match="above zero"):
        AbsMax(INT8, Fraction(0))


@pytest.mark.parametrize("form", FORMATS.values(), ids=FORMATS)
def test_neighbours_are_in_order_and_lead_back(form: Format) -> None:
    start = form.encode(Fraction(1))
    up = form.neighbour(start, 1)
    assert form.decode(up) == 1 + form.epsilon
    assert form.neighbour(up, -1) == start
    top, bottom = form.encode(form.largest), form.encode(form.lowest)
    assert form.neighbour(top, 1) == top
    assert form.neighbour(bottom, -1) == bottom
    assert form.decode(form.neighbour(form.encode(Fraction(0)), -1)) == -form.smallest


@pytest.mark.parametrize(("form", "dtype", "word"), NARROW, ids=IDS)
@given(data=st.data())
def test_neighbours_are_numpys_nextafter(form: Format, dtype: type, word: type, data: st.DataObject) -> None:
    code = data.draw(st.integers(0, (1 << form.bits) - 1))
    value = form.decode(code)
    if isinstance(value, float) and not math.isfinite(value):
        return
    here: NDArray[Any] = np.array([code]).astype(word).view(dtype)
    there = np.nextafter(here, np.array([np.inf]).astype(dtype)).astype(np.float64)[0]
    if math.isfinite(there):
        assert float(form.decode(form.neighbour(code, 1))) == there


def test_bytes_are_exact() -> None:
    assert [form.bytes_for(8_030_261_248) for form in (FP32, TF32, BF16, INT8, INT4)] == [
        32_121_044_992,
        32_121_044_992,
        16_060_522_496,
        8_030_261_248,
        4_015_130_624,
    ]
    assert INT4.bytes_for(3) == 2
    assert INT4.bytes_for(np.array([0, 1, 2, 5])).tolist() == [0, 1, 1, 3]


@pytest.mark.parametrize(
    ("text", "form"),
    [("BF16", BF16), ("bfloat16", BF16), ("torch.float16", FP16), ("fp8", FP8_E4M3), ("E4M3", FP8_E4M3),
     ("float8_e5m2", FP8_E5M2), ("int-8", INT8), ("FP8 E5M2", FP8_E5M2), ("tf32", TF32)],
)  # fmt: skip
def test_names_as_people_write_them(text: str, form: Format) -> None:
    assert format_named(text) is form


@pytest.mark.parametrize("text", ["", "fp7", "16", "x" * 5000])
def test_an_unknown_name_lists_what_there_is(text: str) -> None:
    with pytest.raises(
        BadInput, match="there are fp32, tf32, fp16, bf16, fp8-e4m3, fp8-e5m2, int8, int4"
    ) as caught:
        format_named(text, field="weights")
    assert caught.value.field == "weights"
    assert len(str(caught.value)) < 200
