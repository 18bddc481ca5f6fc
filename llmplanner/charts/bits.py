"""The bits of one value in every format, aligned where the exponent ends: one sees what each format drops."""

from collections.abc import Iterator

from msgspec.structs import replace

from llmplanner.charts.figure import HIDDEN, Cell, Figure, Mark, Text
from llmplanner.core.formats import Format
from llmplanner.core.quantities import decimal_text, significant
from llmplanner.core.stored import Stored, Typed

SOURCE = (
    "IEEE 754-2019 (FP32, FP16), arXiv:2209.05433 (FP8), arXiv:1905.12322 (BF16), "
    "NVIDIA A100 whitepaper (TF32); rounded to nearest, ties to even"
)
GAP = 0.35  # between sign, exponent and fraction, in widths of a bit
NAMES = -15.0  # where the names of the rows start, left of the end of the exponent
MARGIN = 0.6  # above the heads and below the last row, in rows
VALUES, ERRORS, RANGES = 32.5, 37.5, 45.5  # where those columns end


def bits_figure(typed: Typed, rows: tuple[Stored, ...]) -> Figure:
    """The figure of a value and what each format makes of it."""
    named = significant(typed.value, 12)
    return Figure(
        name="bits",
        title=f"{_short(typed.text)} in every number format",
        subtitle="" if typed.text == named else f"{_short(typed.text)} = {named}",
        x=HIDDEN,
        y=replace(HIDDEN, low=-1 - MARGIN, high=len(rows) - 1 + MARGIN),
        marks=(*_heads(), *(mark for place, row in enumerate(rows) for mark in _row(row, float(place)))),
        source=SOURCE,
        description=_spoken(typed, rows),
        legend=False,
        table=_table(rows),
    )


def part(form: Format, place: int) -> str:
    """What the bit `place` bits from the left belongs to: sign, exponent, fraction or integer."""
    if place == 0:
        return "sign"
    if form.is_integer:
        return "integer"
    return "exponent" if place <= form.exponent_bits else "fraction"


def column(form: Format, place: int) -> float:
    """Where that bit's middle stands, in widths of a bit from the end of the exponent."""
    if place == 0:
        return -form.exponent_bits - GAP - 0.5
    after = GAP if place > form.exponent_bits else 0.0
    return place - 0.5 - form.exponent_bits + after


def _heads() -> Iterator[Text]:
    yield Text(-9 - GAP, -1, "sign", "sign", "centre")
    yield Text(-4, -1, "exponent", "exponent", "centre")
    yield Text(GAP, -1, "fraction", "fraction")
    for x, head in ((VALUES, "stored value"), (ERRORS, "error"), (RANGES, "range")):
        yield Text(x, -1, head, "mute", "right")


def _row(row: Stored, y: float) -> Iterator[Mark]:
    yield Text(NAMES, y, row.name, series=row.name)
    if row.code is None:
        yield Text(GAP, y, f"{row.format.name} has no NaN", "mute")
    else:
        for place, bit in enumerate(row.format.bit_text(row.code)):
            yield _cell(row, place, bit, y)
    yield Text(VALUES, y, row.value_text, "text", "right", hover=decimal_text(row.value))
    yield Text(ERRORS, y, row.error_text, "mute", "right", hover=decimal_text(row.error))
    yield Text(RANGES, y, row.range_text, "mute", "right", hover=f"{row.range_text}\n{row.smallest_text}")


def _cell(row: Stored, place: int, bit: str, y: float) -> Cell:
    kind = part(row.format, place)
    return Cell(
        x=column(row.format, place),
        y=y,
        text=bit,
        colour=kind,
        strong=bit == "1",
        height=0.86,
        series=f"{row.name}, {kind}",
        hover=f"{row.name}, {kind} bit {row.format.width - 1 - place}: {bit}",
        key=f"{row.key}:{place}",
    )


def _table(rows: tuple[Stored, ...]) -> tuple[tuple[str, ...], ...]:
    """What the command line prints, with every digit."""
    heads = (
        "format",
        "bits",
        "hex",
        "stored_value",
        "error",
        "class",
        "saturated",
        "lowest",
        "largest",
        "source",
    )
    return (
        heads,
        *(
            (
                row.name,
                row.pattern_text,
                row.hex_text,
                *map(decimal_text, (row.value, row.error)),
                row.kind or "none",
                *map(decimal_text, (row.saturated, row.lowest, row.largest)),
                SOURCE,
            )
            for row in rows
        ),
    )


def _spoken(typed: Typed, rows: tuple[Stored, ...]) -> str:
    stored = ", ".join(f"{row.name} {significant(row.value, 8)}" for row in rows)
    return f"{_short(typed.text)} is stored as: {stored}."


def _short(text: str) -> str:
    return text if len(text) <= 32 else f"{text[:31]}…"
