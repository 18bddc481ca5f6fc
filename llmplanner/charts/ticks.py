"""Where an axis has its ticks, and how they read: 0 5 10, 1k 2k 4k, 10²¹."""

import math
import re
from collections.abc import Callable, Iterator

from msgspec import Struct

from llmplanner.charts.figure import Axis

SUFFIXES = ("", "k", "M", "B", "T")  # as the field writes counts: 70B parameters, 1.4T tokens
EXPONENT = re.compile(r"(?<=\d)e([+-]?\d+)\b")
RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
GAP = 14.0  # pixels between two tick labels
CLOSEST = 52.0  # pixels from tick to tick on an x axis; more are more than one can read
LARGEST = 1e300  # beyond it, pixels can no longer be computed


class Tick(Struct, frozen=True):
    """One labelled place of an axis, in data units."""

    value: float
    text: str


def finite(value: float) -> float | None:
    """The value as a float that can be drawn; None for NaN. What is too large is cut to the largest."""
    try:
        number = float(value)
    except OverflowError:  # an int beyond every float
        number = math.inf if value > 0 else -math.inf
    return None if math.isnan(number) else max(-LARGEST, min(LARGEST, number))


def power(base: int, exponent: int) -> str:
    """10²¹."""
    return f"{base}{str(exponent).translate(RAISED)}"


def plain(value: float, decimals: int = 0) -> str:
    """1,234.5, and 10²¹-like figures where digits would run on."""
    if not value:
        return "0"
    if abs(value) >= 1e15 or decimals > 9:
        mantissa, _, exponent = f"{value:.1e}".partition("e")
        lead = mantissa.removesuffix(".0")
        raised = power(10, int(exponent))
        return raised if lead == "1" else f"{lead}×{raised}"
    return f"{value:,.{decimals}f}".replace("-", "−", 1)


def raised(figures: str) -> str:
    """Figures with an exponent as they are printed: 7.23e23 FLOPs becomes 7.23×10²³ FLOPs."""
    return EXPONENT.sub(lambda found: f"×{power(10, int(found[1]))}", figures)


def si(value: float, thousand: int = 1000) -> str:
    """1k, 2.5M, 70B, 1.4T; `thousand` is 1024 for contexts and other powers of two."""
    size = abs(value)
    step = 0
    while step + 1 < len(SUFFIXES) and size >= thousand ** (step + 1) * (1 - 1e-9):
        step += 1
    scaled = value / thousand**step
    if abs(scaled) >= thousand or (value and abs(scaled) < 1e-3):
        return plain(value, 10)
    digits = f"{scaled:.3g}" if abs(scaled) < 1000 else f"{scaled:.0f}"
    return digits.replace("-", "−", 1) + SUFFIXES[step]


def write(axis: Axis, value: float, decimals: int = 0) -> str:
    """One tick label in the axis's style. `value` is in data units."""
    shown = value / axis.one
    if axis.ticks == "percent":
        return f"{plain(shown * 100, max(0, decimals - 2))} %"
    if axis.ticks == "power" and shown > 0:
        base = 2 if axis.scale == "log2" else 10
        exponent = math.log(shown, base)
        return power(base, round(exponent)) if abs(exponent - round(exponent)) < 1e-9 else plain(shown, 10)
    if axis.ticks in {"si", "power"}:
        return si(shown, 1024 if axis.scale == "log2" else 1000)
    return plain(shown, decimals)


def ticks(
    axis: Axis,
    low: float,
    high: float,
    room: float,
    size_of: Callable[[str], float],
    closest: float = CLOSEST,
) -> tuple[Tick, ...]:
    """As many ticks between low and high as `room` pixels take without their labels touching.

    `size_of` gives a label's size along the axis in pixels.
    """
    finest: tuple[Tick, ...] = ()
    for candidate in _candidates(axis, low, high):
        finest = candidate
        places = [fraction(axis, tick.value, low, high) * room for tick in candidate]
        if len(candidate) <= max(3, room / closest) and _fit(
            places, [size_of(tick.text) for tick in candidate]
        ):
            return candidate
    return finest[:1]


def _fit(places: list[float], sizes: list[float]) -> bool:
    """Whether no two neighbours touch."""
    return all(
        after - before >= (left + right) / 2 + GAP
        for before, after, left, right in zip(places, places[1:], sizes, sizes[1:], strict=False)
    )


def fraction(axis: Axis, value: float, low: float, high: float) -> float:
    """Where a value lies between low (0) and high (1) on this axis; on a log scale all three are positive."""
    if axis.scale in {"log10", "log2"}:
        return (math.log(value) - math.log(low)) / (math.log(high) - math.log(low))
    return (value - low) / (high - low)


def _candidates(axis: Axis, low: float, high: float) -> Iterator[tuple[Tick, ...]]:
    """Sets of ticks, the densest first."""
    if axis.scale == "log2":
        yield from _powers(axis, 2, low, high)
    elif axis.scale == "log10":
        decades = math.log10(high) - math.log10(low)
        if decades < 1:
            yield from _linear(axis, low, high)
        if decades < 3:
            yield _between(axis, (1, 2, 5), low, high)
        yield from _powers(axis, 10, low, high)
    else:
        yield from _linear(axis, low, high)


def _between(axis: Axis, leads: tuple[int, ...], low: float, high: float) -> tuple[Tick, ...]:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    values = [lead * 10.0**exponent for exponent in range(first, last + 1) for lead in leads]
    return tuple(
        Tick(value, write(axis, value, max(0, -math.floor(math.log10(value / axis.one) + 1e-9))))
        for value in values
        if low <= value <= high
    )


def _powers(axis: Axis, base: int, low: float, high: float) -> Iterator[tuple[Tick, ...]]:
    """Every power, then every second, third, fifth, tenth ... or every second, fourth, eighth for base 2."""
    first = math.ceil(math.log(low / axis.one, base) - 1e-9)
    last = math.floor(math.log(high / axis.one, base) + 1e-9)
    steps = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512) if base == 2 else (1, 2, 3, 5, 10, 20, 50, 100)
    for step in steps:
        exponents = range(step * math.ceil(first / step), last + 1, step)
        if len(exponents) <= 200:
            places = [(float(base) ** exponent * axis.one, max(0, -exponent)) for exponent in exponents]
            yield tuple(Tick(value, write(axis, value, decimals)) for value, decimals in places)


def _linear(axis: Axis, low: float, high: float) -> Iterator[tuple[Tick, ...]]:
    """Steps of 1, 2 and 5 times a power of ten, in shown units."""
    low, high = low / axis.one, high / axis.one
    exponent = math.floor(math.log10(max(high - low, 1e-300))) - 2
    for power_of_ten in range(exponent, exponent + 5):
        for lead in (1, 2, 5):
            step = lead * 10.0**power_of_ten
            first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
            if 0 <= last - first <= 50:
                decimals = max(0, -power_of_ten)
                values = [index * step * axis.one for index in range(first, last + 1)]
                yield tuple(Tick(value, write(axis, value, decimals)) for value in values)
