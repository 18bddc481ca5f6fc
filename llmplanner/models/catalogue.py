"""The catalogue of released models: facts with their source, a file a model, the user's own beside them."""

from collections.abc import Iterator
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Literal

from msgspec import Struct

from llmplanner import resources
from llmplanner.core.errors import BadInput, short
from llmplanner.core.model import Kind, Model
from llmplanner.models.config import from_config

LONGEST_PATH = 300  # letters of what a sentence quotes where a model was looked for
PAGE = "https://huggingface.co/"  # before the id, in the address of a model's page
ObjectiveName = Literal[
    "causal",
    "masked",
    "replaced-token detection",
    "permutation",
    "contrastive",
    "span corruption",
    "denoising",
    "speech-to-text",
]


class Source(Struct, frozen=True):
    """Where an entry's facts come from. `compute` is said where `compute` of the entry is."""

    config: str
    card: str
    compute: str = ""


class Entry(Struct, frozen=True):
    """A released model: its card, and its config.json as published.

    `tokens`, trained on, and `compute`, the operations that it took, are left out where they are not. `nulls`
    are the keys that the config.json sets to null, which TOML cannot say; once read, `config` has them too.
    """

    name: str
    title: str
    maker: str
    released: str  # year and month
    objective: ObjectiveName
    licence: str
    hub_id: str
    link: str
    best_use: str
    trained: str
    limits: str
    source: Source
    config: dict[str, object]
    tokens: int | None = None
    compute: float | None = None
    nulls: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.config.update(dict.fromkeys(self.nulls))

    @property
    def model(self) -> Model:
        """The architecture. Raises BadInput where the config cannot be used."""
        return from_config(self.config, self.title, self.source.config)


class Objective(Struct, frozen=True):
    """A training objective, explained."""

    name: ObjectiveName
    title: str
    kinds: tuple[Kind, ...]  # of the models that are trained so
    how: str
    good_for: str
    source: str


class Objectives(Struct, frozen=True):
    """The file objectives.toml."""

    objective: tuple[Objective, ...]


def names(user: Path | None = None) -> tuple[str, ...]:
    """The names of all entries, sorted. `user` is the folder of the user's own entries."""
    return tuple(sorted(_files(user)))


def entry(text: str, user: Path | None = None) -> Entry:
    """The entry of a name (`llama-3.1-8b`), a title or a hub id. Raises BadInput with what comes nearest."""
    found = _entry(text, user)
    if found is not None:
        return found
    near = get_close_matches(_named(text).rpartition("/")[2], _files(user), n=3, cutoff=0.5)
    hint = f" Near it: {', '.join(near)}." if near else ""
    raise BadInput(
        f"There is no model {short(text, LONGEST_PATH)!r} in the catalogue and no such file.{hint} "
        "The command `models` lists those there are; or give the path of a file, or an id owner/name.",
        "model",
    )


def knows(text: str, user: Path | None = None) -> bool:
    """Whether there is such an entry. Raises BadInput at one that is broken."""
    return _entry(text, user) is not None


def _entry(text: str, user: Path | None) -> Entry | None:
    files, name = _files(user), _named(text)
    if name in files:
        return resources.read_toml(files[name], Entry)
    wanted = text.strip().lower().removeprefix(PAGE).rstrip("/")
    return next((one for one in entries(user) if wanted in {one.title.lower(), one.hub_id.lower()}), None)


def _named(text: str) -> str:
    return text.strip().lower().replace(" ", "-").replace("_", "-")


def model(text: str, user: Path | None = None) -> Model:
    """The architecture of a catalogue entry. Raises BadInput."""
    return entry(text, user).model


def entries(user: Path | None = None) -> Iterator[Entry]:
    """Every entry, by name. Reads one file at a time. Raises BadInput at the first that is broken."""
    for _, path in sorted(_files(user).items()):
        yield resources.read_toml(path, Entry)


@cache
def objectives() -> dict[str, Objective]:
    """The training objectives by name."""
    return {one.name: one for one in resources.load_toml("objectives.toml", Objectives).objective}


def _files(user: Path | None) -> dict[str, Path]:
    """The files of the entries by name; the user's own come first."""
    found = {path.stem: path for path in (resources.folder() / "models").glob("*.toml")}
    if user is not None and user.is_dir():
        found |= {path.stem.lower(): path for path in user.glob("*.toml")}
    return found
