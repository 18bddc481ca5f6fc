"""Passes over arrays of strings in a GGUF header at close to the speed of reading them.

A vocabulary is hundreds of thousands of strings, each with its length before it in eight bytes, so where one
starts is known only from the one before. Almost all are shorter than 256 bytes: seven bytes of such a length
are zero. NumPy finds every place that looks like one, and a run in which each leads exactly to the next is
proven by its first. What is left over is followed one by one.
"""

import struct

import numpy as np
from numpy.typing import NDArray

_LENGTH = struct.Struct("<Q").unpack_from
_FEW = 64  # places, below which one by one is quicker
_BROKEN = 8  # one break in so many places makes one by one quicker

Indices = NDArray[np.intp]


def passed(buffer: bytes, start: int, count: int) -> tuple[int, int]:
    """Follows up to `count` strings from `start` that end inside the buffer: (where it stands, how many)."""
    if count < _FEW:
        return _one_by_one(buffer, start, count)
    starts, ends = _places(buffer)
    breaks = np.flatnonzero(ends[:-1] != starts[1:])
    if len(starts) < _FEW or len(breaks) * _BROKEN > len(starts):
        return _one_by_one(buffer, start, count)
    at, done = start, 0
    while done < count:
        first = int(starts.searchsorted(at))
        if first == len(starts) or starts[first] != at:
            at, more = _one_by_one(buffer, at, 1)
        else:
            end = int(breaks.searchsorted(first))
            last = int(breaks[end]) if end < len(breaks) else len(starts) - 1
            last = min(last, first + count - done - 1)
            last -= bool(ends[last] > len(buffer))
            more = last - first + 1
            at = int(ends[last]) if more else at
        if not more:
            break
        done += more
    return at, done


def _one_by_one(buffer: bytes, start: int, count: int) -> tuple[int, int]:
    """The same, string by string."""
    at, size = start, len(buffer)
    for done in range(count):
        if at + 8 > size:
            return at, done
        end = at + 8 + _LENGTH(buffer, at)[0]
        if end > size:
            return at, done
        at = end
    return at, count


def _places(buffer: bytes) -> tuple[Indices, Indices]:
    """Where eight bytes could be a length below 256, and where that string would end.

    Seven zeros in a row hold exactly one aligned word of four: that is what is looked for. The word before it
    holds the length, and k = 0..3 of the zeros above it; the word behind it holds the other 3 - k.
    """
    words = np.frombuffer(buffer, "<u4", len(buffer) // 4)
    zeros = np.flatnonzero(words[1:-1] == 0)  # indices of the word before
    before, behind = words.take(zeros), words.take(zeros + 2)
    above = (before < 1 << 24).view(np.uint8) + (before < 1 << 16).view(np.uint8)
    above += (before < 1 << 8).view(np.uint8)
    bits = above << np.uint8(3)
    whole = (behind << bits) << np.uint8(8) == 0
    starts = (zeros << 2) + 3 - above
    lengths = before >> (np.uint8(24) - bits)
    if not whole.all():
        starts, lengths = starts[whole], lengths[whole]
    return starts, starts + 8 + lengths
