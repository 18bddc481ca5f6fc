"""Walks through a header in a file: through a small buffer, never further than a header may reach."""

from typing import BinaryIO

from llmplanner.models.gguf.strings import passed

MOST_HEADER = 256 * 2**20  # bytes
MOST_STRING = 64 * 2**20
KEPT = 65_536  # bytes of one string; what is longer is cut
BUFFER = 128 * 2**10


class Cursor:
    """A place in a file of `size` bytes. What is asked for beyond the end, or the bounds, is a ValueError.

    `strings` counts those of all arrays so far.
    """

    def __init__(self, file: BinaryIO, size: int) -> None:
        self.size = size
        self.strings = 0
        self._file = file
        self._buffer = b""
        self._base = 0  # of the buffer, in the file
        self._at = 0  # in the buffer

    @property
    def position(self) -> int:
        """Bytes from the start of the file."""
        return self._base + self._at

    @property
    def left(self) -> int:
        """Bytes to the end of the file, or to where no header reaches."""
        return min(self.size, MOST_HEADER) - self.position

    def take(self, count: int) -> bytes:
        """The next bytes, all of them."""
        self._check(count)
        if len(self._buffer) - self._at < count:
            self._fill(count)
        data = self._buffer[self._at : self._at + count]
        self._at += count
        return data

    def peek(self, count: int) -> bytes:
        """The next bytes, without moving on; zeros follow the end of the file."""
        if len(self._buffer) - self._at < count:
            self._fill(min(count, self.left))
        return self._buffer[self._at : self._at + count].ljust(count, b"\0")

    def skip(self, count: int) -> None:
        """Moves on without reading."""
        self._check(count)
        self._at += count
        if self._at > len(self._buffer):
            self._base, self._at, self._buffer = self.position, 0, b""

    def length(self) -> int:
        """A length of eight bytes."""
        return int.from_bytes(self.take(8), "little")

    def string(self) -> bytes:
        """A string; of a long one, its beginning."""
        length = self.length()
        if length > MOST_STRING:
            raise ValueError(f"is damaged: it claims a string of {length:,} bytes; download it again")
        self._check(length)
        kept = self.take(min(length, KEPT))
        self.skip(length - len(kept))
        return kept

    def skip_strings(self, count: int) -> None:
        """Moves on over as many strings."""
        self.strings += count
        while count:
            self.peek(8)
            self._at, done = passed(self._buffer, self._at, count)
            count -= done
            if count:  # one that reaches beyond the buffer
                length = self.length()
                if length > MOST_STRING:
                    raise ValueError(f"is damaged: it claims a string of {length:,} bytes; download it again")
                self.skip(length)
                count -= 1

    def _check(self, count: int) -> None:
        if count > self.left:
            if self.size > MOST_HEADER and count <= self.size - self.position:
                raise ValueError(
                    f"has a header of more than {MOST_HEADER // 2**20} MiB, which no model's has; "
                    "download it again"
                )
            raise ValueError("is cut off inside its header; download it again")

    def _fill(self, count: int) -> None:
        """Reads on, so that as many bytes follow the place."""
        rest = self._buffer[self._at :]
        self._base, self._at = self.position, 0
        self._file.seek(self._base + len(rest))
        self._buffer = rest + self._file.read(max(count - len(rest), BUFFER))
        if len(self._buffer) < count:  # it was longer a moment ago
            raise ValueError("is cut off inside its header; download it again")
