"""A repository of the hub: what files it has, and the first bytes of those, from the network or as kept."""

import re
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

from llmplanner.core.errors import BadInput
from llmplanner.models.entries import plain
from llmplanner.models.hub.cache import Cache, Snapshot
from llmplanner.models.hub.client import Client, Gated, Missing, Unreachable
from llmplanner.models.hub.remote import RemoteFile

COMMIT = re.compile(r"[0-9a-f]{40}")
FILE = re.compile(r"[\w .+@=,()\[\]/-]{1,250}")
MOST_LIST = 20_000_000  # bytes of a repository's description
MOST_CONFIG = 10_000_000
MOST_FILES = 100_000  # as many as the hub itself advises at most
MOST_SIZE = 10**15  # bytes of a file
MOST_LICENCE = 100  # letters


class _Sibling(msgspec.Struct, frozen=True):
    """A file, as the hub describes it."""

    rfilename: str
    size: int | None = None


class _Card(msgspec.Struct, frozen=True):
    """What the head of the model's page states, as far as it is of use."""

    license: str | list[str] | None = None


class _Description(msgspec.Struct, frozen=True, rename={"card": "cardData"}):
    """The hub's answer on a repository, as far as it is of use."""

    sha: str
    siblings: list[_Sibling]
    card: _Card | None = None


class Repositories:
    """Reads repositories through a client, and keeps what was read. `client` None: only what is kept."""

    def __init__(self, client: Client | None, cache: Cache) -> None:
        self._client, self._cache = client, cache
        self.notes: list[str] = []  # what the user is to know of how the answer came about

    def snapshot(self, name: str) -> Snapshot:
        """The repository as it is now; as last read where the hub is out of reach. Raises BadInput."""
        kept = self._cache.snapshot(name)
        if kept is not None and self._client is None:
            self.notes.append(f"Read on {kept.read} and kept since; the hub was not asked.")
            return kept
        try:
            snapshot = self._described(name)
        except Unreachable as error:
            if kept is None:
                raise
            self.notes.append(f"Read on {kept.read} and kept since: {error}")
            return kept
        if kept is not None and _as_of_today(kept, snapshot) == snapshot:
            return kept
        self._keep(lambda: self._cache.keep_snapshot(snapshot))
        return snapshot

    def _described(self, name: str) -> Snapshot:
        if self._client is None:
            raise Unreachable(f"{name} was not read yet; let the hub be asked.", "model")
        try:
            body = self._client.get(f"/api/models/{name}/revision/main?blobs=true", MOST_LIST).body
        except Missing as error:
            raise Missing.of(name) from error
        except Gated as error:
            raise Gated.of(name) from error
        try:
            answer = msgspec.json.decode(body, type=_Description)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise BadInput(
                f"What the hub says of {name} cannot be read; try again later.", "model"
            ) from error
        if COMMIT.fullmatch(answer.sha) is None:
            raise BadInput(f"The hub names no commit of {name}; try again later.", "model")
        if len(answer.siblings) > MOST_FILES:
            raise BadInput(
                f"{name} has {len(answer.siblings):,} files, and at most {MOST_FILES:,} are read; "
                "download the model and open it.",
                "model",
            )
        files = {one.rfilename: _believed(one.size) for one in answer.siblings if _usable(one.rfilename)}
        return Snapshot(name, answer.sha, files, _licence(answer.card), f"{datetime.now(UTC):%Y-%m-%d}")

    def content(self, snapshot: Snapshot, file: str) -> bytes:
        """The whole of a small file. Raises BadInput."""
        size = snapshot.files[file]
        if size > MOST_CONFIG:
            raise BadInput(f"{file} of {snapshot.id} has {size:,} bytes, too many for such a file.", "model")
        remote = self.head(snapshot, file)
        content = remote.read(MOST_CONFIG)
        self.keep(snapshot, file, remote)
        return content or b""

    def head(self, snapshot: Snapshot, file: str) -> RemoteFile:
        """A file to be read from its front. Raises BadInput."""
        known = self._cache.head(snapshot, file)
        if self._client is None and not known:
            raise Unreachable(f"{file} of {snapshot.id} was not read yet; let the hub be asked.", "model")
        path = f"/{snapshot.id}/resolve/{snapshot.commit}/{file.replace(' ', '%20')}"
        return RemoteFile(self._client, path, known, snapshot.files[file] or None)

    def keep(self, snapshot: Snapshot, file: str, remote: RemoteFile) -> None:
        """Keeps what was read of a file. What cannot be kept is told, and the answer stands."""
        if remote.fetched:
            self._keep(lambda: self._cache.keep_head(snapshot, file, bytes(remote.head)))

    def _keep(self, write: Callable[[], None]) -> None:
        try:
            write()
        except OSError as error:
            self.notes.append(
                f"It could not be kept for later in {self._cache.folder}: {error.strerror}; make room there."
            )


def _as_of_today(kept: Snapshot, now: Snapshot) -> Snapshot:
    """What is kept, as of today: equal to what the hub says where nothing has changed."""
    return msgspec.structs.replace(kept, read=now.read)


def _believed(size: int | None) -> int:
    """A file's size, 0 where the hub states none or one that no file has."""
    return size if size is not None and 0 <= size <= MOST_SIZE else 0


def _licence(card: _Card | None) -> str | None:
    """The licence that a model's page states, as one short line."""
    stated = card.license if card is not None else None
    text = ", ".join(stated) if isinstance(stated, list) else stated
    return None if text is None else plain(text, MOST_LICENCE)


def _usable(file: str) -> bool:
    """Whether a file's name can be asked for as it stands."""
    return FILE.fullmatch(file) is not None and ".." not in file and not file.startswith("/")
