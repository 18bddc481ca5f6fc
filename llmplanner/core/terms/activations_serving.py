"""Memory of the tensors that a forward pass without gradients holds at its fullest moment.

The pieces of a layer are walked as Transformers 5.23 runs them; at each, the tensors that its code still
refers to are added up. Held against measurements of that code: tests/data/serving_activations.csv.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from llmplanner.core.estimate import Bytes, Part, Term, exact, largest, smallest
from llmplanner.core.measured import CHUNK, serving, written_out
from llmplanner.core.model import (
    Activation,
    Attention,
    Experts,
    FeedForward,
    LatentAttention,
    Layer,
    Model,
    Norm,
    NormKind,
    Recurrent,
    Stack,
)
from llmplanner.core.plan import Count
from llmplanner.core.terms.kv_cache import counted, said, width
from llmplanner.core.terms.scans_serving import held

FP32_BYTES = 4
BUCKET_BYTES = 49  # T5's distances of each pair: six tensors of INT64 and one of bool (compute_bias)
WRITTEN_OUT = {Activation.GELU_NEW: 4, Activation.GELU_BLOOM: 5}  # tensors held, its input with them
PADDED = "A padded batch repeats keys and values for every head: up to the upper bound."
SOURCE = "Live tensors of Transformers 5.23, walked piece by piece"
MEASURED = (
    "882 runs of 90 models with SDPA: median error 0.0 %, 95th percentile 1.5 %, worst 5.7 %; 130 with eager "
    "attention: median 0.3 %, worst 12.5 %; 100 with a static cache: median 0.1 %"
)


@dataclass(frozen=True, slots=True)
class Pass:
    """One forward pass: new tokens of `batch` sequences, and the tokens that they attend to."""

    new: Count  # per sequence
    seen: Count  # per sequence, the new ones included
    batch: Count
    operand: int  # bytes of a matrix product's operands
    encoder: Count = 0  # per sequence: tokens of the encoder's output, kept for the decoder
    growing: bool = True  # the cache grows by copying: one layer's old and new keys exist together
    cached: bool = True  # keys and values are kept, and counted as the cache
    eager: bool = False  # no fused attention
    scores_fp32: bool = False
    rotary_fp32: bool = False
    kernels: bool = False  # fused, for recurrent layers

    @property
    def single(self) -> bool:
        """Whether one token of a sequence is answered."""
        return isinstance(self.new, int) and self.new == 1


@dataclass(frozen=True, slots=True)
class Live:
    """What is held at one piece of a layer beside the stream, in bytes for each of what it grows with."""

    piece: str
    token: int  # of the new tokens of all sequences
    seen: int = 0  # of the tokens attended to, of all sequences
    pair: int = 0  # of a new token with a token attended to, of all sequences
    shared_pair: int = 0  # the same, once for all sequences
    old: int = 0  # of the tokens attended to before this pass
    window: int | None = None  # tokens attended to at most, once they are cached
    mask: int = 0  # as `pair`, where the window does not hold all tokens
    repeat: int = 0  # as `seen`, where such a mask stands beside several new tokens
    sequence: int = 0  # of the sequences
    padded: int = 0  # of the new tokens in whole chunks, of all sequences
    chunk: int = 0  # of those chunks
    size: int = 1  # tokens of a chunk

    def part(self, run: Pass) -> Part:
        """Its bytes in a pass."""
        seen = run.seen if self.window is None else largest(run.new, smallest(run.seen, self.window))
        chunks = (run.new + self.size - 1) // self.size
        masked = self.window is not None and run.seen >= self.window
        counts = (
            (self.token, run.batch * run.new, "tokens"),
            (self.seen, run.batch * seen, "tokens attended to"),
            (self.old, run.batch * (seen - run.new), "cached tokens"),
            (self.pair, run.batch * run.new * seen, "pairs"),
            (self.shared_pair, run.new * seen, "pairs"),
            (self.mask, masked * (run.batch * run.new * seen), "masked pairs"),
            (self.repeat, masked * (run.new > 1) * (run.batch * seen), "repeated tokens"),
            (self.sequence, run.batch, "sequences"),
            (self.padded, run.batch * (chunks * self.size), "tokens in whole chunks"),
            (self.chunk, run.batch * chunks, "chunks"),
        )
        told = [(size, count, name) for size, count, name in counts if size and not _nothing(count)]
        words = " + ".join(f"{counted(count, name)} × {size:,} B" for size, count, name in told)
        amount: Bytes = sum((count * size for size, count, _ in told), start=0)
        return Part(self.piece, amount, f"{words or '0 B'} ({self.piece})")


def _nothing(count: Count) -> bool:
    return isinstance(count, int) and count == 0


def activations(model: Model, stack: Stack, run: Pass) -> Term:
    """The fullest moment of one stack's layers in a pass. An estimate: see the module."""
    classes = {
        "eager": model.eager or run.eager,
        "scores_fp32": model.scores_fp32,
        "rotary_fp32": model.rotary_fp32,
    }
    run = replace(run, **classes)
    lives = chain.from_iterable(walk(group.layer, model.hidden_size, run) for group in stack.groups)
    parts = [_stream(model, stack, run), _fullest([live.part(run) for live in dict.fromkeys(lives)])]
    parts += [part for part in _beside(model, stack, run) if not _nothing(part.bytes)]
    total: Bytes = sum((part.bytes for part in parts), start=0)
    written = not run.kernels and not run.single and model.recurs
    known = serving(model, eager=run.eager and not model.eager, written=written)
    return Term(
        "activations",
        total,
        total * known.low // 100,
        total * known.high // 100 + _repeated(stack, run) + _without_kernels(stack, run),
        " + ".join(part.formula for part in parts),
        SOURCE,
        known.note or PADDED,
        tuple(parts),
        MEASURED if known.measured else "",
        "--attention sdpa, --batch or --set prompt=N" + (", --set kernels=on" if written else ""),
    )


