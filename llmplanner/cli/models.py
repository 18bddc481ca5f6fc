"""`llmplanner models`: the catalogue of released models, and the user's own."""

import argparse
from pathlib import Path

from llmplanner.cli.output import print_json, print_lines, table
from llmplanner.cli.places import models_folder
from llmplanner.cli.program import program
from llmplanner.core.quantities import count_text
from llmplanner.core.tensors import parameters
from llmplanner.models import catalogue
from llmplanner.models.catalogue import Entry


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The search."""
    parser.add_argument(
        "query", nargs="*", metavar="QUERY", help="words of the name, maker, kind or objective"
    )


def run(arguments: argparse.Namespace) -> int:
    """Prints the models whose card holds every word; that there is none is an answer too."""
    words = [word.lower() for text in arguments.query for word in text.split()]
    user = models_folder()
    found = [entry for entry in catalogue.entries(user) if all(word in _searched(entry) for word in words)]
    if arguments.json:
        print_json({"models": [_row(entry, user) for entry in found]})
    elif not found:
        print_lines(f"No model matches {' '.join(words)!r}; `{program()} models` lists them all.")
    else:
        heading = ("name", "kind", "parameters", "maker", "released")
        print_lines(*table([heading, *map(_line, found)], "llrll"))
    return 0


def _searched(entry: Entry) -> str:
    text = f"{entry.name} {entry.title} {entry.maker} {entry.hub_id} {entry.objective} {entry.model.kind}"
    return text.lower()


def _row(entry: Entry, user: Path) -> dict[str, object]:
    own = user / f"{entry.name}.toml"
    return {
        "name": entry.name,
        "kind": str(entry.model.kind),
        "parameters": parameters(entry.model).total,
        "where": "user" if own.exists() else "catalogue",
        "path": str(own) if own.exists() else None,
    }


def _line(entry: Entry) -> tuple[str, ...]:
    count = count_text(parameters(entry.model).total)
    return (entry.name, str(entry.model.kind), count, entry.maker, entry.released)
