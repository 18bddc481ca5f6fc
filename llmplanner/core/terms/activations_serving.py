"""Memory of the tensors that a forward pass without gradients holds at its fullest moment.

The pieces of a layer are walked as Transformers 5.23 runs them; at each, the tensors that its code still
refers to are added up. It is a reading of that code, not a measurement.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from llmplanner.core.engine import Engine
from llmplanner.core.estimate import Bytes, Part, Term, largest
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
    Stack,
)
from llmplanner.core.plan import Count
from llmplanner.core.terms.kv_cache import said, width

FP32_BYTES = 4
LOW = (2, 3)  # two thirds: tensors that the allocator frees earlier than the code shows
HIGH = (3, 2)  # half as much again: rounding, fragments, masks


@dataclass(frozen=True, slots=True)
class Live:
    """What is held at one piece of a layer, beside the residual stream, per token and per pair of tokens."""

    piece: str
    per_token: int
    per_pair: int = 0  # scores that no fused kernel avoids: of each query with each key

    def part(self, tokens: Count, pairs: Count) -> Part:
        """For so many tokens, and so many pairs of a query and a key."""
        amount, words = (
            tokens * self.per_token,
            f"{said(tokens)} tokens × {self.per_token:,} B ({self.piece})",
        )
        if self.per_pair:
            amount = amount + pairs * self.per_pair
            words += f" + {said(pairs)} pairs × {self.per_pair} B (scores)"
        return Part(self.piece, amount, words)


@dataclass(frozen=True, slots=True)
class Pass:
    """One forward pass: new tokens of `batch` sequences, and the tokens that they attend to."""

    new: Count  # per sequence
    seen: Count  # per sequence, the new ones included
    batch: Count
    operand: int  # bytes of a matrix product's operands


def activations(model: Model, stack: Stack, engine: Engine, run: Pass) -> Term:
    """The fullest moment of one stack's layers in a pass. An estimate: see the module."""
    tokens, pairs = run.batch * run.new, run.batch * run.new * run.seen
    lives = [live for group in stack.groups for live in walk(group.layer, model.hidden_size, run.operand)]
    pieces = [live.part(tokens, pairs) for live in lives]
    copies = _cache_copies(stack, engine, run)
    parts = [_stream(model, run), _fullest([*pieces, copies]), *_position_bias(stack, run)]
    total: Bytes = sum((part.bytes for part in parts), start=0)
    without_copies = total - parts[1].bytes + _fullest(pieces).bytes
    return Term(
        "activations",
        total,
        without_copies * LOW[0] // LOW[1],
        total * HIGH[0] // HIGH[1] + _repeated(stack, run),
        " + ".join(part.formula for part in parts),
        "Live tensors of one layer, read from the code of Transformers 5.23 with SDPA",
        note="An estimate. A padded batch repeats keys and values for every head: up to the upper bound.",
        parts=tuple(parts),
    )


def _stream(model: Model, run: Pass) -> Part:
    """The residual and what the branch reads."""
    tokens, size = run.batch * run.new, 2 * model.hidden_size
    amount = tokens * (run.operand * size)
    return Part("residual stream", amount, f"{said(tokens)} tokens × {size:,} × {run.operand} B")


def _fullest(pieces: Sequence[Part]) -> Part:
    """The largest of the pieces; of a map, the largest in each of its plans."""
    if all(isinstance(part.bytes, int) for part in pieces):
        return max(pieces, key=lambda part: part.bytes)
    return Part("fullest piece", largest(*(part.bytes for part in pieces)), "(a map of the fullest piece)")


def walk(layer: Layer, hidden: int, operand: int) -> Iterator[Live]:
    """The pieces of a layer and what each holds."""
    for norm in (layer.attention_norm, layer.feed_forward_norm):
        if norm is not None:
            yield Live("norm", _norm(norm, operand))
    if isinstance(layer.attention, LatentAttention):
        yield _latent(layer.attention, operand)
    else:
        yield _attention(layer.attention, operand)
    block = layer.feed_forward
    if isinstance(block, Experts):
        yield _experts(block, hidden, operand)
        if block.shared is not None:
            yield Live("shared experts", operand * hidden + _feed_forward(block.shared, operand))
    else:
        yield Live("feed-forward", _feed_forward(block, operand))


