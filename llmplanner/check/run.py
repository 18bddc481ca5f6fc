"""A table of measurements against what the planner says, row by row."""

from dataclasses import dataclass
from pathlib import Path

from llmplanner.check.answer import Answers, Kind, Row
from llmplanner.check.kinds import kind_of
from llmplanner.check.lookup import Lookup
from llmplanner.check.summary import Summary, summaries
from llmplanner.check.table import Checked, Table, checked, read, written
from llmplanner.core.errors import BadInput


@dataclass(frozen=True, slots=True)
class Report:
    """A checked table."""

    table: Table
    kind: Kind
    rows: tuple[Checked, ...]
    summaries: tuple[Summary, ...]

    def written(self) -> str:
        """The table with predictions and notes, as CSV."""
        return written(self.table, self.kind, self.rows)


def check(path: Path, models: Path | None = None) -> Report:
    """Predicts every row of a table; the models it names are looked up in `models`, else beside it.

    Raises BadInput where the file is no such table. A row that cannot be answered says so in its note.
    """
    table = read(path)
    try:
        kind = kind_of(table.columns)
    except BadInput as error:
        raise BadInput(f"{path}: {error}", error.field) from error
    lookup = Lookup(models or path.resolve().parent)
    rows = tuple(
        checked(kind, row, _answer(kind, row, len(cells), len(table.columns), lookup))
        for row, cells in zip(table.rows(), table.cells, strict=True)
    )
    return Report(table, kind, rows, summaries(kind, rows))


def _answer(kind: Kind, row: Row, cells: int, columns: int, models: Lookup) -> Answers | BadInput:
    """What is said to one row, or the sentence on why nothing is."""
    if cells != columns:
        return BadInput(f"The row has {cells:,} cells and the header {columns:,}; mend its commas or quotes.")
    try:
        return kind.answer(row, models)
    except BadInput as error:
        return error
