"""One value in every number format: what the command line prints, the chart draws and the window shows."""

import math
from dataclasses import dataclass
from fractions import Fraction

from llmplanner.core.errors import BadInput
from llmplanner.core.formats import (
    BF16,
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
from llmplanner.core.quantities import decimal_text, parse_value, significant

ORDER = (FP32, TF32, BF16, FP16, FP8_E4M3, FP8_E5M2, INT8, INT4)  # the course's pi drops bits from row to row
SCALED = (INT8, INT4)
MAX_TEXT = 40  # characters of a decimal that an entry field still shows whole


@dataclass(frozen=True, slots=True)
class Typed:
    """What was asked for: a value, and the pattern where one was named or flipped bit by bit."""

    text: str
    value: Exact
    key: str = ""  # of the row that the pattern belongs to
    code: int | None = None


@dataclass(frozen=True, slots=True)
class Stored:
    """What one format makes of a value. A format that cannot hold it (NaN in INT8) has no code."""

    key: str  # "bf16", "int8-absmax"
    name: str  # "BF16", "INT8, absmax 4"
    format: Format
    scale: AbsMax | None
    code: int | None
    value: Exact  # NaN where there is no code
    error: Exact  # value minus what was asked for
    kind: ValueClass | None
    saturated: Exact  # the same, but for what lies beyond the range: the end of the range
    truncated: Exact  # what cutting the digits off gives, instead of rounding to nearest even

    @property
    def lowest(self) -> Fraction:
        """The most negative value of the row."""
        return -self.scale.absmax if self.scale else self.format.lowest

    @property
    def largest(self) -> Fraction:
        """The largest value of the row."""
        return self.scale.absmax if self.scale else self.format.largest

    @property
    def overflowed(self) -> bool:
        """Whether a finite format's end was passed: infinity or NaN is stored for something else."""
        return isinstance(self.value, float) and self.error != 0 and isinstance(self.saturated, Fraction)

    @property
    def pattern_text(self) -> str:
        """The bits part by part: 0 10000000 1001001; empty where there is no code."""
        if self.code is None:
            return ""
        bits, exponent = self.format.bit_text(self.code), self.format.exponent_bits
        parts = (bits[0], bits[1 : 1 + exponent], bits[1 + exponent :])
        return " ".join(part for part in parts if part)

    @property
    def hex_text(self) -> str:
        """The bits in hexadecimal; empty where there is no code."""
        return "" if self.code is None else self.format.hex_text(self.code)

    @property
    def value_text(self) -> str:
        """The stored value to ten digits, and what saturating gives beside an overflow: inf (65,504).

        none where the format has no such value.
        """
        if self.code is None:
            return "none"
        text = significant(self.value, 10)
        if "e" in text:
            text = significant(self.value, 7)  # an exponent takes the room of three digits
        return f"{text} ({significant(self.saturated, 5)})" if self.overflowed else text

    @property
    def error_text(self) -> str:
        """The error to two digits; a dash where nothing is stored."""
        return "–" if self.code is None else significant(self.error, 2)

    @property
    def smallest_text(self) -> str:
        """The smallest magnitudes: with all digits, and at all."""
        if self.scale or self.format.is_integer:
            step = self.scale.scale if self.scale else self.format.smallest
            return f"steps of {significant(step, 4)}"
        normal, least = self.format.smallest_normal, self.format.smallest
        return f"smallest normal {significant(normal, 5)}, smallest {significant(least, 5)}"

    @property
    def range_text(self) -> str:
        """From the lowest to the largest value: ±65,504, -128 to 127."""
        digits = 7 if self.largest < 10**6 else 5
        if -self.lowest == self.largest:
            return f"±{significant(self.largest, digits)}"
        return f"{significant(self.lowest, digits)} to {significant(self.largest, digits)}"


def read(text: str) -> Typed:
    """A typed value, or a pattern with its format's name before it: "bf16:0x4049", "fp8:0b00110001".

    Raises BadInput.
    """
    name, colon, pattern = text.strip().partition(":")
    if not colon:
        return Typed(text.strip(), parse_value(text, field="value"))
    form = format_named(name, field="value")
    digits = pattern.strip().lower()
    base = 2 if digits.startswith("0b") else 16
    try:
        code = int(digits[:40], base)
    except ValueError as error:
        example = f"{form.key}:{form.hex_text(form.encode(Fraction(1)))}"
        raise BadInput(
            f"{pattern[:40]!r} is not a pattern; write it like {example}.", field="value"
        ) from error
    if code < 0 or len(digits) > MAX_TEXT:
        raise BadInput(
            f"{form.name} patterns have {form.width} bits and no sign of their own.", field="value"
        )
    return Typed(text.strip(), form.decode(code), form.key, code)


def flipped(row: Stored, code: int) -> Typed:
    """The value of another pattern of the same row, as if it had been typed."""
    value = row.scale.decode(code) if row.scale else row.format.decode(code)
    text = decimal_text(value) if row.scale is None else str(value)
    nan = isinstance(value, float) and math.isnan(value)
    if row.scale is None and (nan or len(text) > MAX_TEXT):
        text = f"{row.format.key}:{row.format.hex_text(code)}"
    return Typed(text, value, row.key, code)


def default_absmax(value: Exact) -> Fraction:
    """The next power of two from the magnitude up: 4 for pi. One for zero and what is not finite."""
    if isinstance(value, float) or value == 0:
        return Fraction(1)
    size = abs(value)
    exponent = size.numerator.bit_length() - size.denominator.bit_length()
    power = Fraction(2) ** exponent
    return power if power >= size else 2 * power


def in_every_format(typed: Typed, absmax: Fraction | None = None) -> tuple[Stored, ...]:
    """The value in each format; in the integer formats also with a scale of absmax over the largest code."""
    reach = default_absmax(typed.value) if absmax is None else absmax
    rows = []
    for form in ORDER:
        name = f"{form.name}, no scale" if form in SCALED else form.name
        rows.append(_row(typed, form.key, name, form, None))
        if form in SCALED:
            shown = significant(reach, 6)
            rows.append(
                _row(typed, f"{form.key}-absmax", f"{form.name}, absmax {shown}", form, AbsMax(form, reach))
            )
    return tuple(rows)


def _row(typed: Typed, key: str, name: str, form: Format, scale: AbsMax | None) -> Stored:
    if form.is_integer and isinstance(typed.value, float) and math.isnan(typed.value):
        return Stored(key, name, form, scale, None, math.nan, math.nan, None, math.nan, math.nan)
    code = typed.code if typed.key == key and typed.code is not None else _encoded(typed.value, form, scale)
    value = scale.decode(code) if scale else form.decode(code)
    ends = scale.decode(code) if scale else form.decode(form.saturate(typed.value))
    cut = value if scale else form.decode(form.encode(typed.value, truncate=True))
    return Stored(
        key, name, form, scale, code, value, _error(value, typed.value), form.classify(code), ends, cut
    )


def _encoded(value: Exact, form: Format, scale: AbsMax | None) -> int:
    return scale.encode(value) if scale else form.encode(value)


def _error(stored: Exact, asked: Exact) -> Exact:
    if isinstance(stored, Fraction) and isinstance(asked, Fraction):
        return stored - asked
    if stored == asked:  # both infinite, or zeros of either sign
        return Fraction(0)
    if _finite(stored) and _finite(asked):
        return Fraction(stored) - Fraction(asked)
    return math.nan if _is_nan(stored) or _is_nan(asked) else _difference(stored, asked)


def _difference(stored: Exact, asked: Exact) -> float:
    """Of which at least one is infinite and none is NaN: the sign of the larger decides."""
    if isinstance(stored, float) and math.isinf(stored):
        return stored
    return -math.inf if asked > 0 else math.inf


def _is_nan(value: Exact) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _finite(value: Exact) -> bool:
    return isinstance(value, Fraction) or math.isfinite(value)
