"""Times commands and functions side by side: medians of several rounds, taken in turn, and their ratio."""

import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

ROUNDS = 7


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: what was measured, beside what, and the bound that was set."""

    what: str
    ours: float  # seconds, or bytes
    beside: str
    floor: float  # the same
    bound: float  # of the ratio
    unit: str = "ms"
    scale: float = 1e3  # from seconds, or bytes, to the unit

    @property
    def ratio(self) -> float:
        """Ours over the floor."""
        return self.ours / self.floor


def wall(command: Sequence[str]) -> float:
    """Seconds from the start of a command to its end, whatever its exit code."""
    start = time.perf_counter()
    subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start


def in_turn(*timers: Callable[[], float], rounds: int = ROUNDS) -> tuple[float, ...]:
    """The median of each timer over rounds that call them one after the other, after one warm-up."""
    for timer in timers:
        timer()
    taken = [[timer() for timer in timers] for _ in range(rounds)]
    return tuple(statistics.median(column) for column in zip(*taken, strict=True))