def head_input(model: Model, run: Pass) -> Term:
    """What is left of the activations when the logits are made: the last hidden states, the encoder's too.

    The head of a masked language model transforms them first, through two tensors of their size.
    """
    tensors = 1 if model.head.transform is None else 3
    size = model.hidden_size * run.operand
    states = run.new * tensors + run.encoder
    return exact(
        "activations",
        run.batch * (states * size),
        f"{said(run.batch)} × {said(states)} hidden states × {size:,} B",
        "Transformers 5.23: the layers' tensors are gone when the head runs",
        note="At the head; the layers need less.",
    )


def _stream(model: Model, stack: Stack, run: Pass) -> Part:
    """The embeddings, which stay referred to until the stack ends, and the layer's input."""
    tokens, positions = run.batch * run.new, len(model.embeddings) // len(model.stacks)
    tensors = 2 if model.embedding_norm is not None else 2 + positions
    size = tensors * model.hidden_size
    amount, words = tokens * (run.operand * size), f"{counted(tokens, 'tokens')} × {size:,} × {run.operand} B"
    rotary = max((_rotary(group.layer.attention) for group in stack.groups), default=0)
    if rotary:  # cosines and sines, once for all sequences
        amount = amount + run.new * (2 * run.operand * rotary)
        words += f" + {counted(run.new, 'positions')} × {2 * rotary} × {run.operand} B"
    return Part("residual stream", amount, words)


def _rotary(attention: Attention | LatentAttention | None) -> int:
    if attention is None:
        return 0
    return attention.rope_dim if isinstance(attention, LatentAttention) else attention.rotary_dim


def _fullest(pieces: Sequence[Part]) -> Part:
    """The largest of the pieces; of a map, the largest in each of its plans."""
    if not pieces:
        return Part("no layer", 0, "0 B")
    if all(isinstance(part.bytes, int) for part in pieces):
        return max(pieces, key=lambda part: part.bytes)
    return Part("fullest piece", largest(*(part.bytes for part in pieces)), "(a map of the fullest piece)")


