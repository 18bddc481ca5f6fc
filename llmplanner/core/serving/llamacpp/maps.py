"""Compute buffers over maps of plans: the engine's graph is walked once for each size that differs."""

from collections.abc import Callable
from dataclasses import replace

from llmplanner.core.estimate import Bytes, Term
from llmplanner.core.serving.llamacpp.cells import Cells


def over(sizes: Cells, find: Callable[[Cells], Term]) -> Term:
    """The term for sizes that may be maps. Shapes: those of the sizes, broadcast together."""
    fields = (sizes.sequences, sizes.streams, sizes.each, sizes.ubatch)
    if all(isinstance(field, int) for field in fields):
        return find(sizes)
    import numpy as np  # noqa: PLC0415 - of maps alone

    arrays = np.broadcast_arrays(*(np.asarray(field, np.int64) for field in fields))
    rows = np.stack([array.ravel() for array in arrays], axis=1)
    different, places = np.unique(rows, axis=0, return_inverse=True)
    found = [find(_cells(sizes, *map(int, row))) for row in different]

    def spread(amounts: list[Bytes]) -> Bytes:
        return np.asarray(amounts, np.int64)[places.ravel()].reshape(arrays[0].shape)

    return replace(
        found[-1],
        bytes=spread([one.bytes for one in found]),
        low=spread([one.low for one in found]),
        high=spread([one.high for one in found]),
        formula="differs over the map",
        parts=(),
    )


def _cells(sizes: Cells, sequences: int, streams: int, each: int, ubatch: int) -> Cells:
    """The same options with single sizes."""
    return replace(sizes, sequences=sequences, streams=streams, each=each, ubatch=ubatch)
