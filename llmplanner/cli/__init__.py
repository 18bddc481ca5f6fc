"""The command line: picks the command, and says in one sentence whatever goes wrong.

Each command is a module of this package with `add_arguments(parser)` and `run(arguments) -> exit code`. Only
the module of the command that was asked for is imported: `fit` answers without Qt, `gpus` without NumPy.
"""

import importlib
import io
import os
import sys
from collections.abc import Sequence

from llmplanner import __version__
from llmplanner.cli.arguments import Parser, field_of
from llmplanner.cli.display import has_display
from llmplanner.cli.edge import crashed, interrupted, refused, silence
from llmplanner.cli.program import program
from llmplanner.core.errors import BadInput

COMMANDS = {
    "models": "the models of the catalogue, your own, and those on this computer",
    "show": "a model's architecture, parameters and card",
    "memory": "the memory of a plan, term by term, per device",
    "fit": "whether a plan fits: exit 0 fits or tight, 1 does not fit, 3 cannot tell",
    "gpus": "the GPUs of this computer, and why not, where there is none",
    "bits": "a value in every number format",
    "compute": "FLOPs, PF-days, time, cost and energy of a training run",
    "scaling": "the best size and tokens for a budget, and the loss, under each law",
    "check": "predicts every row of a table of measurements, and says how far off it is",
    "chart": "a chart of the window as a .png, .svg, .pdf or .csv file",
}
LATER = ("solve",)

USAGE = """\
LLM Planner {version}: does this model fit, how long will it take, what will it cost?

{program} [FILE]          opens the window, on a plan or a model
{program} COMMAND ...     answers in the terminal; `{program} COMMAND --help` has the details

{commands}

Every command takes --json. `{program} --version` prints the version.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command. Gives the exit code: 2 for bad input, with a sentence on standard error."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    as_json = "--json" in arguments
    _open_streams()
    try:
        code = _run(arguments)
        sys.stdout.flush()
    except BadInput as error:
        return refused(str(error), error.field, as_json=as_json)
    except BrokenPipeError:  # the reader of a pipe has seen enough
        return silence()
    except KeyboardInterrupt:
        return interrupted()
    except OSError as error:
        silence()
        subject = f"{error.filename} cannot be used" if error.filename else "The answer could not be written"
        return refused(f"{subject}: {error.strerror or error}.", as_json=as_json)
    except Exception as error:  # noqa: BLE001 - the edge of the program: the user gets a sentence, the log the rest
        return crashed(error, as_json=as_json)
    return code


def _run(arguments: list[str]) -> int:
    first = arguments[0] if arguments else ""
    if first in COMMANDS:
        return _command(first, arguments[1:])
    if first in LATER:
        raise BadInput(f"The command {first} comes in a later version of LLM Planner.", "command")
    if first in {"-h", "--help"}:
        lines = "\n".join(f"  {name:<9}{what}" for name, what in COMMANDS.items())
        sys.stdout.write(USAGE.format(version=__version__, program=program(), commands=lines))
        return 0
    if first == "--version":
        sys.stdout.write(f"llmplanner {__version__}\n")
        return 0
    if first == "--probe-gpus":  # a bundled program calls itself for its look at the GPUs
        importlib.import_module("llmplanner.gpus.probe").main()
    return _open(arguments)


def _command(name: str, arguments: list[str]) -> int:
    module = importlib.import_module(f"llmplanner.cli.{name}")
    what = COMMANDS[name]
    parser = Parser(prog=f"{program()} {name}", description=f"{what[0].upper()}{what[1:]}.")
    parser.add_argument(
        "--json", action="store_true", help="answer as JSON, numbers in bytes, FLOPs and seconds"
    )
    module.add_arguments(parser)
    try:
        parsed = parser.parse_args(arguments)
    except SystemExit:  # --help was printed
        return 0
    return int(module.run(parsed))


def _open(arguments: list[str]) -> int:
    """Opens the window; without a display or the libraries that it needs, answers in the terminal."""
    _check_file(arguments)
    if has_display():
        try:
            window = importlib.import_module("llmplanner.app.main")
        except ImportError as error:  # Qt is there and a library of the system that it needs is not
            sys.stderr.write(
                f"The window cannot open: {error}. `python3 run.py` names the missing package.\n"
            )
        else:
            return int(window.main(arguments))
    return int(importlib.import_module("llmplanner.cli.example").answer(arguments))


def _check_file(arguments: list[str]) -> None:
    """Raises BadInput unless the arguments are none, or one file."""
    if not arguments:
        return
    first = arguments[0]
    if first.startswith("-"):
        raise BadInput(
            f"{first} is no option by itself; options follow a command, see `{program()} --help`.",
            field_of(first),
        )
    if not os.path.lexists(first):  # a name too long for a file is none, says pathlib with an error
        raise BadInput(
            f"{first!r} is neither a file nor a command; the commands are {', '.join(COMMANDS)}.", "command"
        )
    if len(arguments) > 1:
        raise BadInput(f"The window opens one file; leave out {' '.join(arguments[1:])}.", "file")


def _open_streams() -> None:
    """A terminal that lacks a character shows a question mark; closed streams take what they are given."""
    sys.stdout = sys.stdout or io.StringIO()
    sys.stderr = sys.stderr or io.StringIO()
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")
