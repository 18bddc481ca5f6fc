"""The size of a PyTorch .bin or .pt file, from the directory of its zip archive. Nothing in it is unpickled.

A pickle is a program: to read the names and shapes of the tensors, PyTorch runs it. What takes the bytes are
the storages, files of their own in the archive, uncompressed and each once, however many tensors share it.
"""

import zipfile
from dataclasses import dataclass
from pathlib import Path

from llmplanner.core.errors import BadInput
from llmplanner.core.quantities import gib_text
from llmplanner.models.checkpoints.signatures import ENOUGH, mistaken_for
from llmplanner.resources import open_file

END = b"PK\x05\x06"  # of the record that closes a zip archive
END_SIZE = 22
FARTHEST = 65_535 + END_SIZE  # from the end of the file that it can begin
END64 = b"PK\x06\x06"
ELSEWHERE = 0xFFFFFFFF  # the number is in the larger record
MOST_DIRECTORY = 20_000_000  # bytes; that of a model is a few hundred kilobytes
ZIP = b"PK\x03\x04"


@dataclass(frozen=True, slots=True)
class Storages:
    """What the storages of one or several files hold together."""

    count: int
    bytes: int


def read(path: Path) -> Storages:
    """The storages of a file. Raises BadInput, where it is an old file too: those are pickles throughout."""
    with open_file(path, remedy="; give the path of a model's file or folder", field="model") as file:
        try:
            size = file.seek(0, 2)
            file.seek(0)
            start = file.read(ENOUGH)
            if not start.startswith(ZIP):
                raise _not_read(path, start, size)
            file.seek(max(0, size - FARTHEST))
            _check_directory(file.read(FARTHEST))
            with zipfile.ZipFile(file) as archive:
                found = _storages(archive.infolist())
        except BadInput:
            raise
        except (
            OSError,
            zipfile.BadZipFile,
            ValueError,
            NotImplementedError,
            OverflowError,
            EOFError,
        ) as error:
            raise BadInput(
                f"{path} is not a whole PyTorch file (its archive has no directory that can be "
                "read); download it again.",
                "model",
            ) from error
    if found.bytes > size:
        raise BadInput(f"{path} claims more bytes of weights than it has; download it again.", "model")
    return found


def _check_directory(tail: bytes) -> None:
    """Refuses a directory that would take much memory. Raises ValueError."""
    end = tail.rfind(END)
    if end < 0 or len(tail) < end + END_SIZE:
        raise ValueError("no end")
    length = int.from_bytes(tail[end + 12 : end + 16], "little")
    lengths = [0 if length == ELSEWHERE else length]
    while (end := tail.rfind(END64, 0, end)) >= 0:
        lengths.append(int.from_bytes(tail[end + 40 : end + 48], "little"))
    if max(lengths) > MOST_DIRECTORY:
        raise ValueError("too long")


def _storages(entries: list[zipfile.ZipInfo]) -> Storages:
    sizes = [
        entry.file_size
        for entry in entries
        if entry.compress_type == zipfile.ZIP_STORED and _is_storage(entry.filename)
    ]
    if not sizes:
        raise ValueError("no storages")
    return Storages(len(sizes), sum(sizes))


def _is_storage(name: str) -> bool:
    folder, _, last = name.rpartition("/")
    return last.isascii() and last.isdigit() and (folder == "data" or folder.endswith("/data"))


def _not_read(path: Path, start: bytes, size: int) -> BadInput:
    clause = mistaken_for(start) or "is no PyTorch file; give the path of a model's file or folder"
    at_most = f" It has at most {gib_text(size)} of weights." if start.startswith(b"\x80") else ""
    return BadInput(f"{path} {clause}.{at_most}", "model")
