"""llmplanner bits: the value in every number format."""

import argparse
import json
import re
from fractions import Fraction

from llmplanner.core.errors import BadInput
from llmplanner.core.quantities import decimal_text, has_exact_decimal, parse_value, significant
from llmplanner.core.stored import Stored, Typed, in_every_format, read

NAME = "bits"
HELP = "a value in every number format, bit by bit"
DESCRIPTION = """\
VALUE is a number: 3.14, 0,1, 1e-45, -1/3, 0x1.8p1, pi, e, -inf, nan. A bit pattern has the name of its
format before it: bf16:0x4049, fp8:0b00110001."""
_NEGATIVE = re.compile(r"-(\d|[.,]\d|pi|e$|inf|nan)")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.description = DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser._negative_number_matcher = _NEGATIVE  # noqa: SLF001 - argparse's own takes -1/3, -1e-3 and -inf for options
    parser.add_argument("value", metavar="VALUE", help="a number, or a pattern such as bf16:0x4049")
    parser.add_argument(
        "--absmax",
        metavar="A",
        help="largest magnitude of the block that INT8 and INT4 are scaled to "
        "(default: the next power of two from the value's magnitude up)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Prints the answer. Raises BadInput."""
    typed = read(args.value)
    rows = in_every_format(typed, _absmax(args.absmax))
    if args.json:
        print(json.dumps({"schema": 1, "input": args.value, "formats": [_entry(row) for row in rows]}))
    else:
        print(_table(typed, rows))
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
        "hex": "" if row.code is None else row.format.hex_text(row.code),
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


def _table(typed: Typed, rows: tuple[Stored, ...]) -> str:
    lines = [("", "bits", "hex", "stored value", "error", "range")]
    lines += [
        (
            row.name,
            _pattern(row),
            _hex(row),
            significant(row.value, 12),
            significant(row.error, 2),
            _range(row),
        )
        for row in rows
    ]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    texts = [
        "  ".join(
            cell.rjust(width) if column in {3, 4} else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    return "\n".join([f"{typed.text} = {significant(typed.value, 20)}", *texts, *_remarks(rows)])


def _remarks(rows: tuple[Stored, ...]) -> list[str]:
    over = [
        f"{row.name} {significant(row.saturated, 6)}"
        for row in rows
        if row.kind is not None and _overflowed(row)
    ]
    return [f"Beyond the range; saturated instead: {', '.join(over)}."] if over else []


def _overflowed(row: Stored) -> bool:
    return isinstance(row.value, float) and row.error != 0 and isinstance(row.saturated, Fraction)


def _pattern(row: Stored) -> str:
    if row.code is None:
        return "no NaN"
    bits, exponent = row.format.bit_text(row.code), row.format.exponent_bits
    return " ".join(part for part in (bits[0], bits[1 : 1 + exponent], bits[1 + exponent :]) if part)


def _hex(row: Stored) -> str:
    return "" if row.code is None else row.format.hex_text(row.code)


def _range(row: Stored) -> str:
    if -row.lowest == row.largest:
        return f"±{significant(row.largest, 6)}"
    return f"{significant(row.lowest, 6)} to {significant(row.largest, 6)}"
