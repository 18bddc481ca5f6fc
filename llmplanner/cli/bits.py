"""`llmplanner bits`: a value in every number format."""

import argparse
import re
from fractions import Fraction

from llmplanner.cli.output import print_json, print_lines, table
from llmplanner.core.errors import BadInput
from llmplanner.core.quantities import decimal_text, has_exact_decimal, parse_value, significant
from llmplanner.core.stored import Stored, in_every_format, read

DESCRIPTION = """\
VALUE is a number: 3.14, 0,1, 1e-45, -1/3, 0x1.8p1, pi, e, -inf, nan. A bit pattern has the name of its
format before it: bf16:0x4049, fp8:0b00110001."""
NEGATIVE = re.compile(r"-(\d|[.,]\d|pi|e$|inf|nan)")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The value, and the scale of the integer formats."""
    parser.description = DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser._negative_number_matcher = NEGATIVE  # noqa: SLF001 - argparse's own takes -1/3, -1e-3 and -inf for options
    parser.add_argument("value", metavar="VALUE", help="a number, or a pattern such as bf16:0x4049")
    parser.add_argument(
        "--absmax",
        metavar="A",
        help="largest magnitude of the block that INT8 and INT4 are scaled to "
        "(default: the next power of two from the value's magnitude up)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Prints the answer. Raises BadInput."""
    typed = read(arguments.value)
    rows = in_every_format(typed, _absmax(arguments.absmax))
    if arguments.json:
        print_json({"input": arguments.value, "formats": [_entry(row) for row in rows]})
        return 0
    heading = ("", "bits", "hex", "stored value", "error", "range")
    print_lines(
        f"{typed.text} = {significant(typed.value, 20).replace(',', '')}",  # no comma that could mean a point
        *table([heading, *map(_row, rows)], "lllrrl"),
        *_remarks(rows),
    )
    return 0


def _absmax(text: str | None) -> Fraction | None:
    if text is None:
        return None
    value = parse_value(text, field="absmax")
    if not isinstance(value, Fraction) or value <= 0:
        raise BadInput(f"absmax cannot be {text}; it takes a number above zero.", field="absmax")
    return value


def _entry(row: Stored) -> dict[str, object]:
    """One format in JSON. A decimal that never ends has 60 digits, and the fraction beside it."""
    entry: dict[str, object] = {
        "format": row.key,
        "bits": "" if row.code is None else row.format.bit_text(row.code),
        "hex": row.hex_text,
        "value": decimal_text(row.value),
        "error": decimal_text(row.error),
        "class": "none" if row.kind is None else str(row.kind),
        "saturated": decimal_text(row.saturated),
        "truncated": decimal_text(row.truncated),
        "lowest": decimal_text(row.lowest),
        "largest": decimal_text(row.largest),
    }
    for name, number in (("value_fraction", row.value), ("error_fraction", row.error)):
        if not has_exact_decimal(number):
            entry[name] = str(number)
    if row.scale is not None:
        entry["scale"] = decimal_text(row.scale.scale)
        entry["absmax"] = decimal_text(row.scale.absmax)
    return entry


def _row(row: Stored) -> tuple[str, ...]:
    value = "none" if row.code is None else significant(row.value, 12)
    numbers = (value, row.error_text, row.range_text)
    return (row.name, row.pattern_text or "no NaN", row.hex_text, *numbers)


def _remarks(rows: tuple[Stored, ...]) -> list[str]:
    beyond = [f"{row.name} {significant(row.saturated, 6)}" for row in rows if row.overflowed]
    return [f"Beyond the range; saturated instead: {', '.join(beyond)}."] if beyond else []
