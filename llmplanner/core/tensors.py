"""Every tensor of a model, and sums over them: parameters in total, active ones, those of one layer.

Sums walk each group of equal layers once; `inventory` lists all tensors by name. Buffers never count.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from math import prod
from operator import itemgetter
from typing import Literal

from llmplanner.core.errors import BadInput
from llmplanner.core.model import (
    Attention,
    Experts,
    FeedForward,
    Head,
    Kind,
    LatentAttention,
    Layer,
    LayerGroup,
    Linear,
    Model,
    Module,
    Norm,
    Parameter,
    Recurrent,
)

MOST_LISTED = 300_000  # tensors; the largest models have 170,000
Role = Literal[
    "embedding",  # tokens, positions, token types
    "attention",
    "feed_forward",
    "router",
    "expert",  # routed
    "shared_expert",
    "norm",
    "projection",
    "pooler",
    "head",
    "recurrent",
    "other",
]


@dataclass(frozen=True, slots=True)
class Tensor:
    """One parameter tensor. `layer` and `stack` are None outside the layers."""

    name: str
    shape: tuple[int, ...]
    role: Role
    layer: int | None = None
    stack: Kind | None = None

    @property
    def elements(self) -> int:
        """How many numbers it holds."""
        return prod(self.shape)


@dataclass(frozen=True, slots=True)
class Parameters:
    """Elements of distinct parameters; a tied matrix counts once.

    `active` leaves out the routed experts that a token does not take. `embedding` is the token embedding,
    positions and token types; `head` the output matrix where it is not the embedding, and its bias.
    """

    total: int
    active: int
    embedding: int
    head: int


@dataclass(frozen=True, slots=True)
class LayerParameters:
    """Elements of one layer."""

    matrices: int  # weights of linears, routed experts left out
    experts: int  # all routed experts, their biases too
    active_experts: int  # of those that one token takes
    vectors: int  # all else: biases, norms, tables of relative positions, kernels

    @property
    def total(self) -> int:
        """All elements of the layer."""
        return self.matrices + self.experts + self.vectors

    @property
    def active(self) -> int:
        """The elements that one token meets."""
        return self.matrices + self.active_experts + self.vectors


@dataclass(frozen=True, slots=True)
class Piece:
    """A module with parameters and how many of it there are: `copies` is above 1 for routed experts only."""

    role: Role
    module: Module
    copies: int = 1


def parameters(model: Model) -> Parameters:
    """The model's parameters, counted as Transformers 5.23 builds the class."""
    total = active = sum(elements(piece.module) for piece in outer_pieces(model))
    for stack in model.stacks:
        for group in stack.groups:
            layer = layer_parameters(group.layer)
            times = distinct(group)
            total += times * layer.total
            active += times * layer.active
    tables = (model.token_embedding, *model.embeddings)
    return Parameters(total, active, sum(elements(table) for table in tables), head_parameters(model.head))


def distinct(group: LayerGroup) -> int:
    """How many times the group's parameters are there."""
    return 1 if group.shared else len(group.indices)


def head_parameters(head: Head) -> int:
    """Elements of the output matrix, where it is its own, and of its bias."""
    if head.linear is None:
        return 0
    biases = head.linear.bias + bool(head.spare_bias)
    return (0 if head.tied else weight(head.linear)) + biases * head.linear.outputs


def layer_parameters(layer: Layer) -> LayerParameters:
    """The elements of one layer by what they are."""
    matrices = experts = active = vectors = 0
    for piece in layer_pieces(layer):
        module = piece.module
        if piece.role == "expert" and isinstance(layer.feed_forward, Experts):
            experts += piece.copies * elements(module)
            active += layer.feed_forward.top_k * elements(module)
        elif isinstance(module, Linear):
            matrices += weight(module)
            vectors += module.outputs if module.bias else 0
        else:
            vectors += elements(module)
    return LayerParameters(matrices, experts, active, vectors)


def routed(model: Model) -> int:
    """Elements of all routed experts."""
    groups = (group for stack in model.stacks for group in stack.groups)
    return sum(distinct(group) * layer_parameters(group.layer).experts for group in groups)


def weight(linear: Linear) -> int:
    """Elements of a linear's matrix."""
    return linear.inputs * linear.outputs


def elements(module: Module) -> int:
    """Elements of a module's parameters."""
    return sum(prod(shape) for _, shape in _tensors(module))


def tensor_shapes(module: Module) -> tuple[tuple[int, ...], ...]:
    """Shapes of a module's parameter tensors."""
    return tuple(shape for _, shape in _tensors(module))


def inventory(model: Model) -> tuple[Tensor, ...]:
    """Every parameter tensor under its name in the published checkpoint. Raises BadInput at very many."""
    outer = (
        Tensor(name, shape, piece.role)
        for piece in outer_pieces(model)
        for name, shape in _tensors(piece.module)
    )
    found = tuple(islice(chain(outer, _layer_tensors(model)), MOST_LISTED + 1))
    if len(found) > MOST_LISTED:
        raise BadInput(f"The model has more than {MOST_LISTED:,} tensors, too many to list.", "model")
    return found


