"""Tensor, expert, pipeline and context parallelism: what one device has of the model and of the tokens.

Tensor parallelism divides attention and recurrence by heads, feed-forward by width, embedding and head by
vocabulary; norms, routers and the down projections of latent attention stay whole. Source: Shoeybi et al.
2019 (arXiv:1909.08053) section 3; Dao and Gu 2024 (arXiv:2405.21060) section 8.1 for the recurrent ones.
"""

from dataclasses import dataclass, replace

from llmplanner.core.dividing import divided, would
from llmplanner.core.engine import AttentionKernel
from llmplanner.core.errors import BadInput
from llmplanner.core.model import (
    Attention,
    Embedding,
    Experts,
    FeedForward,
    Kind,
    LatentAttention,
    Layer,
    Linear,
    Model,
    Module,
    Parameter,
    Recurrent,
    Scan,
    Stack,
)
from llmplanner.core.pipeline import stages
from llmplanner.core.plan import Offload, Split, Train
from llmplanner.core.zero import WEIGHTS

PADDING = 128  # Megatron-LM pads the vocabulary to a multiple of this for each device


@dataclass(frozen=True, slots=True)
class Share:
    """What some devices hold alike: in words, as a model, and how many they are."""

    role: str  # "" where all devices are alike
    model: Model
    devices: int


def device_models(model: Model, split: Split) -> tuple[Share, ...]:
    """The model of each device, those of a pipeline stage together, in the order of the devices.

    Raises BadInput where the model does not divide.
    """
    of_experts = with_experts_of_one(model, split.expert)
    each = split.devices // split.pipeline
    return tuple(
        Share(stage.role, device_model(stage.model, split.tensor), each)
        for stage in stages(of_experts, split)
    )


def with_experts_of_one(model: Model, devices: int) -> Model:
    """The model with the routed experts of one of `devices`. Raises BadInput.

    What runs stays as it was: a device's experts serve the tokens of all. Source: Lepikhin et al. 2020
    (arXiv:2006.16668).
    """
    if devices == 1:
        return model
    blocks = [group.layer.feed_forward for stack in model.stacks for group in stack.groups]
    if not any(isinstance(block, Experts) for block in blocks):
        raise BadInput(f"{model.name} has no experts to divide over {devices:,} devices; set ep to 1.", "ep")
    return replace(model, stacks=tuple(_fewer_experts(stack, devices) for stack in model.stacks))


def _fewer_experts(stack: Stack, devices: int) -> Stack:
    groups = []
    for group in stack.groups:
        block = group.layer.feed_forward
        if isinstance(block, Experts):
            count = divided(block.count, devices, "experts", "ep")
            block = replace(block, count=count, top_k=block.run, every=False)
        groups.append(replace(group, layer=replace(group.layer, feed_forward=block)))
    return replace(stack, groups=tuple(groups))


