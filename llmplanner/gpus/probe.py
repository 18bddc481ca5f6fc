"""The child process that looks at the GPUs once and prints what it saw as JSON.

NVIDIA's library is loaded here alone. Where it crashes or hangs, this process is lost and nothing else; when
it ends, an idle laptop GPU can sleep again. By hand: `python -m llmplanner.gpus.probe`.
"""

import json
import os
import sys
from dataclasses import asdict

from llmplanner.gpus.library import load
from llmplanner.gpus.report import Report

LIBRARY_NOT_FOUND = 12  # NVML_ERROR_LIBRARY_NOT_FOUND


def main() -> None:
    """Prints the report and ends the process at once, past whatever the library does on unloading."""
    answer = os.dup(1)
    os.dup2(2, 1)  # libraries print warnings to standard output (the stub of the CUDA toolkit does)
    text = json.dumps(asdict(_look()))
    with os.fdopen(answer, "w", encoding="utf-8") as file:
        file.write(text + "\n")
    os._exit(0)


def _look() -> Report:
    try:
        library = load()
    except OSError as error:
        return Report("no-library", LIBRARY_NOT_FOUND, str(error))
    try:
        from llmplanner.gpus import nvml  # noqa: PLC0415 - the binding may be missing, and that is an answer
    except ImportError as error:
        return Report("binding-missing", detail=str(error))
    return nvml.look(library)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.exit("llmplanner.gpus.probe takes no arguments.")
    main()
