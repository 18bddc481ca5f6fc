"""A folder with models below it: LM Studio's publisher/model/file, an old llama.cpp cache, the user's own."""

from collections.abc import Callable, Iterator
from pathlib import Path

from llmplanner.models.stores.found import Found, files_of, models_of

MOST_DEPTH = 4
MOST_FOLDERS = 20_000  # a folder with more below it is not a store: the user named a whole disk


def tree(where: str) -> Callable[[Path], Iterator[Found | str]]:
    """The finder of a folder that is kept by `where`."""

    def walk(folder: Path) -> Iterator[Found | str]:
        """The models below the folder, named by where they lie. Raises OSError for the folder itself."""
        files_of(folder, folder)  # a folder that cannot be read is the caller's to tell
        left = [(folder, MOST_DEPTH)]
        seen = 0
        while left:
            inner, depth = left.pop()
            seen += 1
            if seen > MOST_FOLDERS:
                yield f"{where}: {folder} has more than {MOST_FOLDERS:,} folders; name one that is smaller."
                return
            try:
                files = files_of(inner, folder)
            except OSError as error:
                yield f"{where}: {inner} cannot be read ({error.strerror}); it is left out."
                continue
            name = inner.relative_to(folder).as_posix() if inner != folder else ""
            yield from models_of(files, inner, name, where)
            if depth:
                left.extend((one, depth - 1) for one in files.folders if not one.name.startswith("models--"))

    return walk
