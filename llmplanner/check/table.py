"""Tables as CSV files: read whole and checked, written with what is predicted beside what was measured."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from llmplanner.check.answer import Answer, Answers, Kind, Row
from llmplanner.check.cells import float_of
from llmplanner.core.errors import BadInput, quoted
from llmplanner.resources import read_file

MAX_FILE = 100_000_000  # bytes; 10,000 rows have about five million
MOST_ROWS = 1_000_000
NOTE = "note"
ADDED = ("predicted", "low", "high")


@dataclass(frozen=True, slots=True)
class Table:
    """A CSV file: its columns, and its rows as they stand there."""

    columns: tuple[str, ...]
    cells: tuple[tuple[str, ...], ...]

    def rows(self) -> Iterable[Row]:
        """The rows by column."""
        return (dict(zip(self.columns, cells, strict=False)) for cells in self.cells)


@dataclass(frozen=True, slots=True)
class Checked:
    """A row with what was said to it. `note` tells why a row or a column has no answer, and what to know."""

    row: Row
    answers: Answers
    note: str


def read(path: Path) -> Table:
    """The table in a file. Raises BadInput."""
    content = read_file(path, MAX_FILE, remedy="; give a CSV file of measurements")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(
            f"{path} is not UTF-8 text (byte {error.start:,} is none of it); save the table as CSV in UTF-8."
        ) from error
    try:
        lines = [tuple(cells) for cells in csv.reader(io.StringIO(text, newline=""), strict=True) if cells]
    except csv.Error as error:
        raise BadInput(f"{path} is no whole CSV file ({error}); mend its quotes.") from error
    if not lines:
        raise BadInput(f"{path} is empty; its first line must name the columns.")
    if len(lines) > MOST_ROWS:
        raise BadInput(f"{path} has more than {MOST_ROWS:,} rows; check it in parts.")
    columns = tuple(name.strip() for name in lines[0])
    _check_columns(path, columns)
    return Table(columns, tuple(lines[1:]))


def checked(kind: Kind, row: Row, answers: Answers | BadInput) -> Checked:
    """A row with its answers; BadInput for the row becomes its note."""
    if isinstance(answers, BadInput):
        return Checked(row, {}, str(answers))
    notes = [one.note for one in answers.values() if one.note]
    notes += [
        f"{name} is {quoted(row[name])}, which is no measurement."
        for name in kind.measured
        if row.get(name, "").strip() and measured(row, name) is None
    ]
    notes += [f"{name} is 0, of which no error is taken." for name in answers if no_error(row, answers, name)]
    return Checked(row, answers, " ".join(dict.fromkeys(notes)))


def measured(row: Row, column: str) -> float | None:
    """What the row states as measured; None where it states nothing, or nothing that can be."""
    number = float_of(row.get(column, "").strip() or "-")
    return number if number is not None and number >= 0 else None


def no_error(row: Row, answers: Answers, column: str) -> bool:
    """Whether a measured 0 stands against a prediction that is none: nothing can be divided by it."""
    said = answers.get(column)
    return said is not None and bool(said.predicted) and measured(row, column) == 0


def written(table: Table, kind: Kind, rows: Sequence[Checked]) -> str:
    """The table with predictions, bounds and notes, as CSV. Columns of an earlier check are written anew."""
    added = [f"{what}_{name}" for name in kind.measured for what in (ADDED if kind.estimates else ADDED[:1])]
    kept = [place for place, name in enumerate(table.columns) if name not in {*added, NOTE}]
    place_of_note = table.columns.index(NOTE) if NOTE in table.columns else None
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*(table.columns[place] for place in kept), *added, NOTE])
    for cells, one in zip(table.cells, rows, strict=True):
        theirs = cells[place_of_note] if place_of_note is not None and place_of_note < len(cells) else ""
        note = theirs if one.note in theirs else "; ".join(text for text in (theirs, one.note) if text)
        filled = [*cells, *[""] * (len(table.columns) - len(cells))]
        writer.writerow([*(filled[place] for place in kept), *_said(kind, one.answers), note])
    return out.getvalue()


def _said(kind: Kind, answers: Answers) -> Iterable[str]:
    for name in kind.measured:
        one = answers.get(name, Answer(None))
        values = (one.predicted, one.low, one.high) if kind.estimates else (one.predicted,)
        yield from (_number(value) for value in values)


def _number(value: float | None) -> str:
    """A number as it is where it is whole, else in six decimals."""
    if value is None:
        return ""
    return str(value) if isinstance(value, int) else f"{value:.6f}".rstrip("0").rstrip(".")


def _check_columns(path: Path, columns: tuple[str, ...]) -> None:
    if len(columns) == 1 and any(mark in columns[0] for mark in ";\t"):
        raise BadInput(f"{path} has no commas between its columns; save the table with commas.")
    seen: set[str] = set()
    for name in columns:
        if name in seen:
            raise BadInput(f"{path} has two columns {quoted(name)}; rename or remove one.")
        seen.add(name)
