"""The least buffer that a graph of tensors fits in, as ggml's graph allocator lays it out.

A graph is walked once, in the order in which it runs. A tensor takes the smallest free block that it fits
in, else the end of the buffer, and gives its place back after its last reader. What works element by element
on an operand that nothing else reads takes its place: such operations, and views, are not recorded.
Source: ggml-org/llama.cpp v0.5.0, ggml/src/ggml-alloc.c, read as a description of what it does.
"""

from bisect import bisect_left

HALF = 2  # bytes


class Tensor:
    """A tensor of `width` elements of `size` bytes for each of `rows`.

    A plain class without checks, as a walk makes some hundred of them in a fraction of a millisecond.
    """

    __slots__ = ("bytes", "kept", "name", "offset", "readers", "rows", "size", "width")

    def __init__(self, name: str, width: int, rows: int, size: int, *, kept: bool) -> None:
        """`kept`: an output, or an input that is not given back."""
        self.name = name
        self.width = width
        self.rows = rows
        self.size = size
        self.bytes = width * rows * size
        self.kept = kept
        self.readers = 0  # operations still to come that read it
        self.offset = -1  # where it lies, once it lies anywhere


class Graph:
    """Tensors and operations in the order in which they run, and what each moment is called."""

    def __init__(self, rows: int) -> None:
        """`rows`: of a tensor unless told otherwise: the tokens of a batch."""
        self.rows = rows
        self.moment = ""
        self.inputs: list[Tensor] = []
        self.operations: list[tuple[Tensor | None, tuple[Tensor, ...], str]] = []
        self._halves: dict[Tensor, Tensor] = {}

    def input(
        self, name: str, width: int, size: int, *, rows: int | None = None, kept: bool = False
    ) -> Tensor:
        """A tensor that is there before the first operation."""
        made = Tensor(name, width, self.rows if rows is None else rows, size, kept=kept)
        self.inputs.append(made)
        return made

    def op(self, name: str, width: int, *sources: Tensor, size: int = 4, rows: int | None = None) -> Tensor:
        """An operation that makes a tensor of its own."""
        made = Tensor(name, width, self.rows if rows is None else rows, size, kept=False)
        for source in sources:
            source.readers += 1
        self.operations.append((made, sources, self.moment))
        return made

    def half(self, tensor: Tensor) -> Tensor:
        """The tensor in 16 bits: cast when first asked for, if it has more."""
        if tensor.size <= HALF:
            return tensor
        if tensor not in self._halves:
            name = f"{tensor.name}, cast"
            self._halves[tensor] = self.op(name, tensor.width, tensor, size=HALF, rows=tensor.rows)
        return self._halves[tensor]

    def read(self, *sources: Tensor) -> None:
        """An operation that makes no tensor of its own: it writes into the cache, or into an operand."""
        for source in sources:
            source.readers += 1
        self.operations.append((None, sources, self.moment))


class Fullest:
    """The size of the buffer, and what was alive when its end was reached."""

    __slots__ = ("alive", "bytes", "moment")

    def __init__(self, size: int, moment: str, alive: tuple[Tensor, ...]) -> None:
        self.bytes = size
        self.moment = moment
        self.alive = alive


def laid_out(graph: Graph, alignment: int) -> Fullest:
    """The buffer that the graph takes. A graph can be laid out once: its tensors are placed by it."""
    blocks = Blocks(alignment)
    alive: dict[Tensor, None] = {}
    fullest = Fullest(0, "", ())
    for tensor in graph.inputs:
        blocks.take(tensor)
        alive[tensor] = None
    fullest = Fullest(blocks.end, "inputs", tuple(alive))
    for made, sources, moment in graph.operations:
        if made is not None:
            alive[made] = None
            if blocks.take(made):
                fullest = Fullest(blocks.end, moment, tuple(alive))
        for source in sources:
            source.readers -= 1
            if not source.readers and not source.kept:
                blocks.give(source)
                del alive[source]
    return fullest


class Blocks:
    """The free blocks of a buffer by offset; behind the last of them it grows."""

    __slots__ = ("alignment", "end", "offsets", "open", "sizes")

    def __init__(self, alignment: int) -> None:
        self.alignment = alignment
        self.end = 0  # the size of the buffer
        self.open = 0  # where the last block begins, which has no end
        self.offsets: list[int] = []
        self.sizes: list[int] = []

    def take(self, tensor: Tensor) -> bool:
        """Finds a place for a tensor. Returns whether the buffer grew."""
        need = -(-tensor.bytes // self.alignment) * self.alignment
        best = -1
        least = need
        for place, size in enumerate(self.sizes):
            if size >= need and (best < 0 or size <= least):
                best, least = place, size
        if best < 0:
            tensor.offset = self.open
            self.open += need
            if self.open > self.end:
                self.end = self.open
                return True
            return False
        tensor.offset = self.offsets[best]
        if least == need:
            del self.offsets[best], self.sizes[best]
        else:
            self.offsets[best] += need
            self.sizes[best] = least - need
        return False

    def give(self, tensor: Tensor) -> None:
        """Takes a tensor's place back, and joins it with the free blocks beside it."""
        offset = tensor.offset
        size = -(-tensor.bytes // self.alignment) * self.alignment
        place = bisect_left(self.offsets, offset)
        if place and self.offsets[place - 1] + self.sizes[place - 1] == offset:
            place -= 1
            offset = self.offsets.pop(place)
            size += self.sizes.pop(place)
        if place < len(self.offsets) and offset + size == self.offsets[place]:
            del self.offsets[place]
            size += self.sizes.pop(place)
        if offset + size == self.open:
            self.open = offset
        else:
            self.offsets.insert(place, offset)
            self.sizes.insert(place, size)
