"""Activations: what the forward pass keeps for the backward pass, by cause."""

from bisect import bisect_left
from collections.abc import Iterable

from llmplanner.core.autograd.layers import rotary_dim
from llmplanner.core.autograd.tape import INT64, Cause, Unit
from llmplanner.core.autograd.trace import Place, Traced
from llmplanner.core.engine import AttentionKernel
from llmplanner.core.estimate import Bytes, Part
from llmplanner.core.model import Attention, Kind, Stack
from llmplanner.core.plan import Checkpointing
from llmplanner.core.step import Step, shown

IN_LOGITS = (Cause.LOSS,)  # told in the term logits
UNIT_NAMES = {
    Unit.TOKEN: "tokens",
    Unit.SLICE: "tokens of a slice",
    Unit.SINGLE: "tokens",
    Unit.BATCHED: "tokens",
    Unit.SCORE: "pairs of tokens",
    Unit.PAIR: "pairs of positions",
    Unit.PADDED: "tokens, padded",
    Unit.OPEN: "tokens",
    Unit.MASKED: "tokens",
    Unit.MASKED_PADDED: "tokens, padded",
    Unit.MASK: "pairs of tokens",
    Unit.POSITION: "positions",
    Unit.SEQUENCE: "sequences",
    Unit.CHUNKED: "tokens in whole chunks",
    Unit.ALONE: "tokens in the one chunk",
    Unit.LAID: "tokens in whole chunks",
    Unit.SEVERAL: "tokens in whole chunks",
    Unit.WHOLE: "tokens, not padded",
    Unit.LINKED: "tokens in all chunks but the last",
    Unit.CHUNK: "chunks",
    Unit.LINK: "chunks but the last",
    Unit.CHUNK_PAIR: "pairs of chunks",
    Unit.SOURCE: "encoder tokens",
    Unit.CROSS: "pairs of decoder and encoder tokens",
    Unit.CROSS_PAIR: "pairs of decoder and encoder positions",
}


def activations(step: Step) -> list[Part]:
    """All that is alive when the forward pass has ended, but for the loss's own: told in `logits`."""
    whole = not step.train.checkpointing.by_layer
    parts = by_cause(step.traced if whole else step.ends)
    if not whole:
        parts.append(checkpoints(step))
        parts.extend(remembered(step))
        parts.extend(arguments(step))
    elif step.train.checkpointing is Checkpointing.SELECTIVE:
        parts.extend(_masks(step))
    return [*parts, inputs(step)]


def by_cause(traced: Iterable[Traced]) -> list[Part]:
    """What the given layers and ends keep, a part for each cause."""
    sums: dict[Cause, Bytes] = {}
    texts: dict[Cause, list[str]] = {}
    for each in traced:
        for (cause, unit), size in each.amounts.items():
            count = each.counts[unit]
            if cause in IN_LOGITS or (isinstance(count, int) and count == 0):
                continue
            layers = each.times(cause, each.count)
            sums[cause] = sums.get(cause, 0) + layers * size * count
            texts.setdefault(cause, []).append(_product(layers, size, unit, count))
    return [Part(cause.value, sums[cause], " + ".join(texts[cause])) for cause in sums]


def _product(layers: int, size: int, unit: Unit, count: Bytes) -> str:
    times = f"{layers} layers × " if layers > 1 else ""
    return f"{times}{size:,} B" + ("" if unit is Unit.ONCE else f" × {shown(count)} {UNIT_NAMES[unit]}")


def checkpoints(step: Step) -> Part:
    """The input of every layer, kept in place of what is inside it."""
    width, size = step.model.hidden_size, step.arithmetic.residual
    total: Bytes = 0
    texts = []
    for each in step.layers:
        tokens = each.counts[Unit.SLICE]
        total = total + each.count * width * size * tokens
        texts.append(f"{each.count} layers × {width:,} × {size} B × {shown(tokens)} tokens")
    return Part(Cause.CHECKPOINTS.value, total, " + ".join(texts))


def remembered(step: Step) -> list[Part]:
    """What operation-level checkpointing keeps of every layer: every other product, attention's output."""
    if step.train.checkpointing is not Checkpointing.SELECTIVE_OP:
        return []
    total = sum((each.count * each.remembers for each in step.layers), start=0)
    texts = [f"{each.count} layers × {shown(each.remembers)} B" for each in step.layers]
    return [Part("products that are not computed again", total, " + ".join(texts))]


def before(step: Step, group: Traced, layer: int) -> list[Part]:
    """What is left of the activations while one layer of a group is undone: those of all that ran before."""
    whole = not step.train.checkpointing.by_layer
    operations = step.train.checkpointing is Checkpointing.SELECTIVE_OP
    width, residual = step.model.hidden_size, step.arithmetic.residual
    amount: Bytes = 0
    texts: list[str] = []
    for each in step.traced:
        if each.stack > group.stack or (each.stack == group.stack and each.place is Place.BACK):
            continue
        count = each.count
        if each.place is Place.LAYERS and each.stack == group.stack:
            count = bisect_left(each.indices, layer) + (each is group and not whole)
        if not count:
            continue
        if each.place is Place.LAYERS and not whole:
            tokens, inner = each.counts[Unit.SLICE], count - (each is group) if operations else 0
            amount = amount + count * width * residual * tokens + inner * each.remembers
            texts.append(f"{count} layers × {width:,} × {residual} B × {shown(tokens)} tokens")
            texts.extend([f"{inner} layers × {shown(each.remembers)} B"] if inner else ())
        else:
            kept = each.kept(count)
            amount = amount + kept
            texts.append(_kept_text(each, count, kept))
    parts = [Part("of the layers before", amount, " + ".join(texts) or "0 B")]
    if step.train.checkpointing is Checkpointing.SELECTIVE:
        return [*parts, *_masks(step)]
    return parts if whole else [*parts, *arguments(step), *_crossed(step)]


def _kept_text(traced: Traced, layers: int, kept: Bytes) -> str:
    """What so many of some equal layers keep: each as much, but for casts of parameters in common."""
    if traced.place is not Place.LAYERS:
        return f"{shown(kept)} B of the {'embeddings' if traced.place is Place.FRONT else 'final norm'}"
    if layers == 1 or traced.shared:
        return f"{shown(kept)} B of {layers} layer{'s' if layers > 1 else ''}"
    return f"{layers} layers × {shown(kept // layers)} B"


def held_output(step: Step) -> list[Part]:
    """The last hidden state is held until the loss is there, where the head keeps none of it or a cast."""
    width, size = step.model.hidden_size, step.arithmetic.residual
    if size == step.arithmetic.operand and (Cause.HEAD, Unit.TOKEN) in step.ends[-1].amounts:
        return []
    text = f"{width:,} × {size} B × {shown(step.tokens)} tokens"
    return [Part("last hidden state", width * size * step.tokens, text)]


def cast_weights(step: Step) -> Part:
    """Autocast holds its copies of the matrices until the forward pass ends, checkpointed or not."""
    copies = step.cast_weights()
    size = step.arithmetic.operand
    return Part("weights cast by autocast", copies, f"{size} B × {copies // size:,} elements of matrices")


def arguments(step: Step) -> list[Part]:
    """What checkpointed layers hold as arguments: position ids, eager attention's masks, biases."""
    stack = step.model.stacks[-1]
    layers = [group.layer.attention for group in stack.groups]
    parts = _position_biases(step)
    if any(rotary_dim(each) for each in layers):
        positions = step.ends[-1].counts[Unit.POSITION]
        parts.append(Part("position ids", INT64 * positions, f"{INT64} B × {shown(positions)} positions"))
    if step.train.attention is AttentionKernel.SDPA and stack.role is Kind.DECODER and not step.train.padded:
        return [*parts, *_windows(step, _kinds(stack))]
    return [*parts, *_masks(step)]


def _kinds(stack: Stack) -> set[int | None]:
    """The windows of a stack's attentions, each of which has a mask of its own."""
    layers = [group.layer.attention for group in stack.groups]
    return {each.window for each in layers if isinstance(each, Attention)} or {None}


def _masks(step: Step) -> list[Part]:
    """Masks of eager attention, and of padding: bools for PyTorch's own kernels.

    An encoder-decoder's padding is that of its encoder's tokens.
    """
    eager = step.train.attention is AttentionKernel.EAGER
    if step.train.attention is AttentionKernel.FLASH:
        return []
    pairs: Bytes = 0
    for place, stack in enumerate(step.model.stacks):
        counts = next(each.counts for each in step.layers if each.stack == place)
        attends = any(group.layer.attention is not None for group in stack.groups)
        if (eager and attends and stack.role is Kind.DECODER) or (step.train.padded and place == 0):
            pairs = pairs + len(_kinds(stack)) * counts[Unit.SCORE]
        if step.train.padded and stack.groups[0].layer.cross_attention is not None:
            pairs = pairs + counts[Unit.CROSS]
    size = step.arithmetic.residual if eager else 1
    none = isinstance(pairs, int) and pairs == 0
    return (
        [] if none else [Part("attention masks", size * pairs, f"{size} B × {shown(pairs)} pairs of tokens")]
    )


def _windows(step: Step, windows: set[int | None]) -> list[Part]:
    """PyTorch's own kernels take a window as a mask of bools, where the sequence is as long."""
    counts = step.ends[-1].counts
    masks: Bytes = 0
    for window in windows:
        if window is not None:
            masks = masks + (counts[Unit.POSITION] >= window) * 1
    pairs = counts[Unit.PAIR]
    none = isinstance(masks, int) and masks == 0
    text = f"{shown(masks)} × 1 B × {shown(pairs)} pairs of positions"
    return [] if none else [Part("attention masks", masks * pairs, text)]


def _position_biases(step: Step) -> list[Part]:
    """T5's biases, handed from the first layer of a stack to the others."""
    total = sum((biases(step, place) for place in range(len(step.model.stacks))), start=0)
    if isinstance(total, int) and total == 0:
        return []
    size = step.arithmetic.residual
    return [Part("position biases", size * total, f"{size} B × {shown(total)} pairs of positions and heads")]


def _crossed(step: Step) -> list[Part]:
    """T5's zeros for cross-attention, which as a checkpoint's argument get a gradient that nothing takes."""
    total: Bytes = 0
    for place, stack in enumerate(step.model.stacks):
        first = stack.groups[0].layer
        if first.cross_attention is not None and first.cross_attention.position_bias:
            counts = next(each.counts for each in step.layers if each.stack == place)
            total = total + first.cross_attention.heads * counts[Unit.CROSS_PAIR]
    size = step.arithmetic.residual
    text = f"{size} B × {shown(total)} pairs of positions and heads"
    none = isinstance(total, int) and total == 0
    return [] if none else [Part("gradients of position biases", size * total, text)]


def biases(step: Step, place: int) -> Bytes:
    """How many biases a stack's first layer hands to the others. uMT5's layers make their own."""
    stack = step.model.stacks[place]
    first, last = stack.groups[0].layer, stack.groups[-1].layer
    if not isinstance(first.attention, Attention) or first.attention.relative_bias is None:
        return 0
    if stack.depth > 1 and isinstance(last.attention, Attention) and last.attention.relative_bias is not None:
        return 0
    counts = next(each.counts for each in step.layers if each.stack == place)
    total: Bytes = first.attention.heads * counts[Unit.PAIR] if stack.depth > 1 else 0
    if first.cross_attention is not None:
        total = total + first.cross_attention.heads * counts[Unit.CROSS_PAIR]
    return total


def inputs(step: Step) -> Part:
    """Token ids and labels, 64-bit integers."""
    tokens = step.tokens
    sources = step.traced[0].counts[Unit.TOKEN]
    if step.train.padded:
        text = f"8 B × ({shown(sources)} ids and as many of the mask + {shown(tokens)} labels)"
        return Part("token ids, mask and labels", 8 * (2 * sources + tokens), text)
    text = f"8 B × ({shown(sources)} ids + {shown(tokens)} labels)"
    return Part("token ids and labels", 8 * (sources + tokens), text)
