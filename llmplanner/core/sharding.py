"""Tensor parallelism: the model of one device, with attention and feed-forward divided.

Attention is divided by heads, feed-forward by width, embedding and head by vocabulary; norms, routers and the
down projections of latent attention stay whole. Source: Shoeybi et al. 2019 (arXiv:1909.08053) section 3.
"""

from dataclasses import replace

from llmplanner.core.errors import BadInput
from llmplanner.core.model import (
    Attention,
    Embedding,
    Experts,
    FeedForward,
    LatentAttention,
    Layer,
    Linear,
    Model,
    Stack,
)

PADDING = 128  # Megatron-LM pads the vocabulary to a multiple of this for each device


def device_model(model: Model, tensor: int) -> Model:
    """What one of `tensor` devices computes. Raises BadInput where the model does not divide."""
    if tensor == 1:
        return model
    vocabulary = -(-model.vocab_size // (PADDING * tensor)) * PADDING
    head = model.head
    if head.linear is not None:
        head = replace(head, linear=replace(head.linear, outputs=vocabulary))
    return replace(
        model,
        vocab_size=vocabulary,
        token_embedding=replace(model.token_embedding, rows=vocabulary),
        stacks=tuple(_stack(stack, tensor) for stack in model.stacks),
        head=head,
    )


def _stack(stack: Stack, tensor: int) -> Stack:
    groups = (replace(group, layer=_layer(group.layer, tensor)) for group in stack.groups)
    return replace(stack, groups=tuple(groups))


def _layer(layer: Layer, tensor: int) -> Layer:
    inner, block = layer.attention, layer.feed_forward
    crossed = layer.cross_attention
    return replace(
        layer,
        attention=_latent(inner, tensor) if isinstance(inner, LatentAttention) else _attention(inner, tensor),
        cross_attention=_attention(crossed, tensor) if crossed is not None else None,
        feed_forward=_experts(block, tensor) if isinstance(block, Experts) else _feed_forward(block, tensor),
    )


def _attention(piece: Attention, tensor: int) -> Attention:
    """Heads divided; key/value heads too, or copied where there are fewer of them than devices."""
    heads = _divided(piece.heads, tensor, "attention heads")
    copied = tensor > piece.kv_heads and tensor % piece.kv_heads == 0
    kv_heads = 1 if copied else _divided(piece.kv_heads, tensor, "key/value heads")
    query, key, value = heads * piece.key_dim, kv_heads * piece.key_dim, kv_heads * piece.value_dim
    fused = len(piece.inputs) == 1
    widths = (query + key + value,) if fused else (query, key, value)
    bias = piece.relative_bias
    return replace(
        piece,
        heads=heads,
        kv_heads=kv_heads,
        inputs=tuple(replace(each, outputs=wide) for each, wide in zip(piece.inputs, widths, strict=True)),
        output=replace(piece.output, inputs=heads * piece.value_dim),
        relative_bias=Embedding(bias.name, bias.rows, heads) if bias is not None else None,
    )


def _latent(piece: LatentAttention, tensor: int) -> LatentAttention:
    """Heads divided; the latents and the matrices that make them are on every device."""
    heads = _divided(piece.heads, tensor, "attention heads")
    query = (*piece.query[:-1], _columns(piece.query[-1], tensor))
    return replace(
        piece,
        heads=heads,
        query=query,
        kv_up=_columns(piece.kv_up, tensor),
        output=_rows(piece.output, tensor),
    )


def _feed_forward(piece: FeedForward, tensor: int) -> FeedForward:
    return replace(
        piece,
        width=_divided(piece.width, tensor, "feed-forward width"),
        inputs=tuple(_columns(each, tensor) for each in piece.inputs),
        output=_rows(piece.output, tensor),
    )


def _experts(piece: Experts, tensor: int) -> Experts:
    """Every expert divided as a feed-forward of its own; the router whole."""
    shared = _feed_forward(piece.shared, tensor) if piece.shared is not None else None
    return replace(piece, expert=_feed_forward(piece.expert, tensor), shared=shared)


def _columns(linear: Linear, tensor: int) -> Linear:
    return replace(linear, outputs=linear.outputs // tensor)


def _rows(linear: Linear, tensor: int) -> Linear:
    return replace(linear, inputs=linear.inputs // tensor)


def _divided(amount: int, tensor: int, name: str) -> int:
    if amount % tensor:
        message = (
            f"The {name} ({amount:,}) cannot be divided over {tensor} devices; "
            "choose a tensor-parallel size that divides them."
        )
        raise BadInput(message, field="tp")
    return amount // tensor
