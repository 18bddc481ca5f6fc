"""llama.cpp's compute buffers: what the graph of the largest batch takes on each device and on the host.

The engine reserves it when a context is made: for a prompt's physical batch over a full cache, with logits
for every token. Layers of a kind take turns in the same places, so one of each kind and the last are walked.
Source: ggml-org/llama.cpp v0.5.0, src/llama-context.cpp (sched_reserve) and ggml/src/ggml-backend.cpp.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from llmplanner.core.blocks import CacheFormat
from llmplanner.core.engine import LlamaCpp
from llmplanner.core.formats import Format
from llmplanner.core.model import Attention, Experts, Kind, LatentAttention, Layer, Model
from llmplanner.core.serving.llamacpp import cache
from llmplanner.core.serving.llamacpp.allocator import Graph, Tensor, laid_out
from llmplanner.core.serving.llamacpp.batch import F16, F32, HELD, I64, SCORES, Batch, Fork, Lent, Seen
from llmplanner.core.serving.llamacpp.buffer import ALONE, EMPTY, SHARED, UNLIKE, Buffer, Sureness, told
from llmplanner.core.serving.llamacpp.cells import Cells
from llmplanner.core.serving.llamacpp.graph import Walk, biased
from llmplanner.core.serving.llamacpp.placement import HOST, Placement
from llmplanner.core.serving.llamacpp.weights import Stored

ALIGNED_CPU, ALIGNED_CUDA = 32, 128  # bytes, TENSOR_ALIGNMENT and the CUDA buffers' own
COPIES = 4  # GGML_SCHED_MAX_COPIES, of what goes from card to card while the next batch is computed
TURNED = 64  # a quantized cache is turned by a Hadamard matrix where heads are multiples of this
EMBEDDING = "token embedding"
RESIDUAL_FIRST = frozenset({"jamba", "phi3", "phimoe"})  # residual + branch; others add the other way round
LATE_OUTPUTS = frozenset(  # whose hidden states feed layers that predict further tokens
    {"bailing_moe_v3", "cohere2_moe", "gemma4_text", "gpt_oss", "hy_v3", "nemotron_h", "qwen3_next"}
    | {"qwen3_5_text", "qwen3_5_moe_text", "step3p5"}
)


@dataclass(frozen=True)
class Runs:
    """What decides on the graphs of a context, for all of its devices.

    Without slots, so that what follows from it is worked out once.
    """

    model: Model
    sizes: Cells
    engine: LlamaCpp
    keys: CacheFormat
    values: CacheFormat
    expanded: bool = False  # latent attention as in older files
    older: bool = False  # a build from the first half of 2025 or before
    fork: Fork | None = None  # ik_llama.cpp
    by_name: frozenset[int] | None = None  # layers whose experts -ot puts on the host; None: --n-cpu-moe's

    @cached_property
    def bare(self) -> frozenset[int]:
        """The layers whose experts lie on the host."""
        return frozenset(range(self.engine.cpu_experts)) if self.by_name is None else self.by_name

    @property
    def repacked(self) -> bool:
        """Whether the host computes the experts that it holds."""
        return self.fork is not None and self.fork.repacked

    @cached_property
    def kept(self) -> tuple[cache.Keeps, ...]:
        """What the layers' caches keep, by kind."""
        flash = self.engine.flash_attention
        return cache.kept(self.model, transposed=not flash, expanded=self.expanded)

    @cached_property
    def layers(self) -> dict[int, Layer]:
        """The layers of the last stack by index; of two that share a place, the one that attends."""
        found: dict[int, Layer] = {}
        for group in self.model.stacks[-1].groups:
            for index in group.indices:
                if index not in found or group.layer.attention is not None:
                    found[index] = group.layer
        return found

    @cached_property
    def attentions(self) -> tuple[Attention | LatentAttention, ...]:
        """Of each kind of layer that has one."""
        layers = [group.layer for group in self.model.stacks[-1].groups]
        return tuple(layer.attention for layer in layers if layer.attention is not None)

    @cached_property
    def windows(self) -> dict[int, int | None]:
        """The window of each layer's cache, or of an encoder's layer, which has a mask of its own too."""
        if self.model.kind is Kind.ENCODER:
            attentions = {index: layer.attention for index, layer in self.layers.items()}
            return {index: one.window for index, one in attentions.items() if one is not None}
        return {layer: one.window for one in self.kept for layer in one.layers}

    @cached_property
    def apart(self) -> bool:
        """Whether scores are computed on the host: it keeps the caches, and there is no flash attention.

        Latent attention is not: the matrix that its values go through next is on the card.
        """
        if self.engine.kv_offload or self.engine.flash_attention:
            return False
        return not any(isinstance(one, LatentAttention) for one in self.attentions)