def with_context_of_one(step: Train, devices: int, model: Model) -> Train:
    """The step with the tokens that one of `devices` has of each sequence. Raises BadInput.

    Source: Liu et al. 2023 (arXiv:2310.01889): keys and values go round, so that no device has all scores.
    """
    if devices == 1:
        return step
    if model.kind is Kind.ENCODER_DECODER or step.attention is AttentionKernel.EAGER or model.eager:
        why = "writes out its scores" if model.kind is not Kind.ENCODER_DECODER else "has two sequences"
        raise BadInput(
            f"Context parallel takes a fused attention over one sequence, and {model.name} {why}; "
            "set cp to 1, or attention to sdpa.",
            "cp",
        )
    sequence = step.sequence
    if isinstance(sequence, int):
        return replace(step, sequence=divided(sequence, devices, "tokens of a sequence", "cp"))
    return replace(step, sequence=-(-sequence // devices))


def check_sharding(split: Split) -> None:
    """Raises BadInput where data-parallel devices cannot share their state as the split says."""
    if split.offload is Offload.PARAMETERS and split.zero < WEIGHTS:
        raise BadInput("Parameters are offloaded at ZeRO stage 3 alone; set zero to 3.", "offload")
    if split.group is None:
        return
    if split.zero == 0:
        raise BadInput("At ZeRO stage 0 nothing is shared, in groups or not; set zero to 3.", "hybrid")
    if split.replicas % split.group:
        raise BadInput(
            f"{split.replicas:,} data-parallel GPUs cannot be put into groups of {split.group:,}; "
            f"groups of {would(split.replicas, split.group)}.",
            "hybrid",
        )
    if split.group % split.expert:
        raise BadInput(
            f"A group of {split.group:,} GPUs does not hold all experts, which are on {split.expert:,}; "
            f"take groups of a multiple of {split.expert:,}.",
            "hybrid",
        )


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
    inner, block, crossed, mixer = (
        layer.attention,
        layer.feed_forward,
        layer.cross_attention,
        layer.recurrent,
    )
    return replace(
        layer,
        attention=_latent(inner, tensor)
        if isinstance(inner, LatentAttention)
        else inner and _attention(inner, tensor),
        cross_attention=crossed and _attention(crossed, tensor),
        feed_forward=_experts(block, tensor)
        if isinstance(block, Experts)
        else block and _feed_forward(block, tensor),
        recurrent=mixer and _recurrent(mixer, tensor),
    )


def _attention(piece: Attention, tensor: int) -> Attention:
    """Heads divided; key/value heads too, or copied where there are fewer of them than devices."""
    heads = divided(piece.heads, tensor, "attention heads", "tp")
    copied = tensor > piece.kv_heads and tensor % piece.kv_heads == 0
    kv_heads = 1 if copied else divided(piece.kv_heads, tensor, "key/value heads", "tp")
    bias, sinks = piece.relative_bias, piece.sinks
    share = replace(piece, heads=heads, kv_heads=kv_heads)
    return replace(
        share,
        inputs=tuple(
            replace(each, outputs=_share(each.outputs, piece, share, tensor)) for each in piece.inputs
        ),
        output=replace(piece.output, inputs=heads * piece.value_dim),
        relative_bias=Embedding(bias.name, bias.rows, heads) if bias is not None else None,
        sinks=Parameter(sinks.name, (heads,)) if sinks is not None else None,
    )


def _share(outputs: int, whole: Attention, share: Attention, tensor: int) -> int:
    """The columns of one device in a matrix that makes queries, keys, values or several of them."""
    of_whole, of_share = _widths(whole), _widths(share)
    return next(
        (mine for all_, mine in zip(of_whole, of_share, strict=True) if all_ == outputs), outputs // tensor
    )


def _widths(piece: Attention) -> tuple[int, ...]:
    """Columns of a matrix that makes all, keys and values, keys alone, values alone."""
    query = piece.heads * piece.key_dim * (1 + piece.output_gate)
    key, value = piece.kv_heads * piece.key_dim, piece.kv_heads * piece.value_dim
    return query + key + value, query, key + value, key, value


def _scan(scan: Scan, tensor: int) -> Scan:
    return replace(
        scan,
        heads=scan.heads // tensor,
        convolved=scan.convolved // tensor,
        groups=max(scan.groups // tensor, 1),
    )


def _recurrent(piece: Recurrent, tensor: int) -> Recurrent:
    """Heads divided, their states with them; a mixer of one head is whole on every device."""
    if piece.heads == 1:
        return piece
    heads = divided(piece.heads, tensor, "heads of the recurrent layers", "tp")
    width = piece.output.inputs

    def narrowed(linear: Linear) -> Linear:
        inputs, outputs = (
            size // tensor if size == width else size for size in (linear.inputs, linear.outputs)
        )
        return replace(linear, inputs=inputs, outputs=outputs)

    return replace(
        piece,
        heads=heads,
        inputs=tuple(_columns(each, tensor) for each in piece.inputs),
        inner=tuple(narrowed(each) for each in piece.inner),
        output=_rows(piece.output, tensor),
        parameters=tuple(_narrowed(each, piece.heads, tensor) for each in piece.parameters),
        scan=piece.scan and _scan(piece.scan, tensor),
        conv_state=-(-piece.conv_state // tensor),
        state=-(-piece.state // tensor),
    )


def _narrowed(module: Module, heads: int, tensor: int) -> Module:
    """A kernel or a vector by its first dimension, where that is of all heads; norms stay whole."""
    if not isinstance(module, Parameter) or module.shape[0] % heads:
        return module
    return replace(module, shape=(module.shape[0] // tensor, *module.shape[1:]))


def _latent(piece: LatentAttention, tensor: int) -> LatentAttention:
    """Heads divided; the latents and the matrices that make them are on every device."""
    heads = divided(piece.heads, tensor, "attention heads", "tp")
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
        width=divided(piece.width, tensor, "columns of a feed-forward", "tp"),
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
