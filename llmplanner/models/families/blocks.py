"""The attention and feed-forward that BERT, T5 and BART share: every head its own keys and values."""

from dataclasses import dataclass

from llmplanner.core.model import Activation, Attention, Embedding, FeedForward, Linear


@dataclass(frozen=True, slots=True)
class Widths:
    """The sizes of one layer."""

    hidden: int
    heads: int
    head_dim: int
    feed_forward: int
    bias: bool


def attention(
    names: tuple[str, str, str, str],
    widths: Widths,
    *,
    relative: Embedding | None = None,
    position_bias: bool = False,
) -> Attention:
    """Multi-head attention with the tensor names of query, key, value and output."""
    inner = widths.heads * widths.head_dim
    return Attention(
        inputs=tuple(Linear(name, widths.hidden, inner, widths.bias) for name in names[:3]),
        output=Linear(names[3], inner, widths.hidden, widths.bias),
        heads=widths.heads,
        kv_heads=widths.heads,
        key_dim=widths.head_dim,
        value_dim=widths.head_dim,
        relative_bias=relative,
        position_bias=position_bias,
        softmax_fp32=False,
    )


def feed_forward(inputs: tuple[str, ...], output: str, widths: Widths, function: Activation) -> FeedForward:
    """A feed-forward of one input matrix, or a gated one of two."""
    hidden, width = widths.hidden, widths.feed_forward
    return FeedForward(
        inputs=tuple(Linear(name, hidden, width, widths.bias) for name in inputs),
        output=Linear(output, width, hidden, widths.bias),
        width=width,
        activation=function,
        gated=len(inputs) > 1,
    )