def on_cpu(runs: Runs) -> Buffer:
    """The buffer of a build without GPUs."""
    graph = Graph(_tokens(runs))
    if not runs.older:
        graph.input("embeddings given instead of tokens", runs.model.hidden_size, F32, kept=True)
    walk = Walk(_batch(runs), graph)
    walk.positions = (graph.input("positions", 1, F32),)
    views = _views(runs, graph, first=True, copies=1)
    walk.chosen = (graph.input("outputs to choose", 1, F32),)
    graph.moment = EMBEDDING
    hidden = graph.op("hidden state", runs.model.hidden_size)
    layers = runs.layers
    _through(runs, walk, views, hidden, [(index, HELD) for index in _chosen(runs, layers)], head=True)
    return told(laid_out(graph, ALIGNED_CPU), _sureness(runs.model))


def on_device(runs: Runs, held: Stored, where: Placement, device: int, *, cards: int) -> Buffer:
    """The buffer of one of so many cards; before the summer of 2026 it unpacked no quantized cache."""
    found = _on_device(runs, held, where, device, cards=cards)
    if runs.older or isinstance(runs.keys, Format):
        return found
    before = _on_device(replace(runs, older=True), held, where, device, cards=cards)
    return replace(found, low=min(found.low, before.low))


def _on_device(runs: Runs, held: Stored, where: Placement, device: int, *, cards: int) -> Buffer:
    """The buffer as one build has it.

    The first also computes what the host holds: its weights and caches are copied in, a matrix at a time, as
    batches of 32 tokens and more are (GGML_OP_OFFLOAD_MIN_BATCH).
    """
    layers = list(_lent(runs, held, where, device))
    head = where.output == device or (where.output == HOST and device == 0)
    if not layers and not head:
        return EMPTY
    copies = copies_of(runs, where, cards)
    graph = Graph(_tokens(runs))
    walk = Walk(_batch(runs, on_gpu=True), graph)
    hidden = graph.input("hidden state", runs.model.hidden_size, F32, kept=copies > 1)
    for _ in range(copies - 1):
        graph.input("hidden states of other batches", runs.model.hidden_size, F32, kept=True)
    walk.positions = (graph.input("positions", 1, F32, kept=copies > 1),)
    views = {} if runs.apart else _views(runs, graph, first=device == 0, copies=copies)
    if head:
        walk.chosen = (graph.input("outputs to choose", 1, F32, kept=copies > 1),)
    walk.output_copied = held.output + held.tokens * held.tied if where.output == HOST else 0
    if device == 0 and not runs.repacked:
        _experts_of_others(runs, walk, held, where)
    _through(runs, walk, views, hidden, layers, head=head)
    shared = copies > 1 or any(lent != HELD for _, lent in layers)
    return told(laid_out(graph, ALIGNED_CUDA), _sureness(runs.model, shared=shared))


def beside_devices(runs: Runs, where: Placement, cards: int) -> Buffer:
    """The buffer on the host of a build with GPUs; before the summer of 2026 its masks were in FP32."""
    found = _beside_devices(runs, where, cards)
    if runs.older:
        return found
    before = _beside_devices(replace(runs, older=True), where, cards)
    return replace(found, low=min(found.low, before.low), high=max(found.high, before.high))


def _beside_devices(runs: Runs, where: Placement, cards: int) -> Buffer:
    """The inputs of the graph, and the tokens' embeddings."""
    graph = Graph(_tokens(runs))
    copies = copies_of(runs, where, cards)
    for _ in range(copies):
        if not runs.older:
            graph.input("embeddings given instead of tokens", runs.model.hidden_size, F32, kept=True)
        views = _views(runs, graph, first=True, copies=1)
    graph.moment = EMBEDDING
    graph.read(graph.op("hidden state", runs.model.hidden_size))
    if HOST in where.layers or not runs.engine.kv_offload:
        for group in runs.model.stacks[-1].groups:
            attention = group.layer.attention
            if attention is None:
                continue
            _stored_here(graph, attention)
            if runs.apart and isinstance(attention, Attention):
                _attended_here(graph, attention, views[runs.windows.get(group.indices[0])])
    return told(laid_out(graph, ALIGNED_CPU), ALONE)


