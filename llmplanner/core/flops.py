"""Floating-point operations of training and inference. A fused multiply-add counts as two, everywhere."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Union

from llmplanner.core.model import (
    Attention,
    Experts,
    FeedForward,
    Head,
    Kind,
    LatentAttention,
    Layer,
    Linear,
    Model,
    Module,
    Recurrent,
    Stack,
)
from llmplanner.core.tensors import distinct

if TYPE_CHECKING:  # one plan is answered without NumPy: its import would be the longest part of a start
    import numpy as np
    from numpy.typing import NDArray

Number = Union[float, "NDArray[np.float64]"]  # one plan's number, or those of a map of plans

SCAN = 6  # of an element of a state and a token: let it decay, add what is new, read it; a product each

PF_DAY = 8.64e19  # 10^15 FLOP/s for 86,400 s (Brown et al. 2020, arXiv:2005.14165, app. D)
BACKWARD = (
    2  # a backward pass takes twice the forward's operations (Kaplan et al. 2020, arXiv:2001.08361, s2.1)
)


def training_flops(parameters: Number, tokens: Number, kind: Kind = Kind.DECODER) -> Number:
    """The rule of thumb: 6 N D, and 3 N D for an encoder-decoder, whose tokens pass one half of it.

    Parameters are those that a token uses (active ones of a mixture of experts). Leaves attention out.
    Source: Kaplan et al. 2020 (arXiv:2001.08361) s2.1; Brown et al. 2020 (arXiv:2005.14165) Table D.1 for T5.
    """
    return (3.0 if kind is Kind.ENCODER_DECODER else 6.0) * parameters * tokens


def pf_days(flops: Number) -> Number:
    """Petaflop-days: 8.64e19 operations each."""
    return flops / PF_DAY


@dataclass(frozen=True, slots=True)
class Flops:
    """Operations of one sequence's forward pass, by what scales with parameters and what with context."""

    linear: (
        float  # every weight matrix that the tokens pass, the head too; looking up embeddings costs nothing
    )
    attention: float  # queries by keys, and weights by values
    recurrence: float = 0.0  # convolutions, and scans over states of a fixed size

    @property
    def forward(self) -> float:
        """One forward pass over the sequence."""
        return self.linear + self.attention + self.recurrence

    @property
    def training(self) -> float:
        """Forward and backward pass over the sequence, nothing computed twice."""
        return (1 + BACKWARD) * self.forward

    @property
    def training_recomputed(self) -> float:
        """The same with full activation checkpointing: each forward pass is run again (MFU : HFU = 3 : 4)."""
        return (2 + BACKWARD) * self.forward


def sequence_flops(
    model: Model, tokens: int, *, causal: bool = True, source_tokens: int | None = None
) -> Flops:
    """Operations of all matrix products of one sequence.

    `tokens` are those of the model's own stack (the decoder's of an encoder-decoder), `source_tokens` those
    of the encoder, as many where not said. `causal` counts only what a decoder may see, as flash attention
    does; else the whole square. Source: Chowdhery et al. 2022 (arXiv:2204.02311) app. B, Hoffmann et al. 2022
    (arXiv:2203.15556) app. F, layer by layer; Gu and Dao 2023 (arXiv:2312.00752) sec. 3.3.2 for recurrence.
    """
    source = tokens if source_tokens is None else source_tokens
    lengths = {stack.role: tokens for stack in model.stacks}
    if model.kind is Kind.ENCODER_DECODER:
        lengths[Kind.ENCODER] = source
    linear = attention = recurrence = 0.0
    for stack in model.stacks:
        one = _stack_flops(stack, lengths[stack.role], source, causal=causal)
        linear += one.linear
        attention += one.attention
        recurrence += one.recurrence
    linear += tokens * (_head_flops(model.head) + sum(map(_product, model.projections)))
    linear += tokens * _extras(model.extras)
    linear += _product(model.pooler) if model.pooler is not None else 0  # reads one token
    return Flops(linear, attention, recurrence)


def _stack_flops(stack: Stack, tokens: int, source: int, *, causal: bool) -> Flops:
    linear = attention = recurrence = 0.0
    for group in stack.groups:
        layer, count = group.layer, len(group.indices)
        masked = causal and stack.role is Kind.DECODER
        linear += count * tokens * _layer_linears(layer)
        # What stands beside a block that layers share is one layer's each: Zamba2's adapters.
        linear += distinct(group) * tokens * _extras(layer.extras)
        if layer.attention is not None:
            pairs = _pairs(layer.attention, tokens, masked=masked)
            attention += count * _pair_flops(layer.attention) * pairs
        if layer.cross_attention is not None:
            linear += count * _cross_linears(layer, tokens, source)
            attention += count * _pair_flops(layer.cross_attention) * tokens * source
        if layer.recurrent is not None:
            recurrence += count * tokens * _scan(layer.recurrent)
    return Flops(linear, attention, recurrence)


