"""Finds the models that the rows of a table name: in a folder, else in the catalogue."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from llmplanner.core.errors import BadInput, quoted
from llmplanner.core.model import Model
from llmplanner.models import catalogue, files
from llmplanner.models.gguf.reader import Header, read
from llmplanner.resources import user_folder

SUFFIXES = (".json", ".gguf")
DEEPEST = 4  # folders below the one that was named
MOST = 50_000  # files that are looked at


@dataclass(slots=True)
class Lookup:
    """The models of a folder by name. Each is read once, when a row first names it."""

    folder: Path
    _paths: dict[str, dict[str, Path]] | None = None
    _models: dict[str, Model | BadInput] = field(default_factory=dict)
    _headers: dict[str, Header | BadInput] = field(default_factory=dict)

    def model(self, name: str) -> Model:
        """The model of a config, of a GGUF header, or of the catalogue. Raises BadInput."""
        if name not in self._models:
            self._models[name] = self._read(name)
        found = self._models[name]
        if isinstance(found, BadInput):
            raise BadInput(str(found), found.field)  # anew: each raise adds to an exception
        return found

    def header(self, name: str) -> Header | None:
        """The GGUF header of that name; None where the folder has none. Raises BadInput."""
        path = self.path(name, ".gguf")
        if path is None:
            return None
        if name not in self._headers:
            try:
                self._headers[name] = read(path)
            except BadInput as error:
                self._headers[name] = error
        found = self._headers[name]
        if isinstance(found, BadInput):
            raise BadInput(str(found), found.field)  # anew: each raise adds to an exception
        return found

    def path(self, name: str, suffix: str) -> Path | None:
        """The file of that name: NAME.json, NAME.gguf or NAME/config.json, nearest to the folder first."""
        if self._paths is None:
            self._paths = _files(self.folder)
        return self._paths[suffix].get(_plain(name))

    def _read(self, name: str) -> Model | BadInput:
        path = self.path(name, ".json") or self.path(name, ".gguf")
        own = user_folder() / "models"
        try:
            if path is not None:
                return files.open_path(path).model
            if catalogue.knows(name, own):
                return catalogue.model(name, own)
        except BadInput as error:
            return error
        return BadInput(
            f"No model {quoted(name)}: neither {self.folder} nor the catalogue has it; "
            "put its config.json there under that name."
        )


def _plain(name: str) -> str:
    """A row's name of a model as an index has it: without folders and suffix."""
    last = name.replace("\\", "/").rpartition("/")[2]
    return last.removesuffix(".json").removesuffix(".gguf").lower()


def _files(folder: Path) -> dict[str, dict[str, Path]]:
    """The files of a folder by suffix and name; of two with one name, the one that lies higher."""
    found: dict[str, dict[str, Path]] = {suffix: {} for suffix in SUFFIXES}
    seen = 0
    depth = len(folder.parts)
    for here, folders, names in os.walk(folder):
        place = Path(here)
        folders.sort()
        if len(place.parts) - depth >= DEEPEST:
            folders.clear()
        for name in sorted(names):
            path = place / name
            if path.suffix in found:
                stem = place.name if name == "config.json" else path.stem
                found[path.suffix].setdefault(stem.lower(), path)
        seen += len(names)
        if seen > MOST:
            break
    return found