def _stored_here(graph: Graph, attention: Attention | LatentAttention) -> None:
    """Keys and values that a card made and that go into a cache on the host."""
    if isinstance(attention, LatentAttention):
        widths: tuple[int, ...] = (attention.kv_rank + attention.rope_dim,)
    elif len(attention.inputs) == 1:
        widths = (attention.kv_heads * attention.key_dim, attention.inputs[0].outputs)
    else:
        widths = (attention.kv_heads * attention.key_dim, attention.kv_heads * attention.value_dim)
    graph.read(*[graph.op("keys and values for the cache", width) for width in widths])


def _attended_here(graph: Graph, attention: Attention, seen: Seen) -> None:
    """Scores that the host computes for the cards."""
    width = attention.heads * attention.value_dim
    graph.moment = SCORES
    scores = graph.op(
        "scores", attention.heads * seen.cells, graph.op("queries", attention.heads * attention.key_dim)
    )
    graph.read(seen.mask)
    graph.read(graph.op("attended", width, graph.op("attended", width, scores)))


def copies_of(runs: Runs, where: Placement, cards: int) -> int:
    """How many batches' inputs the cards hold: several where they work on batches in turn."""
    overlapping = cards > 1 and where.whole and not runs.bare and runs.engine.kv_offload
    return COPIES if overlapping else 1


def _batch(runs: Runs, *, on_gpu: bool = False) -> Batch:
    model, flash = runs.model, runs.engine.flash_attention
    return Batch(
        _tokens(runs),
        int(runs.sizes.sequences),
        flash,
        windows=model.kind is Kind.ENCODER or any(runs.windows.values()),
        keys_rotated=_turns(runs, runs.keys),
        values_rotated=_turns(runs, runs.values),
        residual_first=model.model_type in RESIDUAL_FIRST,
        cached=model.kind is not Kind.ENCODER,
        unpacked=on_gpu and not runs.older and not isinstance(runs.keys, Format),
        indexed=model.model_type in cache.INDEXED,
        expanded=runs.expanded,
        keys=runs.keys,
        gates_in_place=runs.older and runs.fork is None,
        fork=runs.fork,
    )


def _views(runs: Runs, graph: Graph, *, first: bool, copies: int) -> dict[int | None, Seen]:
    """What layers attend to, by window: masks, and without flash attention the cells that values go to.

    Builds from before 2026 take masks in FP32 and cast them on the first device, where they are first read.
    """
    flash, kept = runs.engine.flash_attention, copies > 1
    kinds = runs.kept
    each = not flash and not runs.older  # element of a value goes to a cell of its own
    widest = max((one.values for one in kinds), default=1) if each else 1
    size = F16 if flash and not (runs.older and first) else F32
    found: dict[int | None, Seen] = {}
    for window in dict.fromkeys(runs.windows.values()):
        cells = _cells(runs, window)
        places: tuple[Tensor, ...] = ()
        if runs.model.kind is not Kind.ENCODER:
            places = tuple(graph.input("cells to write", size, I64, kept=kept) for size in (1, widest))
        mask = graph.input("mask", cells, size, kept=kept)
        for _ in range(copies - 1):
            graph.input("masks of other batches", cells, size, kept=True)
        width = max(one.keys + one.values for one in kinds if one.window == window) if kinds else 0
        buckets: tuple[Tensor, ...] = ()
        if runs.model.model_type in cache.INDEXED:
            buckets = (graph.input("mask of the indexer", cells, size, kept=kept),)
        elif any(isinstance(one, Attention) and biased(one) for one in runs.attentions):
            buckets = (graph.input("distances", cells, F32, kept=kept),)
        found[window] = Seen(cells, mask, places, width, int(runs.sizes.streams), buckets)
    return found


def _through(  # noqa: PLR0913 - all of a walk
    runs: Runs,
    walk: Walk,
    views: dict[int | None, Seen],
    hidden: Tensor,
    layers: Iterable[tuple[int, Lent]],
    *,
    head: bool,
) -> None:
    """The layers of a device, and the head if it is there."""
    found, windows = runs.layers, runs.windows
    late = runs.model.model_type in LATE_OUTPUTS
    for index, lent in layers:
        walk.lent = lent
        view = views.get(windows.get(index)) or Seen(0, hidden)
        last = index == len(found) - 1
        hidden = walk.layer(found[index], hidden, view, last=last and not late)
    if head:
        walk.head(runs.model, hidden, late=late)


def _chosen(runs: Runs, indices: Iterable[int]) -> list[int]:
    """One layer of each kind, and the model's last: all of a kind take turns in the same places."""
    found, windows = runs.layers, runs.windows
    kinds: dict[tuple[int, int | None], int] = {}
    for index in sorted(indices):
        kinds.setdefault((id(found[index]), windows.get(index)), index)
        if index == len(found) - 1:
            kinds[index, None] = index  # no layer's identity is so small
    return sorted(set(kinds.values()))


