"""Number formats: what they store, how they round, and the bytes that they take.

Values are exact: a finite value is a Fraction, so that nothing is rounded twice. Infinities, NaN and negative
zero, which a Fraction cannot hold, are floats. A code is the stored bit pattern as a non-negative integer.

Sources: IEEE 754-2019 sec. 3.4 (FP32, FP16), Micikevicius et al. 2022 (arXiv:2209.05433) table 1 (FP8; E4M3
is the variant without infinities, ml_dtypes' float8_e4m3fn), Kalamkar et al. 2019 (arXiv:1905.12322) (BF16),
NVIDIA A100 whitepaper 2020 p. 27 (TF32).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar

from llmplanner.core.errors import BadInput

if TYPE_CHECKING:  # `gpus` and `bits` answer without NumPy
    import numpy as np
    from numpy.typing import NDArray

Exact = Fraction | float  # a float only for inf, -inf, nan and -0.0
Elements = TypeVar("Elements", int, "NDArray[np.int64]", "int | NDArray[np.int64]")


class FormatKind(StrEnum):
    """How the bits are read."""

    FLOAT = "float"  # sign, biased exponent, fraction
    INTEGER = "integer"  # two's complement


class ValueClass(StrEnum):
    """What a stored pattern is."""

    ZERO = "zero"
    SUBNORMAL = "subnormal"
    NORMAL = "normal"
    INFINITY = "infinity"
    NAN = "nan"
    INTEGER = "integer"


@dataclass(frozen=True, slots=True)
class Format:
    """A number format. Its pattern is one sign bit, the exponent, then the fraction (or integer) bits."""

    name: str  # for people
    key: str  # in plans, on the command line, in JSON
    kind: FormatKind
    bits: int  # per element in memory
    exponent_bits: int
    fraction_bits: int  # of an integer: the bits after the sign
    bias: int
    has_infinity: bool

    @property
    def width(self) -> int:
        """Bits of the pattern: those in memory, but for TF32, whose 19 bits are kept in 32."""
        return 1 + self.exponent_bits + self.fraction_bits

    def bytes_for(self, elements: Elements) -> Elements:
        """Bytes of that many elements packed without gaps; a last odd INT4 takes a whole byte."""
        return (elements * self.bits + 7) // 8

    @property
    def is_integer(self) -> bool:
        """Whether the pattern is a two's complement integer."""
        return self.kind is FormatKind.INTEGER

    # What can be stored

    @property
    def largest(self) -> Fraction:
        """The largest finite value."""
        return Fraction(self.decode(self._largest_code))

    @property
    def lowest(self) -> Fraction:
        """The most negative finite value."""
        return -self.largest - 1 if self.is_integer else -self.largest

    @property
    def smallest_normal(self) -> Fraction:
        """The smallest positive value that has all digits of the fraction."""
        return Fraction(1) if self.is_integer else _power_of_two(1 - self.bias)

    @property
    def smallest(self) -> Fraction:
        """The smallest positive value: subnormal in a floating format."""
        return Fraction(self.decode(1))

    @property
    def epsilon(self) -> Fraction:
        """The step from 1 to the next larger value."""
        return Fraction(1) if self.is_integer else _power_of_two(-self.fraction_bits)

    @property
    def largest_exact_integer(self) -> int:
        """The largest N such that every whole number from 0 to N is stored exactly."""
        return int(self.largest) if self.is_integer else 2 ** (self.fraction_bits + 1)

    @property
    def _largest_code(self) -> int:
        if self.is_integer:
            return (1 << self.fraction_bits) - 1
        every_bit = (1 << (self.width - 1)) - 1
        return self._infinity_code - 1 if self.has_infinity else every_bit - 1  # E4M3: all ones is NaN

    @property
    def _infinity_code(self) -> int:
        return ((1 << self.exponent_bits) - 1) << self.fraction_bits

    @property
    def _nan_code(self) -> int:
        if not self.has_infinity:
            return (1 << (self.width - 1)) - 1
        return self._infinity_code | (1 << (self.fraction_bits - 1))

    @property
    def _sign_bit(self) -> int:
        return 1 << (self.width - 1)

    # From values to codes and back

    def encode(self, value: Exact, *, truncate: bool = False) -> int:
        """The code of the value, rounded to nearest, ties to even; or towards zero where `truncate` is set.

        Beyond the largest value a floating format gives its infinity, or NaN where it has none; an integer
        format saturates. Raises BadInput for NaN in an integer format.
        """
        if self.is_integer:
            return self._encode_integer(value, truncate=truncate)
        if isinstance(value, float) and math.isnan(value):
            return self._nan_code
        sign = self._sign_bit if _is_negative(value) else 0
        code = self._magnitude_code(_size(value), truncate=truncate)
        if code <= self._largest_code:
            return sign | code
        return sign | (self._infinity_code if self.has_infinity else self._nan_code)

    def saturate(self, value: Exact) -> int:
        """Like `encode`, but what lies beyond the range becomes the largest (or lowest) finite value."""
        if self.is_integer or (isinstance(value, float) and math.isnan(value)):
            return self.encode(value)
        sign = self._sign_bit if _is_negative(value) else 0
        return sign | min(self._magnitude_code(_size(value), truncate=False), self._largest_code)

    def decode(self, code: int) -> Exact:
        """The value of a code, exactly. Raises BadInput for a code wider than the format."""
        if not 0 <= code < 1 << self.width:
            raise BadInput(f"{self.name} patterns have {self.width} bits; {code:#x} does not fit.")
        if self.is_integer:
            return Fraction(code - (1 << self.width) if code & self._sign_bit else code)
        negative = bool(code & self._sign_bit)
        magnitude = self._magnitude(code & ~self._sign_bit)
        return _negate(magnitude) if negative else magnitude

    def classify(self, code: int) -> ValueClass:
        """What the code is."""
        value = self.decode(code)
        if isinstance(value, float) and math.isnan(value):
            return ValueClass.NAN
        if isinstance(value, float) and math.isinf(value):
            return ValueClass.INFINITY
        if value == 0:
            return ValueClass.ZERO
        if self.is_integer:
            return ValueClass.INTEGER
        return ValueClass.SUBNORMAL if _size(value) < self.smallest_normal else ValueClass.NORMAL

    def neighbour(self, code: int, step: int) -> int:
        """The code of the next value up (step 1) or down (step -1); of the last value and of NaN, itself.

        The two zeros count as one value. Infinity is left for the largest finite value.
        """
        if self.classify(code) is ValueClass.NAN:
            return code
        place = self._place(code) + step
        reach = self._largest_code
        place = max(-reach - 1 if self.is_integer else -reach, min(reach, place))
        if self.is_integer:
            return place % (1 << self.width)
        return place if place >= 0 else self._sign_bit | -place

    # Patterns as text

    def bit_text(self, code: int) -> str:
        """The pattern, sign first: 0100000001001001."""
        return f"{code:0{self.width}b}"

    def hex_text(self, code: int) -> str:
        """The pattern in hexadecimal: 0x4049."""
        return f"0x{code:0{(self.width + 3) // 4}X}"

    def _place(self, code: int) -> int:
        """The value's place in order: zero at zero, the smallest positive value at one."""
        if self.is_integer:
            return int(self.decode(code))
        magnitude = code & ~self._sign_bit
        return -magnitude if code & self._sign_bit else magnitude

    def _magnitude(self, code: int) -> Exact:
        exponent, fraction = code >> self.fraction_bits, code & ((1 << self.fraction_bits) - 1)
        if code > self._largest_code:
            return math.inf if self.has_infinity and fraction == 0 else math.nan
        hidden = 1 << self.fraction_bits if exponent else 0
        return (hidden + fraction) * _power_of_two(max(exponent, 1) - self.bias - self.fraction_bits)

    def _magnitude_code(self, magnitude: Exact, *, truncate: bool) -> int:
        """The code of a non-negative value; one above the largest for all that lies beyond it."""
        beyond = self._largest_code + 1
        if magnitude == math.inf:
            return beyond
        magnitude = Fraction(magnitude)
        if magnitude == 0:
            return 0
        lowest = 1 - self.bias
        exponent = max(_binary_exponent(magnitude), lowest)
        quotient = magnitude / _power_of_two(exponent - self.fraction_bits)
        steps = math.floor(quotient) if truncate else round(quotient)  # round is half to even, exactly
        return min(
            ((exponent - lowest) << self.fraction_bits) + steps, beyond
        )  # a carry runs into the exponent

    def _encode_integer(self, value: Exact, *, truncate: bool) -> int:
        low, high = -(1 << self.fraction_bits), self._largest_code
        if isinstance(value, float) and math.isnan(value):
            raise BadInput(f"{self.name} has no NaN: it stores the whole numbers from {low} to {high}.")
        if isinstance(value, float) and math.isinf(value):
            whole = high if value > 0 else low
        else:
            exact = Fraction(value)
            whole = max(low, min(high, math.trunc(exact) if truncate else round(exact)))
        return whole % (1 << self.width)


