"""Models that are already on this computer: where programs keep them, found without opening a weights file.

A store is walked by names and sizes alone, so that a thousand models list in well under a second. What looks
wrong inside a store (a link that leads out of it, a broken manifest) is left out and told in a sentence.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from msgspec import Struct

from llmplanner.core.errors import BadInput, short
from llmplanner.models.stores import folders, hugging_face, ollama
from llmplanner.models.stores.found import Found, Listing
from llmplanner.resources import is_there, read_toml

LINUX_SERVICE = Path("/usr/share/ollama/.ollama/models")  # of Ollama's own installer
FOLDERS = "model_folders.toml"  # in the user's folder
MOST_PROBLEMS, LONGEST_PROBLEM = 10, 1000  # sentences, and letters of one
LATEST = ":latest"  # the tag that Ollama takes where none is given
Finder = Callable[[Path], Iterator["Found | str"]]


@dataclass(frozen=True, slots=True)
class Store:
    """A place where a program keeps models, and how it is walked."""

    name: str  # for people, and `where` in JSON
    folder: Path
    find: Finder


def look(stores: tuple[Store, ...], stopped: Callable[[], bool] = lambda: False) -> Listing:
    """What the stores hold, by name. One that is not there holds nothing; one that cannot be read says so.

    `stopped` is asked between two models: once it says yes, what was found so far is the answer.
    """
    models: dict[tuple[str, Path], Found] = {}
    problems: list[str] = []
    for store in stores:
        try:
            for item in store.find(store.folder):
                if stopped():
                    break
                if isinstance(item, str):
                    problems.append(item)
                else:
                    models.setdefault((item.name, item.path), item)  # two programs may share a cache
        except FileNotFoundError:
            continue
        except OSError as error:
            problems.append(
                f"{store.name}: {store.folder} cannot be read ({error.strerror}); "
                "give your user the right to read it, or open the file itself."
            )
    return Listing(tuple(sorted(models.values(), key=lambda one: one.name.casefold())), _told(problems))


def _told(problems: list[str]) -> tuple[str, ...]:
    """The first problems as people may see them, and how many more there are."""
    more = len(problems) - MOST_PROBLEMS
    rest = (f"{more:,} more could not be looked at.",) if more > 0 else ()
    return (*(short(sentence, LONGEST_PROBLEM) for sentence in problems[:MOST_PROBLEMS]), *rest)


def named(text: str, places: tuple[Store, ...]) -> Found | None:
    """The model that is listed under this name; one without faults before others."""
    wanted = text.strip().casefold()
    found = [one for one in look(places).models if one.name.casefold() in {wanted, wanted + LATEST}]
    return min(found, key=lambda one: bool(one.note), default=None)


def stores(
    own: tuple[Path, ...] = (), environment: Mapping[str, str] | None = None, home: Path | None = None
) -> tuple[Store, ...]:
    """The stores of this user, each once; `own` are folders that the user named.

    Sources: huggingface_hub 2.4.0 constants; llama.cpp common/hf-cache.cpp and, of older builds,
    common/common.cpp; Ollama envconfig; LM Studio's documentation of its models directory.
    """
    values = os.environ if environment is None else environment
    home = home or Path.home()
    cache = Path(values.get("XDG_CACHE_HOME") or home / ".cache")
    hub = _first(values, "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE") or _under(values, "HF_HOME", "hub")
    found = [Store("folder", folder, folders.tree("folder")) for folder in own]
    found += [
        Store("Hugging Face cache", hub or cache / "huggingface" / "hub", hugging_face.find),
        Store("Ollama", _first(values, "OLLAMA_MODELS") or home / ".ollama" / "models", ollama.find),
        Store("Ollama", LINUX_SERVICE, ollama.find),
        Store("LM Studio", home / ".lmstudio" / "models", folders.tree("LM Studio")),
        Store("LM Studio", cache / "lm-studio" / "models", folders.tree("LM Studio")),
    ]
    found += [
        Store("llama.cpp cache", folder, find)
        for folder in _llama_cpp(values, home, cache)
        for find in (hugging_face.find_for("llama.cpp cache"), folders.tree("llama.cpp cache"))
    ]
    return tuple(found)


class Folders(Struct, frozen=True):
    """The file model_folders.toml: folders of the user's own that hold models."""

    folders: tuple[str, ...]


def own_folders(file: Path) -> tuple[Path, ...]:
    """The folders that the user's file names; none where there is no such file. Raises BadInput."""
    if not is_there(file):
        return ()
    named = read_toml(file, Folders).folders
    if any("\0" in folder for folder in named):
        raise BadInput(f"The data file {file} names a folder that cannot be one; take it out.")
    return tuple(map(_home_path, named))


def _home_path(text: str) -> Path:
    """The path of a text that may begin with a tilde; one of nobody's stays as it is."""
    return Path(os.path.expanduser(text))  # noqa: PTH111 - Path.expanduser raises for a user who is not there


def _llama_cpp(values: Mapping[str, str], home: Path, cache: Path) -> tuple[Path, ...]:
    """Where llama.cpp's downloads lie: flat in older builds, laid out as the Hugging Face cache in newer."""
    stated = _first(values, "LLAMA_CACHE")
    if stated is not None:
        return (stated,)
    local = values.get("LOCALAPPDATA")
    return (
        cache / "llama.cpp",
        home / "Library" / "Caches" / "llama.cpp",
        *((Path(local) / "llama.cpp",) if local else ()),
    )


def _first(values: Mapping[str, str], *names: str) -> Path | None:
    return next((_home_path(values[name]) for name in names if values.get(name)), None)


def _under(values: Mapping[str, str], name: str, inner: str) -> Path | None:
    folder = _first(values, name)
    return folder / inner if folder is not None else None
