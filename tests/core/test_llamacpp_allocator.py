"""The allocator's own properties, whatever the graph."""

from dataclasses import dataclass
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as some

from llmplanner.core.serving.llamacpp.allocator import Graph, Tensor, laid_out


@dataclass(frozen=True)
class Step:
    """An operation: what it makes, and which of the tensors made before it reads."""

    width: int
    reads: tuple[int, ...]


STEPS = some.lists(
    some.builds(Step, some.integers(1, 10_000), some.tuples(some.integers(0, 30), some.integers(0, 30))),
    min_size=1,
    max_size=30,
)


def built(steps: list[Step]) -> tuple[Graph, list[Tensor]]:
    graph = Graph(4)
    made = [graph.input("first", 100, 4)]
    for step in steps:
        sources = {made[read % len(made)] for read in step.reads}
        made.append(graph.op("made", step.width, *sources))
    return graph, made


def most_alive(graph: Graph) -> int:
    """The most bytes that any operation finds alive, its own among them, wherever they lie."""
    left = {tensor: tensor.readers for _, sources, _ in graph.operations for tensor in sources}
    alive = {tensor: tensor.bytes for tensor in graph.inputs}
    most = sum(alive.values())
    for made, sources, _ in graph.operations:
        if made is not None:
            alive[made] = made.bytes
        most = max(most, sum(alive.values()))
        for source in sources:
            left[source] -= 1
            if not left[source]:
                del alive[source]
    return most


@given(STEPS)
def test_holds_at_least_what_is_alive_and_at_most_everything(steps: list[Step]) -> None:
    graph, made = built(steps)
    least = most_alive(graph)
    found = laid_out(graph, 32)
    assert least <= found.bytes <= sum(tensor.bytes + 32 for tensor in made)
    assert sum(tensor.bytes for tensor in found.alive) <= found.bytes


@given(STEPS)
def test_no_two_tensors_alive_lie_in_the_same_place(steps: list[Step]) -> None:
    graph, _ = built(steps)
    alive = sorted(laid_out(graph, 32).alive, key=lambda tensor: tensor.offset)
    assert not any(tensor.offset % 32 for tensor in alive)
    for lower, upper in pairwise(alive):
        assert lower.offset + lower.bytes <= upper.offset
