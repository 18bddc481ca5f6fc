"""A figure's data as rows: every mark with its exact values, units, formula and source."""

import csv
import io
from collections.abc import Iterable, Iterator

from llmplanner.charts.figure import Band, Bar, Cell, Figure, Line, Mark, Point, Rule, Text
from llmplanner.charts.hover import is_fitted

HEADER = (
    "panel",
    "mark",
    "series",
    "name",
    "x",
    "x_unit",
    "y",
    "y_unit",
    "low",
    "high",
    "note",
    "formula",
    "source",
)
FORMULA_STARTS = ("=", "+", "@", "\t", "\r")  # what a spreadsheet would compute rather than show

Value = str | int | float


def rows(figure: Figure) -> list[tuple[str, ...]]:
    """The header and one row for each value; the figure's own table where it has one. Numbers are exact."""
    if figure.table:
        return [tuple(map(_written, row)) for row in figure.table]
    found: list[tuple[str, ...]] = [HEADER]
    for part in (figure, *figure.beside):
        for mark in part.marks:
            for row in _of_mark(mark, part):
                filled = {"panel": part.heading, "source": part.source or figure.source} | {
                    column: value for column, value in row.items() if value != ""
                }
                found.append(tuple(_written(filled.get(column, "")) for column in HEADER))
    return found


def to_csv(figure: Figure) -> str:
    """The rows as comma-separated values (RFC 4180)."""
    return csv_of(rows(figure))


def csv_of(table: Iterable[Iterable[Value]]) -> str:
    """Any table as comma-separated values (RFC 4180), with nothing that a spreadsheet would compute."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows([_written(value) for value in row] for row in table)
    return text.getvalue()


def _written(value: Value) -> str:
    if isinstance(value, str):
        return f"'{value}" if value.startswith(FORMULA_STARTS) else value
    return repr(value)


def _of_mark(mark: Mark, figure: Figure) -> Iterator[dict[str, Value]]:
    """The rows of one mark, by column; what is missing is empty."""
    units: dict[str, Value] = {"x_unit": figure.x.unit, "y_unit": figure.y.unit}
    if isinstance(mark, Bar):
        for segment in mark.segments:
            yield {
                "mark": "bar", "series": segment.series, "name": mark.category, "x": segment.value,
                "x_unit": figure.x.unit, "low": "" if segment.low is None else segment.low,
                "high": "" if segment.high is None else segment.high,
                "formula": segment.formula, "source": segment.source,
            }  # fmt: skip
    elif isinstance(mark, Line):
        for x, y in zip(mark.xs, mark.ys, strict=True):
            note = "" if is_fitted(mark, x) else "extrapolated"
            yield units | {
                "mark": "line", "series": mark.series, "name": mark.label, "x": x, "y": y,
                "note": note, "formula": mark.formula, "source": mark.source,
            }  # fmt: skip
    elif isinstance(mark, Band):
        for x, low, high in zip(mark.xs, mark.lows, mark.highs, strict=True):
            yield units | {
                "mark": "band", "series": mark.series, "x": x, "low": low, "high": high, "source": mark.source
            }  # fmt: skip
    elif isinstance(mark, Rule):
        unit = f"{mark.axis}_unit"
        yield {
            unit: units[unit],
            "mark": "limit",
            "name": mark.label,
            mark.axis: mark.value,
            "source": mark.source,
        }
    else:
        yield _of_place(mark, units)


def _of_place(mark: Point | Cell | Text, units: dict[str, Value]) -> dict[str, Value]:
    """The row of a mark that has one place. Where cells and words stand on the page is no datum."""
    if isinstance(mark, Point):
        return units | {
            "mark": "point", "series": mark.series, "name": mark.label,
            "x": mark.x, "y": mark.y, "source": mark.source,
        }  # fmt: skip
    kind = "cell" if isinstance(mark, Cell) else "text"
    return {"mark": kind, "series": mark.series, "name": mark.text, "note": mark.hover.replace("\n", "; ")}