def walk(layer: Layer, hidden: int, run: Pass) -> Iterator[Live]:
    """The pieces of a layer and what each holds beside the stream."""
    operand, attention, block = run.operand, layer.attention, layer.feed_forward
    read = 0 if layer.post_norm or layer.attention_norm is None else operand * hidden  # a norm's output
    kept = operand * hidden  # the attention's output or its sum with the residual
    for norm in (layer.attention_norm, layer.feed_forward_norm):
        if norm is not None:
            yield Live("norm", _norm(norm, operand, norm.width))
    if isinstance(attention, LatentAttention):
        yield from _latent(attention, run, read)
    elif attention is not None:
        yield from _attention(attention, run, read)
        if run.cached and not attention.shares_cache:
            yield _growing(attention, operand, read) if run.growing else _rolled(attention, run, read)
    if layer.recurrent is not None:
        yield _recurrent(layer.recurrent, run, read)
    if isinstance(block, Experts):
        yield from _experts(block, hidden, operand, read + kept)
        return
    if block is None:
        return
    inline = "." not in block.inputs[0].name  # no module of its own refers to its input
    held = kept + (0 if inline else read)
    yield _scored(attention, operand, Live("feed-forward", held + _feed_forward(block, operand)))


def _norm(norm: Norm, operand: int, elements: int) -> int:
    """A norm in FP32 holds its FP32 input and one intermediate beside it; Gemma's a third."""
    if norm.kind is NormKind.LAYER:
        return operand * elements
    copies = 3 if norm.kind is NormKind.RMS_PLUS_ONE else 2
    return FP32_BYTES * copies * elements


def _attention(attention: Attention, run: Pass, read: int) -> Iterator[Live]:
    """Queries, keys, values and output; while rotating, three more of the queries.

    Keys and values that are cached count as the cache, unless a fused matrix's output keeps them.
    """
    operand, heads = run.operand, attention.heads
    queries, output = heads * attention.key_dim, heads * attention.value_dim
    keys = width(attention)
    own = keys if not run.cached or len(attention.inputs) == 1 else 0
    fused = queries if len(attention.inputs) == 1 and attention.rotary_dim else 0
    token = operand * (queries + own + fused + (3 * queries if attention.rotary_dim else output))
    if run.rotary_fp32:  # queries, keys and values; two of them again, and three more of the queries
        wide = 4 * queries + attention.kv_heads * attention.key_dim
        yield Live("rotation", read + operand * (queries + keys) + FP32_BYTES * wide)
    if attention.query_norm is not None:
        token = max(token, operand * queries + _norm(attention.query_norm, operand, queries))
    copied = operand * heads * (attention.key_dim + attention.value_dim)
    repeated = copied if 1 < attention.kv_heads < heads else 0
    if attention.kv_heads == 1 < heads:  # expanded, and copied for one product at a time in a batch
        several = not isinstance(run.batch, int) or run.batch > 1
        repeated = several * operand * heads * max(attention.key_dim, attention.value_dim)
    if attention.output_gate:
        token += operand * output
    if _written_out(attention, run):
        yield _scores(attention, run, read + operand * (2 * queries + own), repeated)
        return
    bias = heads * 2 * operand if attention.position_bias else 0
    yield Live(
        "attention",
        read + token,
        shared_pair=bias,
        window=attention.window,
        mask=operand,
        repeat=repeated,
    )
    if attention.position_bias:
        yield Live("distances", operand * (queries + keys), shared_pair=BUCKET_BYTES)


def _scores(attention: Attention, run: Pass, token: int, repeated: int) -> Live:
    """Scores written out, where queries and keys may be taken in FP32 first."""
    heads, wide = attention.heads, FP32_BYTES if run.scores_fp32 else 0
    return Live(
        "scores",
        token + wide * heads * attention.key_dim,
        repeated + wide * heads * attention.key_dim,
        heads * _score(attention, run.operand),
        window=attention.window,
    )


def _written_out(attention: Attention, run: Pass) -> bool:
    """Whether no fused kernel makes the scores."""
    return run.eager or attention.softcap or attention.alibi or attention.sinks is not None


