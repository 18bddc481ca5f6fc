"""Latent attention as the fork ik_llama.cpp has it in its graph.

Its modes (-mla): 0 expands keys and values before they are cached; 1 to 3 cache the latent. With flash
attention, 2 and 3 expand it again for a prompt, a slice of heads at a time, that -amb bounds; all slices are
expanded before the first is attended to. Releases before the middle of March 2025 did so at once and in FP32.
Otherwise queries are absorbed; without flash attention it is the scores that -amb slices.
Source: ikawrakow/ik_llama.cpp of March and June 2025, src/llama.cpp (build_deepseek2).
"""

from dataclasses import dataclass
from functools import reduce

from llmplanner.core.formats import Format
from llmplanner.core.model import LatentAttention
from llmplanner.core.serving.llamacpp.allocator import Graph, Tensor
from llmplanner.core.serving.llamacpp.batch import ATTENTION, F16, F32, SCORES, Batch, Fork, Seen

MIB = 2**20
A_PROMPT = 128  # tokens of a batch, from which on the latent is expanded
EXPANDED_AGAIN = 2  # from this -mla on
VALUES_TRANSPOSED = 1  # the -mla that keeps the latent a second time, transposed
KEYS_AND_VALUES = "keys and values of a layer, expanded"


@dataclass(frozen=True, slots=True)
class Latents:
    """Latent attention of a layer, while its part of the graph is built."""

    graph: Graph
    batch: Batch
    fork: Fork
    attention: LatentAttention
    seen: Seen
    positions: tuple[Tensor, ...]

    def output(self, normed: Tensor) -> Tensor:
        """What the layer's attention gives. The latent is cached before there are queries."""
        graph, attention, batch = self.graph, self.attention, self.batch
        rank, rope = attention.kv_rank, attention.rope_dim
        down = graph.op("latent and key", rank + rope, normed)
        key = graph.op("key", rope, down, *self.positions)
        graph.read(graph.op("latent and key", rank + rope, key, graph.op("latent", rank, down)))
        if batch.flash and self.fork.latent >= EXPANDED_AGAIN and batch.tokens >= A_PROMPT:
            mixed = self._at_once(normed) if self.fork.early else self._in_slices(normed)
        else:
            mixed = self._absorbed(normed)
        graph.moment = ATTENTION
        return graph.op("attention output", attention.output.outputs, mixed)

    def _mask(self) -> Tensor:
        return self.graph.half(self.seen.mask) if self.batch.flash else self.seen.mask

    def _queries(self, normed: Tensor) -> Tensor:
        graph, linears = self.graph, self.attention.query
        queries = normed
        for linear in linears[:-1]:
            made = graph.op("queries", linear.outputs, queries)
            queries = graph.op("queries, normed", linear.outputs, made)
        return graph.op("queries", linears[-1].outputs, queries)

    def _turned(self, queries: Tensor) -> Tensor:
        width = self.attention.heads * self.attention.rope_dim
        return self.graph.op("queries, rotated", width, queries, *self.positions)

    def _in_slices(self, normed: Tensor) -> Tensor:
        """Keys and values of every head again, of as many heads at a time as -amb has room for in FP32."""
        graph, cells, attention = self.graph, self.seen.cells, self.attention
        heads, rope, value = attention.heads, attention.rope_dim, attention.value_dim
        wide = attention.kv_up.outputs // heads  # a head's unrotated key and its value
        made = self._queries(normed)
        queries = graph.op("queries", made.width, self._turned(made), made)
        each = self._heads_at_once(heads, attention.kv_up.outputs * cells * F32 // MIB)
        graph.moment = KEYS_AND_VALUES
        slices, repeated = [], None
        for _ in range(heads // each):
            both = graph.op("keys and values, expanded", wide * each, rows=cells)
            keys = graph.op("keys", (wide - value) * each, both, size=F16, rows=cells)
            values = graph.op("values", value * each, both, size=F16, rows=cells)
            if repeated is None:
                cast = (
                    (graph.op("keys", rope, size=F16, rows=cells),)
                    if not isinstance(self.batch.keys, Format)
                    else ()
                )
                repeated = graph.op("rotated keys of heads", rope * each, *cast, size=F16, rows=cells)
            width = (rope + wide - value) * each
            slices.append((graph.op("keys", width, repeated, keys, size=F16, rows=cells), values))
        parts = (graph.op("attended", each * value, queries, *pair, self._mask()) for pair in slices)
        return reduce(self._join, parts)

    def _join(self, before: Tensor, more: Tensor) -> Tensor:
        return self.graph.op(more.name, before.width + more.width, before, more)

    def _heads_at_once(self, heads: int, size: int) -> int:
        """The heads are halved until what they take fits in the slice, in MiB."""
        each = heads
        while self.fork.slice and size > self.fork.slice and each % 2 == 0:
            each, size = each // 2, size // 2
        return each

    def _at_once(self, normed: Tensor) -> Tensor:
        """Keys and values of every head again, in FP32 and then as the cache has them."""
        graph, cells, attention = self.graph, self.seen.cells, self.attention
        heads, rope, value = attention.heads, attention.rope_dim, attention.value_dim
        made = self._queries(normed)
        queries = graph.op("queries", made.width, made, self._turned(made))
        graph.moment = KEYS_AND_VALUES
        cached = graph.op("latents in FP32", attention.kv_rank + rope, rows=cells)
        both = graph.op("keys and values, expanded", attention.kv_up.outputs, cached, rows=cells)
        repeated = graph.op("rotated keys of heads", rope * heads, cached, rows=cells)
        width = attention.kv_up.outputs - heads * value + repeated.width
        wide = graph.op("keys in FP32", width, both, repeated, rows=cells)
        kept = self.batch.keys.bytes_for
        keys = graph.op("keys", int(kept(width)), wide, size=1, rows=cells)
        values = graph.op("values", int(kept(heads * value)), both, size=1, rows=cells)
        return graph.op("attended", heads * value, queries, keys, values, self._mask())

    def _absorbed(self, normed: Tensor) -> Tensor:
        """Queries meet the latent itself."""
        graph, attention = self.graph, self.attention
        heads, rank = attention.heads, attention.kv_rank
        scored = not self.batch.flash or self.fork.latent == EXPANDED_AGAIN
        values: tuple[Tensor, ...] = ()
        if scored and self.fork.latent != VALUES_TRANSPOSED:
            values = (graph.op("latents, transposed", rank, size=F16, rows=self.seen.cells),)
        made = self._queries(normed)
        turned, absorbed = self._turned(made), graph.op("queries, absorbed", heads * rank, made)
        queries = graph.op("queries", heads * (rank + attention.rope_dim), turned, absorbed)
        if scored:
            mixed = self._scored(queries, values)
        else:
            mixed = graph.op("attended latents", heads * rank, queries, self._mask())
        width = heads * attention.value_dim
        return graph.op("attended", width, graph.op("attended", width, mixed))

    def _scored(self, queries: Tensor, values: tuple[Tensor, ...]) -> Tensor:
        """Scores of as many heads at a time as -amb has room for, and what the latents give by them."""
        heads, cells = self.attention.heads, self.seen.cells
        size = heads * cells * self.batch.tokens * F32 // MIB
        steps = min(-(-size // self.fork.slice), heads) if self.fork.slice else 1
        each = -(-heads // steps)
        self.graph.moment = SCORES
        counts = (min(each, heads - first) for first in range(0, heads, each))
        return reduce(self._join, (self._attended(queries, values, count) for count in counts))

    def _attended(self, queries: Tensor, values: tuple[Tensor, ...], count: int) -> Tensor:
        cells = self.seen.cells
        scores = self.graph.op(f"scores ({count} heads × {cells:,} cells)", count * cells, queries)
        self.graph.read(self._mask())
        return self.graph.op("attended latents", count * self.attention.kv_rank, scores, *values)
