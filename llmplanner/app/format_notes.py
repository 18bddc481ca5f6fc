"""What the Quantization page says in words: a format in one line, why it is as it is, what was typed."""

import math
from fractions import Fraction

from llmplanner.core.quantities import has_exact_decimal, significant
from llmplanner.core.stored import Stored, Typed

TAKES = "Decimals, fractions, pi, e, nan, inf; a bit pattern as bf16:0x4049."
DIGITS = 15  # of the typed number

WHY = {
    "fp32": "1.2e-38 is the smallest value with all its digits, not the range's lower end: that is -3.4e38.",
    "tf32": "For multiplying, not for storing: tensor cores read 19 of FP32's 32 bits, memory stays.",
    "bf16": "FP32's range with fewer digits; rounded to the nearest, not just FP32 with its end cut off.",
    "fp16": "Halves the weights, not training: mixed precision keeps FP32 weights and optimizer state.",
    "fp8-e4m3": "For weights and activations. It has no infinity: beyond 448 is NaN, unless it is saturated.",
    "fp8-e5m2": "FP16's range with two fraction bits, made for gradients.",
    "int8": "A plain cast makes every number whole; weights are never cast so, they get a scale (next row).",
    "int8-absmax": "The scale keeps what a cast drops. One 16-bit scale for 32 weights: 8.5 bits a weight.",
    "int4": "Sixteen whole numbers: of no use for weights without a scale.",
    "int4-absmax": "Seven steps each way. One 16-bit scale for 32 weights: 4.5 bits a weight.",
}


def told(typed: Typed) -> str:
    """The number itself, beside what was typed; and of pi and its six decimals, which is which."""
    if typed.text.lower() in {"pi", "π"}:
        return "= 3.14159265358979…, rounded 3.141593, cut off 3.141592"
    if typed.text == "3.141592":
        return "pi cut off after six decimals; rounded it is 3.141593, and FP32 stores 3.141592741 for pi."
    if isinstance(typed.value, float) and not math.isfinite(typed.value):
        return TAKES
    digits = significant(typed.value, DIGITS)
    if digits.replace(",", "") == typed.text:
        return TAKES
    whole = isinstance(typed.value, float) or _has_digits(typed.value)
    return f"= {digits}" if whole else f"= {digits}…"


def _has_digits(value: Fraction) -> bool:
    """Whether the digits that are shown are all there are."""
    exact = has_exact_decimal(value)
    return exact and significant(value, DIGITS) == significant(value, DIGITS + 25)


def why(row: Stored) -> str:
    """Why the format is as it is, and what it would store if it did not round."""
    return f"{WHY[row.key]}{_cut(row)}"


def facts(row: Stored) -> str:
    """The row's pattern and its format in one line."""
    form = row.format
    pattern = "" if row.code is None else f" {form.hex_text(row.code)}"
    if row.scale is not None:
        scale = significant(row.scale.scale, 4)
        return f"{row.name}{pattern}: steps of {scale} (absmax / {form.largest}) within {row.range_text}."
    if form.is_integer:
        return (
            f"{form.name}{pattern}: 1 sign bit and {form.fraction_bits} value bits in two's complement, "
            f"no fraction; {row.range_text}."
        )
    return (
        f"{form.name}{pattern}: {form.exponent_bits} exponent bits (bias {form.bias}), "
        f"{form.fraction_bits} fraction bits; normal from {significant(form.smallest_normal)}, "
        f"smallest {significant(form.smallest)}; "
        f"whole numbers exact to {form.largest_exact_integer:,}."
    )


def _cut(row: Stored) -> str:
    if row.truncated == row.value or row.overflowed or math.isnan(row.value):
        return ""
    return f" Cut off, this value would be {significant(row.truncated, 8)}."