def _score(attention: Attention, operand: int) -> int:
    """Bytes of a score where no fused kernel makes it: in 16 bits and, but for sinks, twice in FP32."""
    if attention.sinks is not None:
        return 3 * operand
    if not attention.softmax_fp32:
        return 2 * operand
    return (3 if attention.alibi else 1) * operand + 2 * FP32_BYTES


def _scored(attention: Attention | LatentAttention | None, operand: int, live: Live) -> Live:
    """What attention leaves behind while the feed-forward runs: BLOOM's scores, T5's bias."""
    if not isinstance(attention, Attention):
        return live
    scores = 2 * operand * attention.heads if attention.alibi else 0
    bias = operand * attention.heads if attention.position_bias else 0
    return Live(live.piece, live.token, pair=scores, shared_pair=bias)


def _growing(attention: Attention, operand: int, read: int) -> Live:
    """The cache grows by copying: one layer's old values and the new ones exist together.

    A sliding layer lets its old keys and values go when both are copied, any other each in its turn.
    """
    times = width(attention) // (attention.key_dim + attention.value_dim)  # heads that are kept
    keys, values = times * attention.key_dim, times * attention.value_dim
    old = max(keys, values) if attention.window is None else keys + values
    token = read + operand * (attention.heads * attention.key_dim + width(attention))
    held = 2 * operand * attention.heads if attention.alibi else 0  # the last layer's scores, ALiBi's slopes
    return Live("cache, copied", token, seen=held, old=operand * old, window=attention.window)


def _rolled(attention: Attention, run: Pass, read: int) -> Live:
    """A static cache is written in place; a window that is full moves on by a copy of one layer's."""
    full = attention.window is not None and (not isinstance(run.seen, int) or run.seen >= attention.window)
    return Live("window, moved on", read, old=full * run.operand * width(attention), window=attention.window)


def _latent(attention: LatentAttention, run: Pass, read: int) -> Iterator[Live]:
    """Queries twice (cut and joined), their rotated part, the output; the cached latent, expanded."""
    key, operand = attention.nope_dim + attention.rope_dim, run.operand
    queries = 2 * key + attention.rope_dim + attention.value_dim
    copied = run.eager and (not isinstance(run.batch, int) or run.batch > 1)  # values are a view, and b > 1
    expanded = attention.nope_dim + (1 + copied) * attention.value_dim + key
    heads = operand * attention.heads
    scores = attention.heads * (operand + 2 * FP32_BYTES) if run.eager else 0
    yield Live("keys and values, expanded", read + heads * queries, heads * expanded, scores)


def _recurrent(mixer: Recurrent, run: Pass, read: int) -> Live:
    """A mixer by a fused kernel: what its matrices make, the convolution's output and the scan's, a state.

    So, too, by PyTorch's own code for a single token.
    """
    operand, scan = run.operand, mixer.scan
    if scan is not None and not run.kernels and not run.single:
        found = held(mixer, scan, operand)
        return Live(
            "recurrence",
            read + found.token,
            sequence=found.sequence,
            padded=found.padded,
            chunk=found.chunk,
            size=scan.chunk,
        )
    made = sum(linear.outputs for linear in (*mixer.inputs, *mixer.inner))
    width = mixer.output.inputs
    token = read + operand * (made + 2 * width) + FP32_BYTES * width
    return Live("recurrence", token, sequence=FP32_BYTES * mixer.state)


def _without_kernels(stack: Stack, run: Pass) -> Bytes:
    """The most that PyTorch's own code for recurrence holds: a layer's tokens, and up to 6.3 states.

    Nothing where that code was walked.
    """
    chunks: Count = (run.new + CHUNK - 1) // CHUNK * CHUNK
    padded: Count = (run.new > 1) * (chunks - 1) + 1  # a single token is no chunk
    tokens: Count = run.batch * padded
    most: Bytes = 0
    for group in stack.groups:
        mixer = group.layer.recurrent
        walked = mixer is not None and mixer.scan is not None and not run.kernels and not run.single
        if mixer is not None and not walked:
            token = written_out(mixer)
            most = largest(most, FP32_BYTES * (tokens * token + run.batch * (7 * mixer.state)))
    return most


