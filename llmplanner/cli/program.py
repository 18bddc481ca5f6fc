"""What the program is called, as sentences name it: the way it was started is the way to start it again."""

import os
import sys
from pathlib import Path

VARIABLE = "LLMPLANNER_COMMAND"  # run.py says here how it was called


def program() -> str:
    """`llmplanner` where it is installed; `python3 run.py` or `python3 -m llmplanner` where it was not."""
    called = os.environ.get(VARIABLE)
    if called:
        return called
    script = Path(sys.argv[0]) if sys.argv else Path()
    module = script.name == "__main__.py" and script.parent.name == "llmplanner"
    return "python3 -m llmplanner" if module else "llmplanner"
