"""`llmplanner models`: the catalogue of released models, the user's own, and those on this computer."""

import argparse
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from llmplanner.cli.output import print_json, print_lines, table
from llmplanner.cli.places import models_folder
from llmplanner.cli.program import program
from llmplanner.core.errors import BadInput
from llmplanner.core.quantities import count_text, gib_text
from llmplanner.core.tensors import parameters
from llmplanner.models import catalogue, config, stores
from llmplanner.models.card import search_words
from llmplanner.models.catalogue import Entry
from llmplanner.models.entries import plain
from llmplanner.models.stores.found import Found


@dataclass(frozen=True, slots=True)
class Row:
    """A model of the answer. What is not known without opening its weights is None."""

    name: str
    kind: str | None
    parameters: int | None
    where: str
    path: Path | None
    size: str  # of a file: its format and bytes; of an entry: who made it, and when
    words: str  # in which the query is looked for
    format: str | None = None  # of the files on this computer
    bytes: int | None = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The search."""
    parser.add_argument(
        "query",
        nargs="*",
        metavar="QUERY",
        help="words of the name, maker, kind, objective, use, licence, format or place",
    )
    parser.add_argument(
        "--folder",
        action="append",
        default=[],
        metavar="PATH",
        help=f"look for models in this folder too; {stores.FOLDERS} in your settings names lasting ones",
    )


def run(arguments: argparse.Namespace) -> int:
    """Prints the models whose row holds every word; that there is none is an answer too. Raises BadInput."""
    words = [word.lower() for text in arguments.query for word in text.split()]
    own = (*map(Path, arguments.folder), *stores.own_folders(models_folder().parent / stores.FOLDERS))
    listing = stores.look(stores.stores(own))
    rows = [*map(_entry_row, catalogue.entries(models_folder())), *map(_found_row, listing.models)]
    found = [row for row in rows if all(word in row.words for word in words)]
    if arguments.json:
        print_json({"models": [_json(row) for row in found]})
    elif not found:
        print_lines(f"No model matches {' '.join(words)!r}; `{program()} models` lists them all.")
    else:
        print_lines(*_listed(found))
    for problem in listing.problems:
        print(problem, file=sys.stderr)
    return 0


def _listed(rows: list[Row]) -> Iterator[str]:
    """The catalogue's rows, then those on this computer with the path to give to other commands."""
    entries = [row for row in rows if row.where in {"catalogue", "user"}]
    if entries:
        heading = ("name", "kind", "parameters", "maker, released")
        yield from table([heading, *map(_cells, entries)], "llrl")
    files = [row for row in rows if row not in entries]
    if files:
        yield from ("", "On this computer:") if entries else ("On this computer:",)
        heading = ("name", "where", "format and size", "path")
        cells = [(plain(row.name), row.where, row.size, plain(str(row.path), 1000)) for row in files]
        yield from table([heading, *cells], "llll")


def _cells(row: Row) -> tuple[str, ...]:
    count = "" if row.parameters is None else count_text(row.parameters)
    return (row.name, row.kind or "", count, row.size)


def _json(row: Row) -> dict[str, object]:
    return {
        "name": row.name,
        "kind": row.kind,
        "parameters": row.parameters,
        "where": row.where,
        "path": None if row.path is None else str(row.path),
        "format": row.format,
        "bytes": row.bytes,
    }


def _entry_row(entry: Entry) -> Row:
    own = models_folder() / f"{entry.name}.toml"
    model = entry.model
    return Row(
        entry.name,
        str(model.kind),
        parameters(model).total,
        "user" if own.exists() else "catalogue",
        own if own.exists() else None,
        f"{entry.maker}, {entry.released}",
        search_words(entry, model),
    )


def _sizes(table: Mapping[str, object]) -> dict[str, object]:
    """A config without how its checkpoint is quantized, on which neither kind nor parameters depend."""
    return {name: value for name, value in table.items() if not name.startswith("quantization")}


def _found_row(found: Found) -> Row:
    """A model on this computer: its kind and parameters where a config.json tells them."""
    kind, count = None, None
    if found.config is not None:
        try:
            model = config.from_config(_sizes(config.read(found.config)), found.name, str(found.config))
            kind, count = str(model.kind), parameters(model).total
        except BadInput:  # opening it says why
            pass
    size = f"{found.format}, {gib_text(found.bytes)}" + (f" ({found.note})" if found.note else "")
    words = f"{found.name} {found.where} {found.format} {kind or ''}"
    stored = (found.format, found.bytes)
    return Row(found.name, kind, count, found.where, found.path, size, words.lower(), *stored)
