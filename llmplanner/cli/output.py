"""Printing: JSON for scripts, aligned tables for people, both to standard output."""

import json
import shutil
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence

from llmplanner.cli.edge import printable

SCHEMA = 1
NARROWEST, WIDEST = 40, 100  # columns of running text


def print_json(answer: Mapping[str, object]) -> None:
    """An answer to a script. A number that is not finite is an error of ours and raises ValueError."""
    sys.stdout.write(
        json.dumps({"schema": SCHEMA, **answer}, indent=1, allow_nan=False, default=_plain) + "\n"
    )


def _plain(value: object) -> object:
    """NumPy's numbers as Python's."""
    item = getattr(value, "item", None)
    if item is None:
        raise TypeError(f"{type(value).__name__} has no JSON form")
    return item()


def print_lines(*lines: str) -> None:
    """Lines to a person."""
    sys.stdout.write("".join(f"{printable(line)}\n" for line in lines))


def paragraph(text: str, indent: int = 0) -> list[str]:
    """Running text in lines that fit the terminal."""
    width = min(max(shutil.get_terminal_size().columns, NARROWEST), WIDEST)
    margin = " " * indent
    wrapper = textwrap.TextWrapper(
        width,
        initial_indent=margin,
        subsequent_indent=margin,
        break_long_words=False,  # a path stays whole, to be copied
        break_on_hyphens=False,
    )
    return wrapper.wrap(text) or [""]


def table(rows: Iterable[Sequence[str]], right: str = "") -> list[str]:
    """Rows in aligned columns, two blanks apart. `right` has an "r" for each column that ends flush."""
    grid = [tuple(row) for row in rows]
    if not grid:
        return []
    widths = [max(map(len, column)) for column in zip(*grid, strict=True)]
    sides = right.ljust(len(widths), "l")
    return [
        "  ".join(
            cell.rjust(width) if side == "r" else cell.ljust(width)
            for cell, width, side in zip(row, widths, sides, strict=True)
        ).rstrip()
        for row in grid
    ]