def _layer_linears(layer: Layer) -> int:
    """Operations of one token in the matrices of a layer, cross-attention left out."""
    total = 0
    if layer.attention is not None:
        total += _attention_linears(layer.attention)
    if layer.recurrent is not None:
        mixer = layer.recurrent
        total += sum(map(_product, (*mixer.inputs, *mixer.inner, mixer.output)))
    if layer.feed_forward is not None:
        total += _feed_forward(layer.feed_forward)
    return total


def _scan(mixer: Recurrent) -> int:
    """Operations of one token in the convolution, a product for each element that it keeps, and the scan.

    Kernels that work in chunks do more operations than this, on faster units.
    """
    return 2 * mixer.conv_state + SCAN * mixer.state


def _product(linear: Linear) -> int:
    """Operations of one token's vector times the matrix; the bias, an addition each, is left out."""
    return 2 * linear.inputs * linear.outputs


def _extras(modules: tuple[Module, ...]) -> int:
    """Operations of one token in the matrices among further modules."""
    return sum(_product(each) for each in modules if isinstance(each, Linear))


def _attention_linears(attention: Attention | LatentAttention) -> int:
    if isinstance(attention, LatentAttention):
        matrices = (*attention.query, attention.kv_down, attention.kv_up, attention.output)
    else:
        matrices = (*attention.inputs, attention.output)
    return sum(map(_product, matrices)) + _extras(attention.extras)


def _cross_linears(layer: Layer, tokens: int, source: int) -> int:
    """Queries and output are of the decoder's tokens, keys and values of the encoder's."""
    cross = layer.cross_attention
    if cross is None:
        return 0
    query, *keys_and_values = cross.inputs
    return tokens * (_product(query) + _product(cross.output)) + source * sum(map(_product, keys_and_values))


def _feed_forward(block: FeedForward | Experts) -> int:
    if isinstance(block, FeedForward):
        return sum(map(_product, (*block.inputs, block.output)))
    shared = _feed_forward(block.shared) if block.shared is not None else 0
    gate = _product(block.shared_gate) if block.shared_gate is not None else 0
    beside = _product(block.router) + shared + gate + _extras(block.extras)
    return beside + block.top_k * _feed_forward(block.expert)


def _head_flops(head: Head) -> int:
    return sum(_product(linear) for linear in (head.transform, head.linear) if linear is not None)


def _pair_flops(attention: Attention | LatentAttention) -> int:
    """Operations of one query with one key and its value, over all heads."""
    if isinstance(attention, LatentAttention):
        return 2 * attention.heads * (attention.nope_dim + attention.rope_dim + attention.value_dim)
    return 2 * attention.heads * (attention.key_dim + attention.value_dim)


def _pairs(attention: Attention | LatentAttention, tokens: int, *, masked: bool) -> float:
    """Pairs of a query and a key that are computed. A mask halves the square; a window cuts a band out of it.

    The diagonal counts as a half, as in the published formulas.
    """
    if not masked:
        return float(tokens) ** 2
    window = tokens if attention.window is None else attention.window
    seen = min(window, tokens)
    return seen * (tokens - seen / 2)


def utilisation(flops_per_token: Number, tokens_per_second: Number, devices: Number, peak: Number) -> Number:
    """The share of the devices' dense peak (FLOP/s each) that the operations of a token make use of.

    With model operations (nothing computed twice) this is MFU, with those executed it is HFU.
    Source: Chowdhery et al. 2022 (arXiv:2204.02311) app. B; Korthikanti et al. 2022 (arXiv:2205.05198) s5.
    """
    return flops_per_token * tokens_per_second / (devices * peak)


def palm_flops_per_token(parameters: Number, layers: Number, width: Number, context: Number) -> Number:
    """Training operations per token as MFU is published: 6 N + 12 L (H Q) T. `width` is heads x head size.

    Attention counts as the whole square. Source: Chowdhery et al. 2022 (arXiv:2204.02311) app. B.
    """
    return 6.0 * parameters + 12.0 * layers * width * context
