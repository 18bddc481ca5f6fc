"""A file of the hub as the readers of headers see it: bytes from the front, fetched as they are asked for."""

import io

from llmplanner.core.errors import BadInput
from llmplanner.models.hub.client import Client, Unreachable

FIRST = 131_072  # bytes: most safetensors headers are shorter
LONGEST_PIECE = 8 * 1024 * 1024
MOST = 128 * 1024 * 1024  # of one file: headers with large vocabularies have some 16 MB


class RemoteFile(io.RawIOBase):
    """Reads from the front of a remote file and keeps what has come. Raises BadInput as the client does."""

    def __init__(self, client: Client | None, path: str, known: bytes = b"", size: int | None = None) -> None:
        super().__init__()
        self.head = bytearray(known)
        self.fetched = False  # whether any of it came over the network now
        self._client, self._path, self._size, self._at = client, path, size, 0

    @property
    def size(self) -> int:
        """Bytes of the whole file."""
        if self._size is None:
            self._fetch(1)
        assert self._size is not None  # noqa: S101 - _fetch sets it
        return self._size

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """The place of the next byte."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Goes to a place, which costs no request."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at}.get(whence)
        self._at = offset + (self.size if base is None else base)
        return self._at

    def readinto(self, buffer: "bytearray | memoryview") -> int:  # type: ignore[override]
        """The next bytes, at most as many as the buffer holds; none at the end."""
        if self._at >= self.size:
            return 0
        ends = min(self._at + len(buffer), self.size)
        self._fetch(ends)
        piece = self.head[self._at : ends]
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)

    def _fetch(self, ends: int) -> None:
        """Brings the bytes before `ends`, twice as many each time, so that few requests do."""
        while len(self.head) < ends or self._size is None:
            if ends > MOST:
                raise BadInput(
                    f"{self._path} has a header of more than {MOST:,} bytes; download the model and open it.",
                    "model",
                )
            if self._client is None:
                raise Unreachable(f"{self._path} was not read so far yet; let the hub be asked.", "model")
            have = len(self.head)
            self.fetched = True
            answer = self._client.get(self._path, max(FIRST, min(have, LONGEST_PIECE)), have)
            self._size = answer.size if answer.size is not None else have + len(answer.body)
            self.head += answer.body
            if not answer.body and len(self.head) < min(ends, self._size):
                raise BadInput(f"{self._path} ends before its header does; try again later.", "model")
            if len(self.head) >= self._size:
                return