def _power_of_two(exponent: int) -> Fraction:
    return Fraction(1 << exponent) if exponent >= 0 else Fraction(1, 1 << -exponent)


def _binary_exponent(magnitude: Fraction) -> int:
    """The floor of log2, exactly."""
    guess = magnitude.numerator.bit_length() - magnitude.denominator.bit_length()
    return guess if magnitude >= _power_of_two(guess) else guess - 1


def _is_negative(value: Exact) -> bool:
    return math.copysign(1.0, value) < 0 if isinstance(value, float) else value < 0


def _size(value: Exact) -> Exact:
    return math.fabs(value) if isinstance(value, float) else abs(value)


def _negate(magnitude: Exact) -> Exact:
    return -0.0 if magnitude == 0 else -magnitude


@dataclass(frozen=True, slots=True)
class AbsMax:
    """Symmetric quantization to an integer format: the largest magnitude of a block goes to the largest code.

    The scale is absmax / 127 for INT8 and absmax / 7 for INT4; the lowest code (-128, -8) is not used.
    Source: Dettmers et al. 2022 (arXiv:2208.07339) sec. 2.1.
    """

    format: Format
    absmax: Fraction

    def __post_init__(self) -> None:
        if not self.format.is_integer:
            raise BadInput(f"{self.format.name} takes no scale here; INT8 and INT4 do.", field="absmax")
        if self.absmax <= 0:
            raise BadInput("The largest magnitude (absmax) must be above zero.", field="absmax")

    @property
    def scale(self) -> Fraction:
        """What one step is worth."""
        return self.absmax / self.format.largest

    def encode(self, value: Exact) -> int:
        """The code of value / scale, rounded half to even and held within plus and minus the largest."""
        finite = isinstance(value, float) and not math.isfinite(value)
        code = self.format.encode(value if finite else Fraction(value) / self.scale)
        lowest = self.format.encode(self.format.lowest)
        return self.format.encode(-self.format.largest) if code == lowest else code

    def decode(self, code: int) -> Fraction:
        """What the code stands for once it is multiplied by the scale again."""
        return Fraction(self.format.decode(code)) * self.scale


