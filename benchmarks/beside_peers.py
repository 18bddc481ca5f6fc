"""The memory of Llama 3.1 8B at 32k tokens from cold: this planner's command beside other planners' own.

$LLMPLANNER_PEERS names the folder of an environment with hf-mem and accelerate, $LLMPLANNER_LLM_ANALYSIS of
one with llm-analysis (benchmarks/peers/__init__.py); without them there is nothing to time.
"""

import json
import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

from benchmarks.measure import Row, in_turn, wall
from llmplanner.models import catalogue

OURS = [
    sys.executable,
    "-m",
    "llmplanner",
    "memory",
    "llama-3.1-8b",
    "--gpu",
    "h100-sxm",
    "--context",
    "32768",
]
COLD = Path(__file__).parent / "peers" / "cold.py"
ENVIRONMENTS = {
    "hf-mem": "LLMPLANNER_PEERS",
    "accelerate": "LLMPLANNER_PEERS",
    "llm-analysis": "LLMPLANNER_LLM_ANALYSIS",
}


def rows() -> list[Row]:
    """A row for each planner whose environment is named: no slower than it is."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "config.json"
        config.write_text(json.dumps(dict(catalogue.entry("llama-3.1-8b").config)), "utf-8")
        for name, variable in ENVIRONMENTS.items():
            place = os.environ.get(variable)
            if place is None:
                continue
            command = [str(Path(place) / "bin" / "python"), str(COLD), name, str(config)]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            ours, theirs = in_turn(partial(wall, OURS), partial(wall, command))
            found.append(Row("llmplanner memory, cold", ours, f"{name}, cold, without network", theirs, 1.0))
    return found
