"""Finds the folder of measured reference data, which stands beside the checkout."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REFERENCE = Path(os.environ.get("LLMPLANNER_SHARED", ROOT.parent / "shared")) / "reference"