def _float(
    name: str, bits: int, exponent_bits: int, fraction_bits: int, *, has_infinity: bool = True
) -> Format:
    key = name.lower().replace(" ", "-")
    bias = (1 << (exponent_bits - 1)) - 1
    return Format(name, key, FormatKind.FLOAT, bits, exponent_bits, fraction_bits, bias, has_infinity)


def _integer(name: str, bits: int) -> Format:
    return Format(name, name.lower(), FormatKind.INTEGER, bits, 0, bits - 1, 0, has_infinity=False)


FP32 = _float("FP32", 32, 8, 23)
TF32 = _float("TF32", 32, 8, 10)
FP16 = _float("FP16", 16, 5, 10)
BF16 = _float("BF16", 16, 8, 7)
FP8_E4M3 = _float("FP8 E4M3", 8, 4, 3, has_infinity=False)
FP8_E5M2 = _float("FP8 E5M2", 8, 5, 2)
INT8 = _integer("INT8", 8)
INT4 = _integer("INT4", 4)

FORMATS: Mapping[str, Format] = MappingProxyType(
    {each.key: each for each in (FP32, TF32, FP16, BF16, FP8_E4M3, FP8_E5M2, INT8, INT4)}
)

_OTHER_NAMES: Mapping[str, Format] = MappingProxyType(
    {
        "float32": FP32, "float": FP32, "f32": FP32, "single": FP32,
        "float16": FP16, "half": FP16, "f16": FP16,
        "bfloat16": BF16,
        "fp8": FP8_E4M3, "e4m3": FP8_E4M3, "e4m3fn": FP8_E4M3, "fp8e4m3fn": FP8_E4M3,
        "float8e4m3fn": FP8_E4M3, "f8e4m3": FP8_E4M3,
        "e5m2": FP8_E5M2, "float8e5m2": FP8_E5M2, "f8e5m2": FP8_E5M2,
        "i8": INT8, "i4": INT4,
    }
)  # fmt: skip


def format_named(text: str, field: str | None = None) -> Format:
    """The format of that name, as people and checkpoints write it: BF16, torch.float16, fp8, e4m3, INT-8.

    Plain "fp8" is E4M3, the one that weights are stored in. Raises BadInput.
    """
    plain = "".join(letter for letter in text.lower().removeprefix("torch.") if letter.isalnum())
    for each in FORMATS.values():
        if plain == each.key.replace("-", ""):
            return each
    if plain in _OTHER_NAMES:
        return _OTHER_NAMES[plain]
    shown = text if len(text) <= 40 else text[:40] + "…"  # noqa: PLR2004 - as much as fits a line
    raise BadInput(f"{shown!r} is not a number format; there are {', '.join(FORMATS)}.", field=field)
