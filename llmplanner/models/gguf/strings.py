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
_MANY = 1000  # strings, below which one by one is quicker
_FEW = 64  # places, the same
_BROKEN = 8  # one break in so many places makes one by one quicker

Indices = NDArray[np.intp]


def passed(buffer: bytes, start: int, count: int) -> tuple[int, int]:
    """Follows up to `count` strings from `start` that end inside the buffer: (where it stands, how many)."""
    if count < _MANY:
        return _one_by_one(buffer, start, count)
    starts, ends = _places(buffer)
    breaks = np.flatnonzero(ends[:-1] != starts[1:])
    if not any(buffer[start : start + _FEW]) and buffer.count(0) == len(buffer):  # a hole: empty strings
        done = min(count, (len(buffer) - start) // 8)
        return start + 8 * done, done
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

    Seven zeros in a row hold an aligned word of four. The word before it holds the length in its highest byte
    that is not zero, s = 0, 8, 16 or 24 bits up; of the word behind it, the lowest s bits must be zero too.
    A float's exponent tells s (rounded up to 2^32, it tells 0, which is as true). Then the eight bytes that
    start s / 8 bytes into the first word are the number that they are taken for, whatever they were meant as.
    """
    words = np.frombuffer(buffer, "<u4", len(buffer) // 4)
    places = np.flatnonzero(words[1:-1] == 0)  # of the words before
    lengths, behind = words.take(places), words[2:].take(places)
    shift = lengths.astype(np.float32).view(np.uint32)
    shift >>= 23
    shift += 1
    shift &= 24
    lengths >>= shift
    behind <<= 32 - shift
    shift >>= 3
    places <<= 2
    places += shift
    ends = places + lengths
    ends += 8
    if behind.any():
        whole = behind == 0
        return places[whole], ends[whole]
    return places, ends
