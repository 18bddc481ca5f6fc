"""Finds the folder of measured reference data, which stands beside the checkout of developers and CI."""

import csv
import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("LLMPLANNER_SHARED", ROOT.parent / "shared"))
REFERENCE = SHARED / "reference"

needs_reference = pytest.mark.skipif(
    not REFERENCE.is_dir(), reason="the folder of measured reference data is not beside this checkout"
)


def rows(name: str) -> list[dict[str, str]]:
    """The rows of one reference table; none where the folder is absent (mark such tests needs_reference)."""
    path = REFERENCE / name
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