def _norm(norm: Norm, operand: int) -> int:
    """A norm in FP32 holds its FP32 input and one intermediate beside it; Gemma's a third."""
    if norm.kind is NormKind.LAYER:
        return operand * norm.width
    copies = 3 if norm.kind is NormKind.RMS_PLUS_ONE else 2
    return FP32_BYTES * copies * norm.width


def _attention(attention: Attention, operand: int) -> Live:
    """Queries, keys, values and output; while rotating, three more of the queries."""
    queries = attention.heads * attention.key_dim
    keys = attention.kv_heads * (attention.key_dim + attention.value_dim)
    fused = queries + keys if len(attention.inputs) == 1 else 0
    more = 3 * queries if attention.rotary_dim else attention.heads * attention.value_dim
    scores = attention.heads * (2 * operand + FP32_BYTES) if attention.alibi else 0
    return Live("attention", operand * (queries + keys + fused + more), scores)


def _latent(attention: LatentAttention, operand: int) -> Live:
    """Queries twice (cut and joined), expanded keys and values, joined keys, output."""
    key = attention.nope_dim + attention.rope_dim
    per_head = 3 * key + attention.nope_dim + 2 * attention.value_dim
    return Live("attention", operand * attention.heads * per_head)


def _feed_forward(block: FeedForward, operand: int) -> int:
    """Gate, up and their product; an activation written out in Python holds four intermediates."""
    tensors = 3 if block.gated else 2
    if block.gated and len(block.inputs) == 1:
        tensors = 4  # the fused matrix's output stays whole
    if block.activation is Activation.GELU_NEW:
        tensors = 4
    return operand * tensors * block.width


def _experts(experts: Experts, hidden: int, operand: int) -> Live:
    """Inputs gathered for each expert taken, gate and up, their product, outputs; router scores in FP32."""
    taken = experts.top_k * (2 * hidden + 4 * experts.expert.width)
    return Live("experts", operand * taken + 2 * FP32_BYTES * experts.count)


def _position_bias(stack: Stack, run: Pass) -> tuple[Part, ...]:
    """T5's bias of every query with every key, held through the stack, and its sum with the mask."""
    attention = stack.groups[0].layer.attention
    if not isinstance(attention, Attention) or not attention.position_bias:
        return ()
    pairs, size = run.new * run.seen, 2 * attention.heads
    words = f"{said(pairs)} pairs × {size} × {run.operand} B (position bias)"
    return (Part("position bias", pairs * (run.operand * size), words),)


def _cache_copies(stack: Stack, engine: Engine, run: Pass) -> Part:
    """One layer's keys while they are copied to grow by the new tokens; of a latent, what it expands to."""
    attention = stack.groups[0].layer.attention
    tokens = run.batch * run.seen
    name, size = "one layer's keys, copied", width(attention) // 2 if engine.growing_cache else 0
    if isinstance(attention, LatentAttention):
        name = "one layer's keys and values, expanded"
        size = attention.heads * (2 * attention.nope_dim + attention.rope_dim + 2 * attention.value_dim)
    return Part(
        name, tokens * (run.operand * size), f"{said(tokens)} tokens × {size:,} × {run.operand} B ({name})"
    )


def _repeated(stack: Stack, run: Pass) -> Bytes:
    """Keys and values repeated for every query head, which a padding mask asks for."""
    attention = stack.groups[0].layer.attention
    if isinstance(attention, LatentAttention) or attention.kv_heads == attention.heads:
        return 0
    per_token = attention.heads * (attention.key_dim + attention.value_dim)
    return run.batch * run.seen * (run.operand * per_token)
