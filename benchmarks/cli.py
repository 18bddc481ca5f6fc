"""`llmplanner fit` from cold, beside an interpreter that only imports NumPy."""

import sys

from benchmarks.measure import Row, in_turn, wall

FIT = [sys.executable, "-m", "llmplanner", "fit", "llama-3.1-8b", "--gpu", "rtx-4090"]
NUMPY = [sys.executable, "-c", "import numpy"]


def rows() -> list[Row]:
    """One row: at most three times the import."""
    ours, floor = in_turn(lambda: wall(FIT), lambda: wall(NUMPY), rounds=11)
    return [Row("llmplanner fit, cold", ours, "python -c 'import numpy'", floor, 3.0)]
