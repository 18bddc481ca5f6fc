"""Tries many inputs, and keeps those that are answered otherwise than with a sentence, late, or at length."""

import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

SECONDS = 1.0
MEMORY = 100_000_000
COUNT, SEED = 100_000, 0  # where the command line names none

Case = Callable[[int, random.Random], tuple[bytes, str | None]]  # an input, and what is wrong with its answer


def run(case: Case, name: str) -> int:
    """Runs so many inputs from a seed, both as the command line says. 1 where there are findings, else 0."""
    stated = [int(text) for text in sys.argv[1:]]
    count, seed = (*stated, *(COUNT, SEED)[len(stated) :])
    chance = random.Random(seed)  # noqa: S311 - nothing secret
    findings = 0
    for number in range(count):
        content, problem = case(number, chance)
        if problem is not None:
            findings += 1
            Path("findings").mkdir(exist_ok=True)
            Path(f"findings/{name}-{seed}-{number}").write_bytes(content)
            print(number, problem, flush=True)
    print(f"{count:,} inputs, {findings} findings")
    return 1 if findings else 0


def tried(work: Callable[[], object], allowed: tuple[type[Exception], ...]) -> str | None:
    """What is wrong with how the work went; None where nothing is."""
    before = psutil.Process().memory_info().rss
    start = time.process_time()  # not the clock: the machine may be busy
    try:
        work()
    except allowed:
        pass
    except Exception as error:  # noqa: BLE001 - to find any other is what this is for
        return f"{type(error).__name__}: {error}"
    taken = time.process_time() - start
    if taken > SECONDS:
        return f"{taken:.1f} s"
    grown = psutil.Process().memory_info().rss - before
    return f"{grown:,} bytes of memory" if grown > MEMORY else None