def _lent(runs: Runs, held: Stored, where: Placement, device: int) -> Iterator[tuple[int, Lent]]:
    """The layers that a card computes, and what of them the host holds; the first computes the host's too."""
    found = runs.layers
    if device == 0:
        for index in _chosen(runs, where.on(HOST)):
            kept = 0 if runs.apart else _cache(runs, index)
            alike = [layer for layer in where.on(HOST) if found[layer] is found[index]]
            each = max(held.layers[layer] for layer in alike) / max(_weights(found[index]), 1)
            experts = _matrices_of_experts(runs, held, alike)
            yield index, Lent(each, experts, kept, apart=runs.apart)
    own = where.on(device)
    bare = [layer for layer in own if layer in runs.bare]
    whole = [layer for layer in own if layer not in runs.bare]
    for index in sorted({*_chosen(runs, bare), *_chosen(runs, whole)}):
        kept = 0 if runs.engine.kv_offload or runs.apart else _cache(runs, index)
        alike = [layer for layer in bare if found[layer] is found[index]] if index in runs.bare else []
        size = _matrices_of_experts(runs, held, alike)
        away = bool(any(size) and (device or runs.repacked))
        yield index, Lent(0, (0, 0) if away else size, kept, away, runs.apart)


def _experts_of_others(runs: Runs, walk: Walk, held: Stored, where: Placement) -> None:
    """What the first card computes of layers on others: experts that the host holds, the largest of them."""
    found = runs.layers
    lent = [layer for layer, card in enumerate(where.layers) if card > 0 and layer in runs.bare]
    largest = max(lent, key=held.experts.__getitem__, default=None)
    block = found[largest].feed_forward if largest is not None else None
    if largest is not None and isinstance(block, Experts):
        walk.lent = Lent(experts=_matrices_of_experts(runs, held, lent))
        walk.experts_of_another(block, runs.model.hidden_size)


def _matrices_of_experts(runs: Runs, held: Stored, layers: Iterable[int]) -> tuple[int, int]:
    """Bytes of one matrix of all of a layer's experts, of the largest layer: the gates', the outputs'."""
    first, last = [0], [0]
    for layer in layers:
        block = runs.layers[layer].feed_forward
        if isinstance(block, Experts):
            others = 2 if block.expert.gated else 1
            last.append(held.experts_down[layer] or held.experts[layer] // (others + 1))
            first.append((held.experts[layer] - last[-1]) // others)
    return max(first), max(last)


def _cache(runs: Runs, layer: int) -> int:
    """Keys and values of a layer, all sequences."""
    for one in runs.kept:
        if layer in one.layers:
            cells = _cells(runs, one.window) * int(runs.sizes.streams)
            return cells * int(runs.keys.bytes_for(one.keys) + runs.values.bytes_for(one.values))
    return 0


def _weights(layer: Layer) -> int:
    """Weights of a layer's larger matrices, its experts' left out."""
    linears = []
    match layer.attention:
        case Attention() as attention:
            linears += [*attention.inputs, attention.output]
        case LatentAttention() as attention:
            linears += [*attention.query, attention.kv_down, attention.kv_up, attention.output]
    block = layer.feed_forward.shared if isinstance(layer.feed_forward, Experts) else layer.feed_forward
    if block is not None:
        linears += [*block.inputs, block.output]
    return sum(linear.inputs * linear.outputs for linear in linears)


def _cells(runs: Runs, window: int | None) -> int:
    """Cells of a stream that a layer attends to; an encoder attends to the batch."""
    if runs.model.kind is Kind.ENCODER:
        return _tokens(runs)
    return int(runs.sizes.each if window is None else runs.sizes.sliding(window))


def _tokens(runs: Runs) -> int:
    """Tokens of a physical batch, the same of each sequence."""
    sequences = int(runs.sizes.sequences)
    return -(-int(runs.sizes.ubatch) // sequences) * sequences


def _turns(runs: Runs, form: CacheFormat) -> bool:
    """Whether keys or values are turned before they are stored in that format."""
    if runs.older or isinstance(form, Format):
        return False
    return any(isinstance(one, Attention) and one.key_dim % TURNED == 0 for one in runs.attentions)


def _sureness(model: Model, *, shared: bool = False) -> Sureness:
    """What recurs, attends to an encoder or has an indexer or parts of its own is walked more roughly."""
    rough = model.recurs or model.kind is Kind.ENCODER_DECODER or model.model_type in cache.INDEXED
    if rough or any(group.layer.extras for group in model.stacks[-1].groups):
        return UNLIKE
    return SHARED if shared else ALONE
