"""Writes a figure as a PNG, SVG, PDF or CSV file: whole or not at all. Qt is imported only for pictures."""

import errno
import os
import re
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from llmplanner.charts.figure import Figure, Line
from llmplanner.charts.table import to_csv
from llmplanner.core.errors import BadInput

if TYPE_CHECKING:
    from llmplanner.charts.render import Look

SUFFIXES = (".png", ".svg", ".pdf", ".csv")
LEAST, MOST = 100, 20_000  # pixels of a side
LEAST_NAMED = (480, 360)  # pixels of a chart of curves, which are named on it
LEAST_DPI, MOST_DPI = 48, 1200
MOST_DOTS = 100_000_000  # of a PNG: 400 MB while it is painted
LIBRARY = re.compile(r"(lib[\w.+-]+\.so[\w.]*)")
PACKAGES = {  # Debian's, by the library that Qt misses
    "libGL.so.1": "libgl1",
    "libEGL.so.1": "libegl1",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libgthread-2.0.so.0": "libglib2.0-0",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libdbus-1.so.3": "libdbus-1-3",
    "libfontconfig.so.1": "libfontconfig1",
}


def save(figure: Figure, path: Path, look: "Look | None" = None) -> None:
    """Writes the file that the suffix of `path` names. Raises BadInput; then nothing is left behind."""
    check_suffix(path)
    write(path, content(figure, path.suffix.lower(), look))


def content(figure: Figure, suffix: str, look: "Look | None" = None) -> bytes:
    """The bytes of a file with this suffix. Raises BadInput for a size that cannot be made, or without Qt."""
    if suffix == ".csv":
        return to_csv(figure).encode()
    try:
        from llmplanner.charts import render  # noqa: PLC0415 - Qt is heavy, and CSV does without
    except ImportError as error:
        raise BadInput(missing_library(error)) from error
    look = look or render.Look()
    check_size(look.width, look.height, look.dpi if suffix == ".png" else render.BASE_DPI)
    check_names(figure, look.width, look.height)
    return render.RENDERERS[suffix](figure, look)


def check_suffix(path: Path) -> None:
    """Raises BadInput unless the name ends in a kind of file that can be written."""
    if path.suffix.lower() in SUFFIXES:
        return
    if path.suffix:
        problem = f"the kind {path.suffix.removeprefix('.')} is not supported; take {', '.join(SUFFIXES)}."
    else:
        problem = f"the name does not say what kind of file it is; end it in {', '.join(SUFFIXES)}."
    raise BadInput(f"{path.name or path}: {problem}", field="output")


def check_size(width: int, height: int, dpi: int) -> None:
    """Raises BadInput for sizes that cannot be read, or that would take too much memory."""
    if not (LEAST <= width <= MOST and LEAST <= height <= MOST):
        raise BadInput(
            f"A chart of {width:,} x {height:,} pixels cannot be made: each side takes {LEAST} to {MOST:,}.",
            field="size",
        )
    if not LEAST_DPI <= dpi <= MOST_DPI:
        raise BadInput(
            f"{dpi:,} dots per inch cannot be made: take {LEAST_DPI} to {MOST_DPI:,}.", field="dpi"
        )
    dots = width * height * (dpi / 96) ** 2
    if dots > MOST_DOTS:
        raise BadInput(
            f"{width:,} x {height:,} pixels at {dpi} dpi are {dots / 1e6:,.0f} million dots; "
            f"at most {MOST_DOTS // 10**6} million can be made. Take a smaller size or fewer dots per inch.",
            field="dpi",
        )


def check_names(figure: Figure, width: int, height: int) -> None:
    """Raises BadInput where the names of the figure's curves would have no room."""
    named = any(isinstance(mark, Line) and mark.label for mark in figure.marks)
    if named and (width < LEAST_NAMED[0] or height < LEAST_NAMED[1]):
        raise BadInput(
            f"The names of the curves have no room in {width} x {height} pixels; "
            f"take {LEAST_NAMED[0]} x {LEAST_NAMED[1]} or more.",
            field="size",
        )


def write(path: Path, data: bytes) -> None:
    """Writes the bytes beside `path`, then moves them there: no half file is ever seen. Raises BadInput."""
    temporary = None
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            temporary = Path(file.name)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(_mode())
        temporary.replace(path)
    except OSError as error:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink()
        raise BadInput(f"{path} cannot be written: {_problem(path, error)}.", field="output") from error


def _problem(path: Path, error: OSError) -> str:
    """What is wrong with a place to write to, and what to do."""
    with suppress(OSError):
        if path.is_dir():
            return "it is a folder; add the name of a file"
    match error.errno:
        case errno.ENOENT | errno.ENOTDIR:
            return f"there is no folder {path.parent}; make it, or choose another"
        case errno.ENAMETOOLONG:
            return "its name is too long; choose a shorter one"
        case errno.ENOSPC | errno.EDQUOT:
            return f"{error.strerror}; free some room, or choose another disk"
    return f"{error.strerror or error}; choose another folder"


def _mode() -> int:
    """What a new file of this user may be read by; a temporary one is private."""
    mask = os.umask(0o077)
    os.umask(mask)
    return 0o666 & ~mask


def missing_library(error: ImportError) -> str:
    """The sentence for Qt that cannot be loaded: it names the missing system package, if that is known."""
    found = LIBRARY.search(str(error))
    if found is None:
        return (
            f"Pictures need Qt, which cannot be loaded ({error}); install PySide6-Essentials or write a .csv."
        )
    package = PACKAGES.get(found[1])
    remedy = f"apt install {package}" if package else "install the package that has it"
    return f"Pictures need Qt, and Qt needs {found[1]}, which is missing here: {remedy}, or write a .csv."
