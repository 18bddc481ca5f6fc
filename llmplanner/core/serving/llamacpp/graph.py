"""The graph that llama.cpp builds for a physical batch of a prompt, as tensors and who reads them.

Widths are elements a token; nearly every tensor is FP32. The values of the cache and the weights lie in
buffers of their own. Operations stand in the order in which the engine runs them: queries, values, keys;
the gate before the up projection. Rotation, activations without a gate, scaling, soft caps, biases, RMS norms
of what nothing else reads, and sums work in place.
Source: ggml-org/llama.cpp v0.5.0, src/llama-graph.cpp and src/models/, read as a description.
"""

from dataclasses import replace

from llmplanner.core.model import (
    Attention,
    Experts,
    FeedForward,
    LatentAttention,
    Layer,
    Linear,
    Model,
    Norm,
    NormKind,
    Parameter,
    Recurrent,
)
from llmplanner.core.serving.llamacpp import fork
from llmplanner.core.serving.llamacpp.allocator import Graph, Tensor
from llmplanner.core.serving.llamacpp.batch import ATTENTION, F16, HELD, SCORES, Batch, Seen

KERNEL = 3  # dimensions: channels, 1, tokens
SKIPPING = "Mamba-2"  # adds its convolved input, of which it sees a part, to what it reads out
LAYER_NORMS = frozenset({NormKind.LAYER, NormKind.LAYER_WIDE, NormKind.LAYER_WRITTEN})
FEED_FORWARD, EXPERTS, RECURRENCE = "feed-forward of a layer", "experts of a layer", "recurrence of a layer"
HEAD = "logits"


