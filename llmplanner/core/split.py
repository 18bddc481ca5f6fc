"""One device's share of a model under tensor parallelism: the same architecture with fewer heads and columns.

Everything that is counted over a Model is counted for one device by counting over its share.
Source: Shoeybi et al. 2019 (arXiv:1909.08053) section 3; key/value heads are copied where there are fewer of
them than devices (Pope et al. 2022, arXiv:2211.05102, section 3.3).
"""

from dataclasses import replace

from llmplanner.core.errors import BadInput
from llmplanner.core.model import (
    Attention,
    Embedding,
    Experts,
    FeedForward,
    Head,
    LatentAttention,
    Layer,
    Linear,
    Model,
    Stack,
)

VOCABULARY_STEP = 128  # rows per device are padded to a multiple of this (Megatron-LM)


def share(model: Model, devices: int) -> Model:
    """The model as one of `devices` tensor-parallel devices holds it. Raises BadInput if it cannot be cut."""
    if devices == 1:
        return model
    rows = padded_rows(model.vocab_size, devices)
    return replace(
        model,
        token_embedding=replace(model.token_embedding, rows=rows),
        stacks=tuple(_stack(stack, devices) for stack in model.stacks),
        head=_head(model.head, rows),
    )


def padded_rows(vocabulary: int, devices: int) -> int:
    """Rows of the vocabulary on one device."""
    return -(-vocabulary // (VOCABULARY_STEP * devices)) * VOCABULARY_STEP


def _head(head: Head, rows: int) -> Head:
    return head if head.linear is None else replace(head, linear=replace(head.linear, outputs=rows))


def _stack(stack: Stack, devices: int) -> Stack:
    groups = tuple(replace(group, layer=_layer(group.layer, devices)) for group in stack.groups)
    return replace(stack, groups=groups)


def _layer(layer: Layer, devices: int) -> Layer:
    inner, cross, block = layer.attention, layer.cross_attention, layer.feed_forward
    return replace(
        layer,
        attention=_latent(inner, devices) if isinstance(inner, LatentAttention) else _heads(inner, devices),
        cross_attention=None if cross is None else _heads(cross, devices),
        feed_forward=_experts(block, devices) if isinstance(block, Experts) else _columns(block, devices),
    )


def _heads(attention: Attention, devices: int) -> Attention:
    heads = _divided(attention.heads, devices, "attention heads")
    kv_heads = _divided_or_copied(attention.kv_heads, devices)
    whole = attention.heads * attention.key_dim
    widths: tuple[int, ...] = (
        heads * attention.key_dim,
        kv_heads * attention.key_dim,
        kv_heads * attention.value_dim,
    )
    if len(attention.inputs) == 1:
        widths = (sum(widths),)
    table = attention.relative_bias
    return replace(
        attention,
        inputs=tuple(
            replace(linear, outputs=width) for linear, width in zip(attention.inputs, widths, strict=True)
        ),
        output=replace(attention.output, inputs=attention.output.inputs * heads * attention.key_dim // whole),
        heads=heads,
        kv_heads=kv_heads,
        relative_bias=None if table is None else Embedding(table.name, table.rows, heads),
    )


def _latent(attention: LatentAttention, devices: int) -> LatentAttention:
    """The latent and what makes it stand whole on every device; what leaves it is cut by heads."""
    *down, up = attention.query
    return replace(
        attention,
        query=(*down, _outputs(up, devices, "attention heads")),
        kv_up=_outputs(attention.kv_up, devices, "attention heads"),
        output=_inputs(attention.output, devices, "attention heads"),
        heads=_divided(attention.heads, devices, "attention heads"),
    )


def _columns(block: FeedForward, devices: int) -> FeedForward:
    return replace(
        block,
        inputs=tuple(_outputs(linear, devices, "feed-forward columns") for linear in block.inputs),
        output=_inputs(block.output, devices, "feed-forward columns"),
        width=_divided(block.width, devices, "feed-forward columns"),
    )


def _experts(experts: Experts, devices: int) -> Experts:
    return replace(
        experts,
        expert=_columns(experts.expert, devices),
        shared=None if experts.shared is None else _columns(experts.shared, devices),
    )


def _outputs(linear: Linear, devices: int, what: str) -> Linear:
    return replace(linear, outputs=_divided(linear.outputs, devices, what))


def _inputs(linear: Linear, devices: int, what: str) -> Linear:
    return replace(linear, inputs=_divided(linear.inputs, devices, what))


def _divided(count: int, devices: int, what: str) -> int:
    if count % devices:
        raise BadInput(
            f"{count:,} {what} cannot be divided among {devices} devices; take a tensor-parallel size that "
            f"divides {count:,}.",
            field="tp",
        )
    return count // devices


def _divided_or_copied(kv_heads: int, devices: int) -> int:
    if devices % kv_heads == 0:
        return 1
    return _divided(kv_heads, devices, "key/value heads")
