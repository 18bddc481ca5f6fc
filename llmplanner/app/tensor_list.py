"""A list of tensors made ready to be shown: found by words and put in order without walking it row by row."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llmplanner.core.checkpoint import StoredTensor
from llmplanner.core.quantities import count_text
from llmplanner.models.file_card import plain

COLUMNS = ("Name", "Shape", "Type", "Parameters", "Bytes")
DIGITS = re.compile(r"\d+")
MOST_SIZES = 8  # of a shape that a cell shows; no format in use has more than 5
Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class TensorList:
    """Tensors, the text in which words are looked for, and their places in the order of each column."""

    tensors: tuple[StoredTensor, ...]
    words: tuple[str, ...]
    places: tuple[Indices, ...]  # a column each
    elements: Indices
    bytes: Indices
    note: str = ""  # where the table is from

    def cell(self, row: int, column: int) -> str:
        """What stands in a column, as text."""
        tensor = self.tensors[row]
        if column == 0:
            return plain(tensor.name)
        if column == 1:
            return _shape_text(tensor.shape) or "one number"
        return (plain(tensor.format), f"{tensor.elements:,}", f"{tensor.bytes:,}")[column - 2]

    def found(self, text: str) -> Indices:
        """The rows that have every word of a text, in the order of the file."""
        words = text.casefold().split()
        if not words:
            return np.arange(len(self.tensors))
        rows: Iterable[int] = range(len(self.words))
        for word in words:
            rows = [row for row in rows if word in self.words[row]]
        return np.fromiter(rows, np.int64)

    def ordered(self, rows: Indices, column: int, *, descending: bool) -> Indices:
        """The rows in the order of a column; equal ones as in the file."""
        places = self.places[column][rows]
        return rows[np.argsort(-places if descending else places, kind="stable")]

    def total(self, rows: Indices) -> str:
        """What the rows come to."""
        count, elements, size = len(rows), int(self.elements[rows].sum()), int(self.bytes[rows].sum())
        tensors = "1 tensor" if count == 1 else f"{count:,} tensors"
        return f"{tensors} · {count_text(elements)} parameters ({elements:,}) · {size:,} bytes"

    def table(self, rows: Indices) -> list[tuple[str | int, ...]]:
        """The rows as a file of comma-separated values takes them."""
        heads = tuple(name.lower() for name in COLUMNS)
        return [heads, *(_values(self.tensors[row]) for row in rows.tolist())]


def tensor_list(tensors: tuple[StoredTensor, ...], note: str = "") -> TensorList:
    """Makes a list ready; takes about a second for 200,000 tensors, so not on the GUI thread."""
    words = tuple(f"{plain(tensor.name)} {plain(tensor.format)}".casefold() for tensor in tensors)
    elements = np.array([tensor.elements for tensor in tensors], np.int64)
    size = np.array([tensor.bytes for tensor in tensors], np.int64)
    names = _places([_natural(tensor.name) for tensor in tensors])
    shapes = _places([tensor.shape for tensor in tensors])
    formats = _places([tensor.format for tensor in tensors])
    return TensorList(tensors, words, (names, shapes, formats, elements, size), elements, size, note)


def _places(keys: Sequence[str] | Sequence[tuple[int, ...]]) -> Indices:
    """For each key the place of its value among all values in order; equal keys have the same place."""
    ranks = {key: rank for rank, key in enumerate(sorted(set(keys)))}  # type: ignore[type-var]
    find: Callable[[object], int] = ranks.__getitem__  # type: ignore[assignment]
    return np.fromiter(map(find, keys), np.int64, len(keys))


def _shape_text(shape: tuple[int, ...]) -> str:
    """A shape as a cell shows it; of one with very many sizes the first and their number."""
    first = " × ".join(f"{size:,}" for size in shape[:MOST_SIZES])
    return first if len(shape) <= MOST_SIZES else f"{first} × … ({len(shape):,} sizes)"


def _natural(name: str) -> str:
    """A name that sorts as people count: layer 2 before layer 10."""
    return DIGITS.sub(lambda digits: digits.group().zfill(6), name)


def _values(tensor: StoredTensor) -> tuple[str | int, ...]:
    shape = "x".join(map(str, tensor.shape))
    return plain(tensor.name), shape, plain(tensor.format), tensor.elements, tensor.bytes