def _layer_tensors(model: Model) -> Iterator[Tensor]:
    for stack in model.stacks:
        layers = [
            (index, group.layer) for group in stack.groups for index in group.indices[: distinct(group)]
        ]
        for index, layer in sorted(layers, key=itemgetter(0)):
            prefix = stack.prefix.format(layer=index, pair=index // 2)
            for piece in layer_pieces(layer):
                for name, shape in _copied(piece):
                    yield Tensor(prefix + name, shape, piece.role, index, stack.role)


def _copied(piece: Piece) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and shapes of a piece's tensors: one for each expert, or one that holds all of them."""
    module = piece.module
    if isinstance(module, Linear) and piece.role == "expert" and "{expert}" not in module.name:
        (_, shape), *bias = _tensors(module)
        yield module.name, (piece.copies, *shape)
        yield from ((f"{module.name}_bias", (piece.copies, *each)) for _, each in bias)
        return
    for copy in range(piece.copies):
        yield from ((name.format(expert=copy), shape) for name, shape in _tensors(module))


def outer_pieces(model: Model) -> Iterator[Piece]:
    """The modules outside the layers. A tied head is not among them; its bias is."""
    for table in (model.token_embedding, *model.embeddings):
        yield Piece("embedding", table)
    norms = (
        model.embedding_norm,
        *model.embedding_norms_by_stack,
        *(stack.final_norm for stack in model.stacks),
        model.head.norm,
    )
    yield from (Piece("norm", norm) for norm in norms if norm is not None)
    yield from (Piece("projection", linear) for linear in model.projections)
    if model.pooler is not None:
        yield Piece("pooler", model.pooler)
    head = model.head
    if head.transform is not None:
        yield Piece("head", head.transform)
    if head.linear is not None and not head.tied:
        yield Piece("head", head.linear)
    elif head.linear is not None and head.linear.bias:
        yield Piece("head", _bias(head.linear.name, head.linear.outputs))
    if head.linear is not None and head.spare_bias:
        yield Piece("head", _bias(head.spare_bias, head.linear.outputs))
    if model.pair_head is not None:
        yield Piece("head", model.pair_head)
    yield from (Piece("other", module) for module in model.extras)


def _bias(name: str, width: int) -> Parameter:
    """A bias of the head that stands alone: its matrix is the embedding, or has another bias."""
    return Parameter(f"{name}.bias", (width,))


def layer_pieces(layer: Layer) -> Iterator[Piece]:
    """The modules of one layer, in the order in which a token meets them."""
    norms = (
        layer.attention_norm,
        layer.attention_output_norm,
        layer.cross_norm,
        layer.feed_forward_norm,
        layer.feed_forward_output_norm,
    )
    yield from (Piece("norm", norm) for norm in norms if norm is not None)
    for attention in (layer.attention, layer.cross_attention):
        if isinstance(attention, Attention):
            yield from _attention_pieces(attention)
        elif isinstance(attention, LatentAttention):
            yield from _latent_pieces(attention)
    if layer.recurrent is not None:
        yield from _recurrent_pieces(layer.recurrent)
    if isinstance(layer.feed_forward, Experts):
        yield from _expert_pieces(layer.feed_forward)
    elif layer.feed_forward is not None:
        yield from _feed_forward_pieces(layer.feed_forward, "feed_forward")
    yield from (Piece("other", module) for module in layer.extras)


def _attention_pieces(attention: Attention) -> Iterator[Piece]:
    for linear in (*attention.inputs, attention.output):
        yield Piece("attention", linear)
    for norm in (attention.query_norm, attention.key_norm, *attention.head_norms, attention.inner_norm):
        if norm is not None:
            yield Piece("norm", norm)
    for module in (attention.relative_bias, attention.sinks, *attention.extras):
        if module is not None:
            yield Piece("attention", module)


def _latent_pieces(attention: LatentAttention) -> Iterator[Piece]:
    for linear in (*attention.query, attention.kv_down, attention.kv_up, attention.output):
        yield Piece("attention", linear)
    for norm in (attention.query_norm, attention.kv_norm):
        if norm is not None:
            yield Piece("norm", norm)
    yield from (Piece("attention", module) for module in attention.extras)


def _recurrent_pieces(mixer: Recurrent) -> Iterator[Piece]:
    for module in (*mixer.inputs, *mixer.inner, mixer.output, *mixer.parameters):
        yield Piece("recurrent", module)


def _feed_forward_pieces(block: FeedForward, role: Role, copies: int = 1) -> Iterator[Piece]:
    for linear in (*block.inputs, block.output):
        yield Piece(role, linear, copies)
    if block.inner_norm is not None:
        yield Piece("norm", block.inner_norm, copies)


def _expert_pieces(experts: Experts) -> Iterator[Piece]:
    yield Piece("router", experts.router)
    yield from _feed_forward_pieces(experts.expert, "expert", experts.count)
    if experts.shared is not None:
        yield from _feed_forward_pieces(experts.shared, "shared_expert")
    if experts.shared_gate is not None:
        yield Piece("router", experts.shared_gate)
    yield from (Piece("router", module) for module in experts.extras)


def _tensors(module: Module) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Name and shape of a module's parameters."""
    if isinstance(module, Linear):
        shape = (module.outputs, module.inputs)
        yield f"{module.name}.weight", shape[::-1] if module.transposed else shape
        if module.bias:
            yield f"{module.name}.bias", (module.outputs,)
    elif isinstance(module, Norm):
        if module.weight:
            yield f"{module.name}.weight", (module.width,)
        if module.bias:
            yield f"{module.name}.bias", (module.width,)
    elif isinstance(module, Parameter):
        yield module.name, module.shape
    else:
        yield f"{module.name}.weight", (module.rows, module.width)
