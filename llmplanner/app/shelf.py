"""The models to choose from: the catalogue, the user's own, and those on this computer. No Qt here."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from llmplanner.advice import judged_with
from llmplanner.compose import Chosen, model_named
from llmplanner.core.errors import BadInput
from llmplanner.core.machine import Machine
from llmplanner.core.quantities import count_text, gib_text
from llmplanner.core.tensors import Parameters, parameters
from llmplanner.core.verdict import Judgement
from llmplanner.models.card import search_words
from llmplanner.models.catalogue import Entry, entries
from llmplanner.models.file_card import file_card, plain
from llmplanner.models.stores import FOLDERS, look, own_folders, stores
from llmplanner.models.stores.found import Found
from llmplanner.plans import Draft
from llmplanner.resources import user_folder

CATALOGUE, YOURS = "Catalogue", "Yours"


@dataclass(frozen=True, slots=True)
class Item:
    """One model to choose. `key` is what a plan calls it: a name, or a path."""

    key: str
    title: str
    size: str
    bytes: int  # of its weights: what sizes are sorted by
    kind: str  # empty until it is known
    where: str
    words: str  # in which searches look
    entry: Entry | None = None
    count: Parameters | None = None
    facts: tuple[tuple[str, str], ...] = ()  # of a file: what its place says


@dataclass(frozen=True, slots=True)
class Shelf:
    """Items, and a sentence on each thing that could not be looked at."""

    items: tuple[Item, ...]
    problems: tuple[str, ...] = ()


@cache
def shelf() -> Shelf:
    """The catalogue and the user's own entries; takes a tenth of a second the first time."""
    folder = user_folder() / "models"
    own = {path.stem.lower() for path in folder.glob("*.toml")} if folder.is_dir() else set()
    try:
        items = tuple(
            _of_entry(entry, YOURS if entry.name in own else CATALOGUE) for entry in entries(folder)
        )
    except BadInput as error:  # one of the user's own: the catalogue itself is tested
        return Shelf(tuple(_of_entry(entry, CATALOGUE) for entry in entries()), (str(error),))
    return Shelf(items)


def _of_entry(entry: Entry, where: str) -> Item:
    model = entry.model
    count = parameters(model)
    return Item(
        key=entry.name,
        title=entry.title,
        size=count_text(count.total),
        bytes=2 * count.total,
        kind=model.kind.value,
        where=where,
        words=f"{search_words(entry, model)} {where.casefold()}",
        entry=entry,
        count=count,
    )


def on_this_computer() -> Shelf:
    """The models that other programs keep here; walks their folders, so not on the GUI thread."""
    own: tuple[Path, ...] = ()
    problems: list[str] = []
    try:
        own = own_folders(user_folder() / FOLDERS)
    except BadInput as error:
        problems.append(plain(str(error), 1000))
    listing = look(stores(own))
    return Shelf(tuple(map(_of_found, listing.models)), (*problems, *listing.problems))


def _of_found(found: Found) -> Item:
    title = plain(found.name)
    told = (
        ("Where", f"{found.where}, on this computer"),
        ("Path", plain(str(found.path), 1000)),
        ("Format", found.format),
        ("On disk", f"{found.bytes:,} bytes ({gib_text(found.bytes)})"),
        *((("Note", plain(found.note)),) if found.note else ()),
    )
    words = f"{title} {found.where} {found.format} this computer".casefold()
    size = gib_text(found.bytes)
    return Item(str(found.path), title, size, found.bytes, "", found.where, words, facts=told)


def judged(items: tuple[Item, ...], draft: Draft, local: Machine | None) -> dict[str, Judgement]:
    """How the plan would be judged with each of the catalogue's items, by key."""
    found = {
        item.key: judged_with(draft, item.key, Chosen(item.entry.model), local)
        for item in items
        if item.entry is not None
    }
    return {key: judgement for key, judgement in found.items() if judgement is not None}


@dataclass(frozen=True, slots=True)
class Looked:
    """What a file on this computer says when it is opened."""

    kind: str
    facts: tuple[tuple[str, str], ...]
    judged: Judgement | None


def opened(paths: tuple[str, ...], draft: Draft, local: Machine | None) -> dict[str, Looked]:
    """Opens files and judges the plan with each, by path. One that cannot be read says why."""
    found = {}
    for path in paths:
        try:
            chosen = model_named(path)
        except BadInput as error:
            found[path] = Looked("", (("Cannot be used", plain(str(error), 1000)),), None)
            continue
        found[path] = Looked(
            chosen.model.kind.value,
            file_card(chosen.model, chosen.config),
            judged_with(draft, path, chosen, local),
        )
    return found
