"""What the program says when it cannot do its job, and where the details go."""

import json
import os
import re
import sys

REFUSED = 2  # bad input
CRASHED = 70  # EX_SOFTWARE of sysexits.h: a mistake of ours; apart from 1 and 3, which are verdicts
INTERRUPTED = 130  # as shells count an interrupt
PIPE_CLOSED = 141  # as shells count a broken pipe


# What a terminal obeys instead of showing it: control characters, line ends, turns of the writing direction.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """One line of text for a terminal: what it would obey is written out."""
    return _CONTROL.sub(lambda found: ascii(found[0])[1:-1], text)


def refused(message: str, field: str | None = None, *, as_json: bool = False) -> int:
    """Says a sentence on standard error. Gives the exit code."""
    error = {"schema": 1, "error": {"field": field, "message": message}}
    _say(json.dumps(error) if as_json else printable(message))
    return REFUSED


def interrupted() -> int:
    """After Ctrl+C. Gives the exit code."""
    _say("Stopped.")
    return INTERRUPTED


def silence() -> int:
    """Sends what is still to be printed nowhere, so that the end of the program cannot fail on it."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
    except (OSError, ValueError):  # standard output is no file
        pass
    return PIPE_CLOSED


def crashed(error: Exception, *, as_json: bool = False) -> int:
    """Writes the details of a mistake of ours into the log and says where it lies. Gives the exit code."""
    import traceback  # noqa: PLC0415 - of use here only
    from datetime import UTC, datetime  # noqa: PLC0415 - the same

    from llmplanner.cli.places import log_file  # noqa: PLC0415 - the same

    details = "".join(traceback.format_exception(error))
    stamp = datetime.now(UTC).isoformat(timespec="seconds")
    path = log_file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8", errors="backslashreplace") as log:
            log.write(f"{stamp} llmplanner {' '.join(sys.argv[1:])}\n{details}\n")
        where = f"The details are in {path}; please send them with your report."
    except OSError:
        where = f"The log could not be written; the details are: {details}"
    refused(f"LLM Planner made a mistake: {type(error).__name__}. {where}", as_json=as_json)
    return CRASHED


def _say(text: str) -> None:
    try:
        sys.stderr.write(text + "\n")
        sys.stderr.flush()
    except OSError:
        pass  # nobody listens
