"""How far off answers are: ours and those of other planners, on the same rows."""

import math
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.accuracy.topics import Topic


@dataclass(frozen=True, slots=True)
class Entry:
    """One measured row and what was answered to it; `predicted` is None where nothing was."""

    number: int  # of the row in its table, from 1
    label: str
    measured: float
    predicted: float | None
    low: float | None = None
    high: float | None = None
    note: str = ""

    @property
    def error(self) -> float | None:
        """Relative and signed. Of a measured 0: 0 where it was predicted, 1 where not."""
        return None if self.predicted is None else relative(self.predicted, self.measured)

    @property
    def within(self) -> bool | None:
        """Whether the measurement lies in the stated bounds; None where none are stated."""
        if self.predicted is None or self.low is None or self.high is None:
            return None
        return self.low <= self.measured <= self.high


@dataclass(frozen=True, slots=True)
class Score:
    """Errors in absolute terms; None where nothing was answered."""

    answered: int
    median: float | None
    p90: float | None
    worst: float | None


@dataclass(frozen=True, slots=True)
class Peer:
    """Another planner on the rows that it answers, and ours on the same rows."""

    name: str
    theirs: Score
    ours: Score


@dataclass(frozen=True, slots=True)
class Line:
    """A topic with its rows, our score and those of others."""

    topic: Topic
    entries: tuple[Entry, ...]
    peers: tuple[Peer, ...]

    @property
    def score(self) -> Score:
        """Ours."""
        return score(one.error for one in self.entries)

    @property
    def coverage(self) -> float | None:
        """The share of answered rows whose measurement lies in the bounds; None where none are stated."""
        known = [one.within for one in self.entries if one.within is not None]
        return sum(known) / len(known) if known else None

    @property
    def worst(self) -> tuple[Entry, ...]:
        """The answered rows that are not exact, worst first."""
        off = [(abs(one.error), one) for one in self.entries if one.error]
        return tuple(one for _, one in sorted(off, key=lambda pair: -pair[0]))

    @property
    def reasons(self) -> tuple[tuple[str, int], ...]:
        """Why rows are not answered, the most frequent first."""
        return tuple(Counter(one.note for one in self.entries if one.predicted is None).most_common())


def relative(predicted: float, measured: float) -> float:
    """The signed error of a prediction."""
    if not measured:
        return float(predicted != 0)
    return (predicted - measured) / measured


def score(errors: Iterable[float | None]) -> Score:
    """The score of signed errors; None stands for no answer."""
    sizes = sorted(abs(error) for error in errors if error is not None)
    if not sizes:
        return Score(0, None, None, None)
    return Score(len(sizes), statistics.median(sizes), sizes[math.ceil(0.9 * len(sizes)) - 1], sizes[-1])


def peers(entries: Sequence[Entry], answers: Mapping[str, Mapping[int, float]]) -> tuple[Peer, ...]:
    """Every planner that answers some of the rows. `answers` goes by planner, then by row."""
    found = []
    for name, amounts in answers.items():
        both = [one for one in entries if one.number in amounts]
        if both:
            theirs = score(relative(amounts[one.number], one.measured) for one in both)
            found.append(Peer(name, theirs, score(one.error for one in both)))
    return tuple(found)
