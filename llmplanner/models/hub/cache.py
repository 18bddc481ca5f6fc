"""What was read of the hub, kept on this computer: lists of files, and the heads of these."""

import os
import tempfile
from pathlib import Path
from urllib.parse import quote

import msgspec

from llmplanner.core.errors import BadInput
from llmplanner.resources import read_file

MOST_LIST = 50_000_000  # bytes
MOST_HEAD = 128 * 1024 * 1024
LONGEST_NAME = 240  # of a file, on every system


class Snapshot(msgspec.Struct, frozen=True):
    """A repository at one commit."""

    id: str
    commit: str
    files: dict[str, int]  # name to size in bytes
    licence: str | None
    read: str  # the day, as 2026-11-23


class Cache:
    """A folder that holds snapshots and heads of files. What cannot be read back counts as not kept."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def snapshot(self, name: str) -> Snapshot | None:
        """The repository as it was last read."""
        try:
            return msgspec.json.decode(read_file(self._list(name), MOST_LIST), type=Snapshot)
        except (BadInput, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None

    def keep_snapshot(self, snapshot: Snapshot) -> None:
        """Keeps a repository's list. Raises OSError."""
        _write(self._list(snapshot.id), msgspec.json.encode(snapshot))

    def head(self, snapshot: Snapshot, file: str) -> bytes:
        """The first bytes of a file, as many as were read; none where it was not."""
        try:
            return read_file(self._head(snapshot, file), MOST_HEAD)
        except BadInput:
            return b""

    def keep_head(self, snapshot: Snapshot, file: str, head: bytes) -> None:
        """Keeps the first bytes of a file. Raises OSError."""
        _write(self._head(snapshot, file), head)

    def _list(self, name: str) -> Path:
        return self.folder / quote(name, safe="") / "snapshot.json"

    def _head(self, snapshot: Snapshot, file: str) -> Path:
        plain = quote(file, safe="")[-LONGEST_NAME:]
        return self.folder / quote(snapshot.id, safe="") / quote(snapshot.commit, safe="") / plain


def _write(path: Path, content: bytes) -> None:
    """Writes a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(temporary).replace(path)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise
