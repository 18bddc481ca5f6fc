"""The keys and values that attention layers keep of the tokens seen so far."""

from dataclasses import dataclass, replace

from llmplanner.core.blocks import CacheFormat
from llmplanner.core.estimate import Bytes, Part, Term, smallest
from llmplanner.core.model import Attention, Kind, LatentAttention, Model
from llmplanner.core.plan import Count

SIXTEEN = 16
WINDOW_LESS = 1  # Transformers 5.23 keeps one token less than the window
SCALE_SHARE = 8  # of an INT4 cache: 16-bit scale and zero point a group of 64 (Transformers' default)
GROWTH = "What the tokens hold; the cache's growth by copying counts as activations."
QUANTIZED = "Needs an engine that stores it so; scales and zero points: up to the upper bound."


@dataclass(frozen=True, slots=True)
class Kept:
    """What a group of equal layers keeps."""

    label: str
    layers: int
    width: int  # elements per token and layer, keys and values together
    window: int | None  # tokens kept at most
    of_encoder: bool = False  # cross-attention: over the encoder's tokens
    every: int = 1  # tokens that share an entry

    def tokens(self, context: Count, encoder: Count) -> Count:
        """Tokens kept of a sequence."""
        seen = encoder if self.of_encoder else context
        return seen // self.every if self.window is None else smallest(seen, self.window)


def kept(model: Model, window_less: int = WINDOW_LESS) -> tuple[Kept, ...]:
    """What the model's layers keep, those alike together; nothing for an encoder.

    A layer that reads an earlier layer's keys and values keeps none; a sliding one its window but for
    `window_less` tokens.

    Sources: Ainslie et al. 2023 (arXiv:2305.13245) sec. 2; Jiang et al. 2023 (arXiv:2310.06825) sec. 2
    (window); DeepSeek-V2 (arXiv:2405.04434) sec. 2.1 (latent).
    """
    layers: dict[Kept, int] = {}
    for stack in model.stacks:
        if stack.role is not Kind.DECODER:
            continue
        for group in stack.groups:
            attentions = ((group.layer.attention, False), (group.layer.cross_attention, True))
            for attention, of_encoder in attentions:
                if attention is not None and keeps(attention):
                    for one in _kept_by(attention, window_less, of_encoder=of_encoder):
                        layers[one] = layers.get(one, 0) + len(group.indices)
    return tuple(replace(one, layers=count) for one, count in layers.items())


def _kept_by(
    attention: Attention | LatentAttention, window_less: int, *, of_encoder: bool
) -> tuple[Kept, ...]:
    """What one layer keeps."""
    room = None if attention.window is None else attention.window - window_less
    whole = Kept(_label(attention, of_encoder), 1, width(attention), room, of_encoder)
    if not isinstance(attention, Attention) or attention.compressed is None:
        return (whole,)
    every = attention.compressed.every
    entries = Kept(f"an entry for {every:,} tokens", 1, attention.compressed.width, None, of_encoder, every)
    return whole, entries


def keeps(attention: Attention | LatentAttention) -> bool:
    """Whether a layer keeps keys and values of its own."""
    return isinstance(attention, LatentAttention) or not attention.shares_cache


def width(attention: Attention | LatentAttention) -> int:
    """Elements that one layer keeps per token."""
    if isinstance(attention, LatentAttention):
        return attention.kv_rank + attention.rope_dim + attention.index_dim
    heads = attention.heads if attention.repeated_cache else attention.kv_heads
    values = 0 if attention.keys_are_values else attention.value_dim
    return heads * (attention.key_dim + values) + attention.index_dim


def kv_cache(
    groups: tuple[Kept, ...], form: CacheFormat, context: Count, encoder: Count, batch: Count
) -> Term:
    """The cache of `batch` sequences of `context` tokens, and of `encoder` tokens in cross-attention.

    Shapes: context, encoder and batch broadcast.
    """
    parts = tuple(_part(group, form, group.tokens(context, encoder), batch) for group in groups)
    total: Bytes = sum((part.bytes for part in parts), start=0)
    quantized = form.bits < SIXTEEN
    return Term(
        "kv_cache",
        total,
        total,
        total + total // SCALE_SHARE if quantized else total,
        " + ".join(part.formula for part in parts) or "no layer keeps keys and values",
        "Ainslie et al. 2023 (arXiv:2305.13245); layout as Transformers 5.23 allocates it",
        note=QUANTIZED if quantized else GROWTH,
        parts=parts,
    )


def _part(group: Kept, form: CacheFormat, tokens: Count, batch: Count) -> Part:
    amount = form.bytes_for(batch * tokens * (group.layers * group.width))
    words = (
        f"{group.layers} layers × {group.width:,} × {counted(tokens, 'tokens')}"
        f" × {counted(batch, 'sequences')} × {form.bits} bit ÷ 8"
    )
    return Part(group.label, amount, words)


def said(count: Count) -> str:
    """A count in a formula."""
    return f"{count:,}" if isinstance(count, int) else "(a map of)"


def counted(count: Count, unit: str) -> str:
    """A count with its unit, which comes in the plural, in a formula."""
    if isinstance(count, int) and count == 1:
        for plural in ("tokens", "pairs", "positions", "sequences"):
            unit = unit.replace(plural, plural[:-1])
    return f"{said(count)} {unit}"


def _label(attention: Attention | LatentAttention, of_encoder: bool) -> str:
    if of_encoder:
        return "cross-attention"
    if isinstance(attention, LatentAttention) and attention.window is None:
        return "latent attention"
    return "full attention" if attention.window is None else f"sliding attention, window {attention.window:,}"
