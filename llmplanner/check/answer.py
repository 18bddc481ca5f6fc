"""What is said to one row of a table of measurements, and what a kind of table is."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from llmplanner.check.lookup import Lookup

Row = Mapping[str, str]  # by column, as the file states them; a cell that is left out is empty


@dataclass(frozen=True, slots=True)
class Answer:
    """The prediction for one measured column, in that column's unit.

    `low` and `high` bound an estimate; None where the number is counted. `predicted` is None where this
    column of the row cannot be answered; `note` then says why.
    """

    predicted: float | None
    low: float | None = None
    high: float | None = None
    note: str = ""


Answers = Mapping[str, Answer]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of table. `answer` gives an Answer for each measured column, or raises BadInput for the row."""

    name: str
    needs: tuple[str, ...]  # columns without which no row can be answered; "a|b": one of the two
    measured: tuple[str, ...]  # columns that are predicted
    answer: Callable[[Row, Lookup], Answers]
    estimates: bool = False  # with bounds
    marks: tuple[str, ...] = ()  # where several kinds need the same: it is told by one of these or a measured

    def lacks(self, columns: Collection[str]) -> list[str]:
        """What it needs and the table does not have."""
        return [need for need in self.needs if not any(name in columns for name in need.split("|"))]

    def is_told_by(self, columns: Collection[str]) -> bool:
        """Whether the columns are those of this kind."""
        told = not self.marks or any(name in columns for name in (*self.marks, *self.measured))
        return told and not self.lacks(columns)