class Walk:
    """A graph while it is built, with the inputs that every layer reads."""

    __slots__ = ("batch", "chosen", "graph", "lent", "output_copied", "positions")

    def __init__(self, batch: Batch, graph: Graph) -> None:
        self.batch = batch
        self.graph = graph
        self.lent = HELD  # what of the layer comes from the host
        self.positions: tuple[Tensor, ...] = ()  # read by every rotation
        self.chosen: tuple[Tensor, ...] = ()  # which tokens' outputs are wanted
        self.output_copied = 0  # bytes of the output matrix, where the host holds it

    def layer(self, layer: Layer, hidden: Tensor, seen: Seen, *, last: bool) -> Tensor:
        """One layer. `hidden` is what the layers before it made. `last`: the outputs are chosen in it."""
        graph = self.graph
        graph.moment = RECURRENCE if layer.attention is None else ATTENTION
        normed = self._norm(layer.attention_norm, hidden, alone=False)
        mixed = self._mixers(layer, normed, seen)
        if layer.feed_forward is None:
            return self._sum(mixed, hidden)
        if layer.parallel:
            own = layer.feed_forward_norm
            inner = self._norm(own, hidden, alone=False) if own is not None else normed
            return self._sum(self._sum(self._feed_forward(layer.feed_forward, inner), mixed), hidden)
        if last:
            mixed = graph.op("chosen outputs", mixed.width, mixed, *self.chosen)
            hidden = graph.op("chosen outputs", hidden.width, hidden, *self.chosen)
        mixed = self._norm(layer.attention_output_norm, mixed, alone=True)
        added = self._sum(mixed, hidden)
        if layer.post_norm:
            added = self._norm(layer.attention_norm, added, alone=True)
        inner = self._norm(None if layer.post_norm else layer.feed_forward_norm, added, alone=False)
        out = self._feed_forward(layer.feed_forward, inner)
        out = self._norm(layer.feed_forward_output_norm, out, alone=True)
        return self._sum(added, out) if self.batch.residual_first else self._sum(out, added)

    def head(self, model: Model, hidden: Tensor, *, late: bool) -> None:
        """The final norm and the logits of every token. `late`: the outputs are chosen here."""
        graph = self.graph
        graph.moment = HEAD
        if late:
            hidden.kept = True
            hidden = graph.op("chosen outputs", hidden.width, hidden, *self.chosen)
        normed = self._norm(model.stacks[-1].final_norm, hidden, alone=True)
        normed.kept = True
        if model.head.linear is not None and self.batch.cached:  # an encoder gives its hidden states
            graph.op(
                "logits",
                model.head.linear.outputs,
                normed,
                *self._copied("output matrix", self.output_copied),
            )

    def _mixers(self, layer: Layer, normed: Tensor, seen: Seen) -> Tensor:
        found: Tensor | None = None
        if layer.recurrent is not None:
            found = self._recurrent(layer.recurrent, normed)
        match layer.attention:
            case Attention() as attention:
                out = self._attention(attention, normed, seen)
            case LatentAttention() as attention:
                out = self._latent(attention, normed, seen)
            case _:
                return found if found is not None else normed
        return out if found is None else self._sum(out, found)

    def _norm(self, norm: Norm | None, value: Tensor, *, alone: bool) -> Tensor:
        """A norm. `alone`: nothing else reads the value. The fork's norms are never in place."""
        in_place = alone and self.batch.fork is None
        if norm is None or (in_place and norm.kind not in LAYER_NORMS):
            return value
        return self.graph.op("normed", value.width, value)

    def _sum(self, into: Tensor, other: Tensor) -> Tensor:
        """A sum in the place of its first operand."""
        self.graph.read(other)
        return into

    def _attention(self, attention: Attention, normed: Tensor, seen: Seen) -> Tensor:
        graph, batch = self.graph, self.batch
        width = attention.heads * attention.value_dim
        sources, gate = self._projected(attention, normed, seen)
        mixed = self._attended(width, attention.heads, sources, seen, biased=biased(attention))
        if batch.values_rotated:
            mixed = graph.op("rotated back", width, mixed)
        if gate is not None:
            graph.read(graph.op("gate", width, gate))
        return graph.op("attention output", attention.output.outputs, mixed)

    def _attended(
        self, width: int, heads: int, sources: tuple[Tensor, ...], seen: Seen, *, biased: bool = False
    ) -> Tensor:
        """What the values give, of every head. A bias by position cannot be had with flash attention."""
        graph = self.graph
        if self.lent.apart:
            return graph.op("attended", width, *sources)
        sources = (*sources, *self._copied("keys and values, copied in", self.lent.cache))
        if self.batch.flash and not biased:
            return graph.op("attended", width, *sources, graph.half(seen.mask), *self._unpacked(seen))
        graph.moment = SCORES
        scores = graph.op(f"scores ({heads} heads × {seen.cells:,} cells)", heads * seen.cells, *sources)
        if biased:
            picked = graph.op("bias by position", heads * seen.cells, *seen.buckets)
            graph.read(graph.op("bias by position", heads * seen.cells, picked))
        graph.read(seen.mask)
        mixed = graph.op("attended", width, graph.op("attended", width, scores))
        graph.moment = ATTENTION
        return mixed

    def _unpacked(self, seen: Seen) -> tuple[Tensor, ...]:
        """Keys and values in FP16, where flash attention reads others on a GPU."""
        if not self.batch.unpacked:
            return ()
        return (
            self.graph.op("keys and values, unpacked", seen.width * seen.cells, size=F16, rows=seen.streams),
        )

    def _copied(self, name: str, size: int) -> tuple[Tensor, ...]:
        """What is copied in from the host, if anything is."""
        return (self.graph.op(name, size, size=1, rows=1),) if size else ()

    def _projected(
        self, attention: Attention, normed: Tensor, seen: Seen
    ) -> tuple[tuple[Tensor, ...], Tensor | None]:
        """What attention reads besides the cache, and what queries came with where that holds a gate."""
        graph, batch = self.graph, self.batch
        query_width = attention.heads * attention.key_dim
        key_width, value_width = (
            attention.kv_heads * attention.key_dim,
            attention.kv_heads * attention.value_dim,
        )
        if len(attention.inputs) == 1:
            fused = graph.op("queries, keys and values", attention.inputs[0].outputs, normed)
            turned = attention.rotary_dim > 0
            queries = graph.op("queries", query_width, fused, *self.positions) if turned else fused
            keys = graph.op("keys", key_width, fused, *self.positions) if turned else fused
            values = fused if batch.flash else graph.op("values", value_width, fused)
            return (queries, *self._stored(keys, values, seen)), None
        queries = graph.op("queries", attention.inputs[0].outputs, normed)
        gate = queries if attention.output_gate else None
        queries = self._turned(attention, queries, query_width, attention.query_norm)
        if batch.keys_rotated:
            queries = graph.op("queries, rotated", query_width, queries)
        if attention.shares_cache:
            return (queries,), gate
        return (queries, *self._keys_and_values(attention, normed, seen)), gate

    def _keys_and_values(self, attention: Attention, normed: Tensor, seen: Seen) -> tuple[Tensor, ...]:
        """In the order in which the engine makes them, which differs with two kinds of caches."""
        batch = self.batch
        if batch.windows:
            keys = self._keys(attention, normed)
            values = self._values(attention, normed)
        else:
            values = self._values(attention, normed)
            keys = self._keys(attention, normed)
        return self._stored(keys, values, seen)

    def _keys(self, attention: Attention, normed: Tensor) -> Tensor:
        width = attention.kv_heads * attention.key_dim
        keys = self._turned(attention, self.graph.op("keys", width, normed), width, attention.key_norm)
        return self.graph.op("keys, rotated", width, keys) if self.batch.keys_rotated else keys

    def _values(self, attention: Attention, normed: Tensor) -> Tensor:
        width = attention.kv_heads * attention.value_dim
        values = self.graph.op("values", width, normed)
        return self.graph.op("values, rotated", width, values) if self.batch.values_rotated else values

    def _stored(self, keys: Tensor, values: Tensor, seen: Seen) -> tuple[Tensor, ...]:
        """Both go into the cache; an encoder has none and attends to them, one as wide as the other."""
        graph = self.graph
        if self.batch.cached:
            graph.read(keys, *seen.places[:1])
            graph.read(values, *seen.places[1:])
            return ()
        if self.batch.flash:
            return (
                graph.op("keys, cast", keys.width, keys, size=F16),
                graph.op("values, cast", keys.width, values, size=F16),
            )
        return keys, graph.op("values, transposed", keys.width, values)

    def _turned(self, attention: Attention, made: Tensor, width: int, norm: Norm | None) -> Tensor:
        """Queries or keys after norm and rotation, the first of which cannot work in place on a view."""
        if norm is None and not attention.rotary_dim and not attention.output_gate:
            return made
        return self.graph.op(made.name, width, made, *(self.positions if attention.rotary_dim else ()))

    def _expanded(self, attention: LatentAttention, normed: Tensor, seen: Seen) -> Tensor:
        """The latent made into keys and values of every head, which are cached."""
        graph, heads, rotated = self.graph, attention.heads, attention.rope_dim
        queries = normed
        for linear in attention.query:
            queries = graph.op("queries", linear.outputs, queries)
        queries = graph.op("queries", queries.width, queries, *self.positions)
        down = graph.op("latent and key", attention.kv_rank + rotated, normed)
        both = graph.op(
            "keys and values", attention.kv_up.outputs, graph.op("latent", attention.kv_rank, down)
        )
        width = heads * attention.value_dim
        values = graph.op("values", width, both)
        repeated = graph.op("keys", heads * rotated, graph.op("key", rotated, down, *self.positions))
        kept = self._stored(graph.op("keys", queries.width, both, repeated), values, seen)
        mixed = self._attended(width, heads, (queries, *kept), seen)
        return graph.op("attention output", attention.output.outputs, mixed)

    def _latent(self, attention: LatentAttention, normed: Tensor, seen: Seen) -> Tensor:
        """Absorbed: queries meet the latent itself, and one head of keys serves all."""
        graph, batch = self.graph, self.batch
        if batch.expanded:
            return self._expanded(attention, normed, seen)
        if batch.fork is not None:
            return fork.Latents(graph, batch, batch.fork, attention, seen, self.positions).output(normed)
        heads, rank, rotated = attention.heads, attention.kv_rank, attention.rope_dim
        if batch.indexed:
            seen = self._indexed(normed, seen)
        inner = normed
        for linear in attention.query:
            inner = graph.op("queries", linear.outputs, inner)
        absorbed = graph.op("queries, absorbed", heads * rank, inner)
        turned = graph.op("queries, rotated", heads * rotated, inner, *self.positions)
        queries = graph.op("queries", heads * (rank + rotated), absorbed, turned)
        down = graph.op("latent and key", rank + rotated, normed)
        latent = graph.op("latent", rank, down)
        key = graph.op("key", rotated, down, *self.positions)
        graph.read(graph.op("latent and key", rank + rotated, latent, key), *seen.places[:1])
        copied = self._copied("latents, copied in", self.lent.cache)
        if batch.flash:
            sources = (queries, graph.half(seen.mask), *copied, *self._unpacked(seen))
            mixed = graph.op("attended latents", heads * rank, *sources)
        else:
            graph.moment = SCORES
            values = graph.op("latents, transposed", rank * seen.cells, size=F16, rows=batch.sequences)
            name = f"scores ({heads} heads × {seen.cells:,} cells)"
            scores = graph.op(name, seen.cells * heads, queries, *copied)
            graph.read(seen.mask)
            mixed = graph.op("attended latents", heads * rank, values, scores)
        width = heads * attention.value_dim
        by_head = graph.op("attended", width, mixed)
        graph.moment = ATTENTION
        return graph.op("attention output", attention.output.outputs, graph.op("attended", width, by_head))

    def _indexed(self, normed: Tensor, seen: Seen) -> Seen:
        """What the tokens see that an indexer chose: its scores, and masks made of them."""
        graph, mask = self.graph, seen.mask
        scores = graph.op("scores of the indexer", seen.cells, normed, *seen.buckets)
        chosen = graph.op("mask of the chosen", seen.cells, mask, size=mask.size)
        graph.read(scores)
        return replace(seen, mask=graph.op("mask of the chosen", seen.cells, chosen, mask, size=mask.size))

    def _feed_forward(self, block: FeedForward | Experts, inner: Tensor) -> Tensor:
        self.graph.moment = FEED_FORWARD
        return self._experts(block, inner) if isinstance(block, Experts) else self._dense(block, inner)

    def _dense(self, block: FeedForward, inner: Tensor) -> Tensor:
        graph = self.graph
        made = [
            graph.op("gate and up", linear.outputs, inner, *self._weight(linear)) for linear in block.inputs
        ]
        if block.gated:
            made = [self._activated(block.width, *made)]
        return graph.op("feed-forward output", block.output.outputs, *made, *self._weight(block.output))

    def _weight(self, linear: Linear) -> tuple[Tensor, ...]:
        """A matrix that is copied in, if the host holds it."""
        return self._copied("weights, copied in", int(self.lent.each * linear.inputs * linear.outputs))

    def _experts(self, block: Experts, normed: Tensor) -> Tensor:
        graph, chosen, expert = self.graph, block.top_k, block.expert
        graph.moment, inner = EXPERTS, normed
        scores = graph.op("router", block.count, inner)
        ranked = graph.op("router", block.count, scores) if block.correction_bias else scores
        order = graph.op("experts by rank", block.count, ranked)
        weights = graph.op("weights of experts", chosen, scores, order)
        if self.lent.away:
            out = graph.op("hidden state", inner.width, weights)
            return out if block.shared is None else self._sum(out, self._dense(block.shared, normed))
        if block.every:  # Llama 4 weights what enters its experts
            inner = graph.op("inputs of experts", chosen * inner.width, inner, weights)
        made = self._inside_experts(expert, chosen, (inner, order), self._experts_first(expert))
        width = chosen * expert.output.outputs
        each = graph.op("outputs of experts", width, *made, order, *self._experts_copied(down=True))
        if not block.every:
            graph.read(weights)
        out = graph.op("outputs of experts, summed", expert.output.outputs, each)
        return out if block.shared is None else self._sum(out, self._dense(block.shared, normed))

    def experts_of_another(self, block: Experts, width: int) -> None:
        """The experts of a layer that is on another card and whose weights the host holds."""
        graph, chosen, expert = self.graph, block.top_k, block.expert
        graph.moment = EXPERTS
        first = self._experts_first(expert)  # a part of the graph begins with what is copied for it
        inner, order = graph.op("normed", width), graph.op("experts by rank", block.count)
        made = self._inside_experts(expert, chosen, (inner, order), first)
        copied, hidden = self._experts_copied(down=True), graph.op("hidden state", width)
        each = graph.op("outputs of experts", chosen * expert.output.outputs, *made, order, *copied)
        out = graph.op("outputs of experts, summed", expert.output.outputs, each)
        graph.read(out, hidden)

    def _experts_first(self, expert: FeedForward) -> tuple[Tensor, ...]:
        """The matrices that the first operation of the experts reads: both where it is a fused one."""
        return sum((self._experts_copied() for _ in range(2 if self._fuses(expert) else 1)), ())

    def _fuses(self, expert: FeedForward) -> bool:
        return expert.gated and self.batch.fork is not None and self.batch.fork.fused_experts

    def _inside_experts(
        self, expert: FeedForward, chosen: int, sources: tuple[Tensor, ...], first: tuple[Tensor, ...]
    ) -> tuple[Tensor, ...]:
        """What the chosen experts compute before their output."""
        graph, width, name = self.graph, chosen * expert.width, "gate and up of experts"
        if self._fuses(expert):
            return (graph.op("activated", width, *sources, *first),)
        gate = graph.op(name, width, *sources, *first)
        if not expert.gated:
            return (gate,)
        up = graph.op(name, width, *sources, *self._experts_copied())
        return (self._activated(width, gate, up),)

    def _activated(self, width: int, gate: Tensor, *up: Tensor) -> Tensor:
        """The gate's activation times the other: an operation since the middle of 2025, in place before."""
        if self.batch.gates_in_place and up:
            return self._sum(gate, *up)
        return self.graph.op("activated", width, gate, *up)

    def _experts_copied(self, *, down: bool = False) -> tuple[Tensor, ...]:
        return self._copied("weights of experts, copied in", self.lent.experts[down])

    def _recurrent(self, mixer: Recurrent, normed: Tensor) -> Tensor:
        """A convolution over the tokens, the scan that reads the states, and the gate of what it gives."""
        graph = self.graph
        graph.moment = RECURRENCE
        made = [graph.op("recurrent inputs", linear.outputs, normed) for linear in mixer.inputs]
        width, channels = mixer.output.inputs, convolved(mixer)
        source = made
        if channels:
            joined = graph.op("joined for the convolution", channels, *made)
            source = [graph.op("convolved", channels, joined)]
        inner = [graph.op("steps", linear.outputs, *source) for linear in mixer.inner]
        if mixer.state:
            source = [graph.op("states and what they give", width + self._states(mixer), *source, *inner)]
        gate = graph.op("gate", width, *made)
        if mixer.kind == SKIPPING:
            source = [graph.op("added to what was read out", width, *source)]
        gated = graph.op("gated", width, gate, *source)
        return graph.op("recurrent output", mixer.output.outputs, gated)

    def _states(self, mixer: Recurrent) -> int:
        """The new states of all sequences, as elements a token."""
        return -(-mixer.state * self.batch.sequences // self.batch.tokens)


def biased(attention: Attention) -> bool:
    """Whether a learned bias by distance is added to the scores."""
    return attention.position_bias or attention.relative_bias is not None


def convolved(mixer: Recurrent) -> int:
    """The channels of a recurrent layer's convolution; 0 where it has none."""
    kernels = [
        each.shape for each in mixer.parameters if isinstance(each, Parameter) and len(each.shape) == KERNEL
    ]
    return max((shape[0] for shape in kernels), default=0)