def _feed_forward(block: FeedForward, operand: int) -> int:
    """Gate, up and their product; an activation written out in Python holds four tensors, BLOOM's five."""
    tensors = 3 if block.gated else 2
    if block.gated and len(block.inputs) == 1:
        tensors = 4  # the fused matrix's output stays whole
    tensors = WRITTEN_OUT.get(block.activation, tensors)
    return operand * tensors * block.width


def _experts(experts: Experts, hidden: int, operand: int, held: int) -> Iterator[Live]:
    """Inputs gathered for each expert taken; gate and up in one matrix, activated, multiplied; outputs.

    The outputs are weighted, in FP32 where the router's weights are, and put back in order.
    """
    taken, router = operand * experts.run, FP32_BYTES * experts.count
    weighted = FP32_BYTES if experts.router_fp32 else operand
    outputs = experts.run * hidden * (2 * operand + 2 * weighted)
    if experts.shared_gate is not None:  # the shared expert runs first, its output waits for the gate's
        held += operand * hidden
    block = experts.expert
    tensors = 10 if block.output.bias else 4  # of an expert's width; biases are gathered token by token
    yield Live("experts", held + router + taken * (hidden + tensors * block.width))
    yield Live("experts' outputs", held + router + outputs)
    if experts.shared is not None:
        yield Live("shared experts", held + operand * hidden + _feed_forward(experts.shared, operand))


def _beside(model: Model, stack: Stack, run: Pass) -> Iterator[Part]:
    """What stands beside every layer: masks, the prompt of sliding layers, the encoder's output."""
    attentions = [
        (group.layer.attention, len(group.indices))
        for group in stack.groups
        if isinstance(group.layer.attention, Attention)
    ]
    first = attentions[0][0] if attentions else None
    if first is not None and _written_out(first, run):
        kinds = len({attention.window for attention, _ in attentions})
        pairs, size = run.batch * run.new * run.seen, kinds * run.operand
        yield Part("masks", pairs * size, f"{counted(pairs, 'pairs')} × {size} B (masks)")
    for window in {
        each.window
        for each, _ in attentions
        if each.window is not None and not each.softcap and not each.sinks
    }:
        pairs = (run.seen >= window) * (run.new * largest(run.new, smallest(run.seen, window)))
        yield Part("mask", pairs, f"{counted(pairs, 'pairs')} × 1 B (mask)")
    for attention, layers in attentions:
        if attention.window is None or not run.growing:
            continue
        left = run.batch * largest(run.new - attention.window + 1, 0 * run.new)
        size = layers * width(attention) * run.operand
        words = (
            f"{counted(left, 'tokens')} × {size:,} B (prompt outside the window, freed with the first answer)"
        )
        yield Part("prompt outside the window", left * size, words)
    kept, size = run.batch * run.encoder, model.hidden_size * run.operand
    yield Part("encoder's output", kept * size, f"{counted(kept, 'tokens')} × {size:,} B (encoder's output)")
    if first is not None and first.position_bias:  # T5 makes a bias of zeros for its cross-attention
        pairs, size = run.new * run.encoder, first.heads * run.operand
        yield Part(
            "cross-attention bias",
            pairs * size,
            f"{counted(pairs, 'pairs')} × {size} B (cross-attention bias)",
        )


def _repeated(stack: Stack, run: Pass) -> Bytes:
    """Keys and values repeated for every query head, which a padding mask asks for."""
    layers = (group.layer.attention for group in stack.groups)
    attention = next((each for each in layers if isinstance(each, Attention)), None)
    if attention is None or attention.kv_heads == attention.heads:
        return 0
    per_token = attention.heads * (attention.key_dim + attention.value_dim)
    return run.batch * run.seen * (run.operand * per_token)
