"""How much PyTorch's caching allocator reserves for training steps of one length, and of many.

Plays the rules of c10/cuda/CUDACachingAllocator.cpp (best fit, splitting, merging, segments of 2 and 20 MiB
or of the block) through the large tensors of a hundred steps.
Run it with `python -m benchmarks.allocator`.
"""

import random
from bisect import bisect_left, insort
from dataclasses import dataclass, field

MIB = 2**20
STEPS = 100
SHORTEST = 16  # tokens
SHAPES = {"7B, 152k words": (4096, 32, 11_008, 151_936), "7B, 37k words": (4096, 32, 14_336, 36_608)}


@dataclass(slots=True)
class Block:
    """A piece of a segment."""

    size: int
    small: bool
    before: int | None = None
    behind: int | None = None
    free: bool = False


@dataclass(slots=True)
class Allocator:
    """What is reserved and what holds a tensor, in bytes."""

    reserved: int = 0
    held: int = 0
    peak: int = 0
    _blocks: dict[int, Block] = field(default_factory=dict)
    _free: list[tuple[int, int]] = field(default_factory=list)  # (size, block), sorted
    _next: int = 0

    def take(self, size: int) -> int:
        """A block for a tensor of so many bytes."""
        size = max(512, -(-size // 512) * 512)
        small = size <= MIB
        number = self._found(size, small=small) or self._segment(size, small=small)
        block = self._blocks[number]
        block.free = False
        rest = block.size - size
        if rest >= (512 if small else MIB + 1):
            last = self._add(Block(rest, small, number, block.behind, free=True))
            if block.behind:
                self._blocks[block.behind].before = last
            block.behind, block.size = last, size
            insort(self._free, (rest, last))
        self.held += block.size
        self.peak = max(self.peak, self.held)
        return number

    def give(self, number: int) -> None:
        """The tensor is gone; its block is merged with free neighbours."""
        block = self._blocks[number]
        self.held -= block.size
        for other in (block.before, block.behind):
            if other and self._blocks[other].free:
                self._merge(number, other)
        block.free = True
        insort(self._free, (block.size, number))

    def _found(self, size: int, *, small: bool) -> int | None:
        for place in range(bisect_left(self._free, (size, -1)), len(self._free)):
            number = self._free[place][1]
            if self._blocks[number].small == small:
                del self._free[place]
                return number
        return None

    def _segment(self, size: int, *, small: bool) -> int:
        whole = 2 * MIB if small else 20 * MIB if size < 10 * MIB else -(-size // (2 * MIB)) * 2 * MIB
        self.reserved += whole
        return self._add(Block(whole, small))

    def _add(self, block: Block) -> int:
        self._next += 1
        self._blocks[self._next] = block
        return self._next

    def _merge(self, number: int, other: int) -> None:
        block, gone = self._blocks[number], self._blocks.pop(other)
        self._free.remove((gone.size, other))
        block.size += gone.size
        if block.before == other:
            block.before = gone.before
            if gone.before:
                self._blocks[gone.before].behind = number
        else:
            block.behind = gone.behind
            if gone.behind:
                self._blocks[gone.behind].before = number


def layer(memory: Allocator, tokens: int, shape: tuple[int, int, int, int]) -> tuple[int, list[int]]:
    """A layer's forward pass: its output, and what its backward pass needs."""
    width, _, wide, _ = shape
    kept = [memory.take(size * tokens * width) for size in (4, 2, 6, 2, 2, 2, 2, 4, 2)]
    kept += [memory.take(2 * tokens * wide) for _ in range(4)]
    return memory.take(2 * tokens * width), kept


def step(memory: Allocator, tokens: int, shape: tuple[int, int, int, int], *, again: bool) -> None:
    """One step: layers, logits and their loss, and the way back; `again`: layers are computed twice."""
    width, layers, wide, words = shape
    take, give = memory.take, memory.give
    inputs, waiting = [take(2 * tokens * width)], []
    for _ in range(layers):
        out, kept = layer(memory, tokens, shape)
        inputs.append(out)
        waiting.append([] if again else kept)
        for each in kept if again else ():
            give(each)
    logits, wider, saved = (take(size * tokens * words) for size in (2, 4, 4))
    give(wider)
    give(logits)
    first, second = take(4 * tokens * words), take(4 * tokens * words)
    give(first)
    give(saved)
    narrow = take(2 * tokens * words)
    give(second)
    gradient = take(2 * tokens * width)
    give(narrow)
    for _ in range(layers):
        kept = waiting.pop()
        if again:
            out, kept = layer(memory, tokens, shape)
            kept.append(out)
        flowing = [take(2 * tokens * wide) for _ in range(2)]
        after = take(2 * tokens * width)
        for each in (*flowing, *kept, gradient, inputs.pop()):
            give(each)
        gradient = after
    give(gradient)
    give(inputs.pop())


def ratio(shape: tuple[int, int, int, int], longest: int, shortest: int, *, again: bool) -> float:
    """Reserved over the peak of what holds tensors, after STEPS steps of evenly drawn lengths."""
    chance, memory = random.Random(0), Allocator()  # noqa: S311 - lengths, no secrets
    for number in range(STEPS):
        length = longest if number == STEPS // 2 else chance.randint(shortest, longest)
        step(memory, length, shape, again=again)
    return memory.reserved / memory.peak


def main() -> None:
    """Prints one line for each shape, longest sequence and way of checkpointing."""
    for name, shape in SHAPES.items():
        for longest in (512, 2048, 8192):
            for again in (True, False):
                same, even = (ratio(shape, longest, least, again=again) for least in (longest, SHORTEST))
                way = "checkpointed" if again else "all kept"
                print(f"{name}, {longest:,} tokens, {way}: {same:.2f} of one length, {even:.2f} drawn evenly")


if __name__ == "__main__":
    main()
