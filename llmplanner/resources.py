"""Finds and reads files: data files with facts in TOML, checked against a schema; fonts and icons by path."""

import errno
import os
import re
import stat
import tomllib
from functools import cache
from pathlib import Path
from typing import BinaryIO, TypeVar

import msgspec
from platformdirs import user_config_path

from llmplanner.core.errors import BadInput, short

MAX_BYTES = 8 * 1024 * 1024  # a data file of ours is far smaller; a larger one is not a data file
LONGEST = 300  # letters of what is said to be wrong in a data file
Schema = TypeVar("Schema")


@cache
def folder() -> Path:
    """The resources: inside the installed package, else beside the package in a checkout."""
    package = Path(__file__).resolve().parent
    installed = package / "resources"
    return installed if installed.is_dir() else package.parent / "resources"


def user_folder() -> Path:
    """Where the user's settings, plans and own data files lie."""
    return user_config_path("llmplanner", appauthor=False)


def is_there(path: Path) -> bool:
    """Whether something has this name, be it a link that leads nowhere, or may not be looked at."""
    try:
        path.lstat()
    except PermissionError:
        return True
    except (OSError, ValueError):  # ValueError: no file can have such a name
        return False
    return True


def read_file(path: Path, most: int, name: str = "", remedy: str = "", field: str | None = None) -> bytes:
    """The bytes of a regular file, at most `most`. Raises BadInput, which calls the file `name`."""
    name = name or str(path)
    with open_file(path, name, remedy, field) as file:
        try:
            data = file.read(most + 1)
        except OSError as error:
            raise BadInput(f"{name} {_unreadable(path, error)}{remedy}.", field) from error
    if len(data) > most:
        raise BadInput(f"{name} is too large: it has more than {most:,} bytes{remedy}.", field)
    return data


def open_file(path: Path, name: str = "", remedy: str = "", field: str | None = None) -> BinaryIO:
    """A regular file, opened to be read. Raises BadInput, which calls the file `name`.

    Devices and pipes are refused, and opening one does not wait: they have no size, and may never end.
    """
    name = name or str(path)
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise _not_regular(path, name, remedy, field)
        file = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except (OSError, ValueError) as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput(f"{name} {_unreadable(path, error)}{remedy}.", field) from error
    if not stat.S_ISREG(os.fstat(file).st_mode):  # it was another file a moment ago
        os.close(file)
        raise _not_regular(path, name, remedy, field)
    return os.fdopen(file, "rb")


def _not_regular(path: Path, name: str, remedy: str, field: str | None) -> BadInput:
    kind = "a folder" if path.is_dir() else "not a regular file"
    return BadInput(f"{name} is {kind}{remedy}.", field)


def _unreadable(path: Path, error: OSError | ValueError) -> str:
    if isinstance(error, ValueError):
        return "cannot be a file's name"
    if error.errno == errno.ELOOP or (error.errno == errno.ENOENT and is_there(path)):
        return "is a link that leads nowhere"
    if error.errno in {errno.ENOENT, errno.ENOTDIR}:
        return "is not there"
    return f"cannot be read: {error.strerror}"


def load_toml(name: str, schema: type[Schema]) -> Schema:
    """A data file of the resources folder, `models/llama.toml` say. Raises BadInput."""
    return read_toml(folder() / name, schema)


def load_entry(name: str, kind: str, entry: str, schema: type[Schema]) -> Schema | None:
    """A data file with the one [[kind]] that has this id, and what stands before the first; None without it.

    Reads the text of that entry alone, which is much quicker than the file. Raises BadInput.
    """
    head, *entries = _text(folder() / name).split(f"\n[[{kind}]]\n")
    found = [text for text in entries if text.startswith(f'id = "{entry}"\n')]
    if not found:
        return None
    return _checked(folder() / name, f"{head}\n[[{kind}]]\n{found[0]}", schema)


def read_toml(path: Path, schema: type[Schema]) -> Schema:
    """A data file checked against `schema`, a dataclass or Struct. Raises BadInput: file, entry and key."""
    return _checked(path, _text(path), schema)


def _text(path: Path) -> str:
    data = read_file(path, MAX_BYTES, f"The data file {path}")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise BadInput(f"The data file {path} is not valid TOML: {short(str(error), LONGEST)}.") from error


def _checked(path: Path, text: str, schema: type[Schema]) -> Schema:
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"The data file {path} is not valid TOML: {short(str(error), LONGEST)}.") from error
    except ValueError as error:
        raise BadInput(f"The data file {path} has a number of too many digits.") from error
    except RecursionError as error:
        raise BadInput(f"The data file {path} is nested without end.") from error
    try:
        return msgspec.convert(table, schema)
    except msgspec.ValidationError as error:
        raise BadInput(
            f"The data file {path} is wrong: {short(_place(str(error), table), LONGEST)}."
        ) from error


def _place(message: str, table: dict[str, object]) -> str:
    """Turns `... - at $.gpu[3].watts` into "in gpu 'NVIDIA L4', watts: ..."."""
    text, _, path = message.partition(" - at ")
    found = re.match(r"`\$\.(\w+)\[(\d+)\]\.?(.*)`", path)
    if found is None:
        where = path.strip("`").removeprefix("$.")
        return f"{where}: {text}" if where and where != "$" else text
    kind, position, key = found.groups()
    entries = table.get(kind)
    entry = entries[int(position)] if isinstance(entries, list) else None
    name = entry.get("name", f"number {int(position) + 1}") if isinstance(entry, dict) else position
    return f"in {kind} {name!r}, {key}: {text}" if key else f"in {kind} {name!r}: {text}"
