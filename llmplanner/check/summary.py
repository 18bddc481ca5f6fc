"""How far off the predictions of a table are, for each measured column."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from llmplanner.check.answer import Answer, Kind
from llmplanner.check.table import Checked, measured, no_error


@dataclass(frozen=True, slots=True)
class Summary:
    """One measured column. Errors are |predicted - measured| / measured; None where nothing was answered.

    `rows` counts the rows that state a measurement, all of them where none does; `answered` those of them
    that have an error, which a measured 0 has only where it was predicted. `band_coverage` is the share of
    answered rows whose measurement lies within the stated bounds; None where nothing is estimated.
    """

    column: str
    rows: int
    answered: int
    median_error: float | None
    p90_error: float | None
    worst_error: float | None
    band_coverage: float | None
    median_signed_error: float | None  # below 0: predicted too little
    worst_row: int | None  # its number, the first below the header being 1


@dataclass(frozen=True, slots=True)
class _Pair:
    """A prediction and its measurement."""

    number: int
    answer: Answer
    predicted: float
    measured: float

    @property
    def error(self) -> float:
        """Relative and signed; of a measured 0 none is taken but where 0 was predicted."""
        return (self.predicted - self.measured) / self.measured if self.measured else 0.0


def summaries(kind: Kind, rows: Sequence[Checked]) -> tuple[Summary, ...]:
    """A summary for each column that the kind measures."""
    return tuple(_summary(column, rows) for column in kind.measured)


def _summary(column: str, rows: Sequence[Checked]) -> Summary:
    stated = [(number, one) for number, one in enumerate(rows, 1) if measured(one.row, column) is not None]
    pairs = list(_pairs(column, stated))
    if not stated:
        said = sum(_predicted(one, column) is not None for one in rows)
        return Summary(column, len(rows), said, None, None, None, None, None, None)
    if not pairs:
        return Summary(column, len(stated), 0, None, None, None, None, None, None)
    errors = sorted((abs(pair.error), pair.number) for pair in pairs)
    sizes = [size for size, _ in errors]
    return Summary(
        column,
        len(stated),
        len(pairs),
        statistics.median(sizes),
        sizes[math.ceil(0.9 * len(sizes)) - 1],
        sizes[-1],
        _coverage(pairs),
        statistics.median(pair.error for pair in pairs),
        errors[-1][1],
    )


def _pairs(column: str, stated: Sequence[tuple[int, Checked]]) -> list[_Pair]:
    found = []
    for number, one in stated:
        answer, truth = one.answers.get(column), measured(one.row, column)
        if answer is None or answer.predicted is None or truth is None:
            continue
        if not no_error(one.row, one.answers, column):
            found.append(_Pair(number, answer, answer.predicted, truth))
    return found


def _predicted(one: Checked, column: str) -> float | None:
    answer = one.answers.get(column)
    return answer.predicted if answer is not None else None


def _coverage(pairs: Sequence[_Pair]) -> float | None:
    within = [
        pair.answer.low <= pair.measured <= pair.answer.high
        for pair in pairs
        if pair.answer.low is not None and pair.answer.high is not None
    ]
    return sum(within) / len(within) if within else None
