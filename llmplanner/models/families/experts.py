"""Mixtures of experts: which entries and tensors they are made of, and which layers hold them."""

from collections.abc import Callable
from dataclasses import dataclass

from llmplanner.core.model import (
    Activation,
    Experts,
    FeedForward,
    Linear,
    Parameter,
)
from llmplanner.models.entries import MOST_LAYERS, Entries
from llmplanner.models.families.windows import stated_kinds

Sparse = Callable[[Entries, int], tuple[bool, ...]]  # which of so many layers are mixtures


def everywhere(_entries: Entries, count: int) -> tuple[bool, ...]:
    """Every layer is a mixture."""
    return (True,) * count


@dataclass(frozen=True, slots=True)
class MixtureKeys:
    """The entries and tensor names of a mixture of experts.

    Tensor names are relative to the layer: `expert` is gate, up and down, or the two fused and down. They
    hold `{expert}`, or one tensor holds that matrix of all experts.
    """

    count: str
    width: str
    router: str
    expert: tuple[str, ...]
    sparse: Sparse = everywhere
    top_k: str = "num_experts_per_tok"
    router_bias: bool = False
    bias: bool = False  # of the experts' matrices
    shared: tuple[str, ...] | None = None  # as `expert`
    shared_count: str | None = None  # the shared expert is that many times as wide as a routed one
    shared_width: str | None = None  # or as wide as this entry says
    shared_bias: str | None = None
    shared_gate: str | None = None
    router_fp32: bool = False
    weighted_fp32: bool = False  # what the experts make, too
    corrected: bool = True  # such a router's scores, by a bias that is a buffer
    correction: str | None = None  # the correction bias where it is a parameter, no buffer
    every: bool = False  # all experts run over every token (Llama 4)


def counts(entries: Entries, count: str, top_k: str) -> tuple[int, int]:
    """How many experts there are, and how many a token takes, by their entries. Raises BadInput."""
    there, taken = entries.size(count), entries.size(top_k)
    if taken > there:
        raise entries.refuse(top_k, f"is {taken:,}, more than the {there:,} experts there are; correct one")
    return there, taken


def experts(keys: MixtureKeys, entries: Entries, function: Activation) -> Experts:
    """A mixture as the file states it. Raises BadInput."""
    hidden, width = entries.size("hidden_size"), entries.size(keys.width)
    count, top_k = counts(entries, keys.count, keys.top_k)
    return Experts(
        router=Linear(keys.router, hidden, count, keys.router_bias),
        count=count,
        top_k=top_k,
        expert=gated(keys.expert, hidden, width, function, bias=keys.bias),
        shared=_shared(keys, entries, width, function),
        shared_gate=Linear(keys.shared_gate, hidden, 1) if keys.shared_gate else None,
        router_fp32=keys.router_fp32,
        weighted_fp32=keys.router_fp32 or keys.weighted_fp32,
        every=keys.every,
        correction_bias=keys.router_fp32 and keys.corrected,
        extras=(Parameter(keys.correction, (count,)),) if keys.correction else (),
    )


def _shared(keys: MixtureKeys, entries: Entries, width: int, function: Activation) -> FeedForward | None:
    if keys.shared is None:
        return None
    if keys.shared_width is not None:
        wide = entries.optional_size(keys.shared_width, least=0) or 0
    elif keys.shared_count is not None:
        wide = width * (entries.optional_size(keys.shared_count, least=0) or 0)
    else:
        wide = width
    bias = keys.shared_bias is not None and entries.flag(keys.shared_bias)
    return gated(keys.shared, entries.size("hidden_size"), wide, function, bias=bias) if wide else None


def gated(
    names: tuple[str, ...], hidden: int, width: int, function: Activation, *, bias: bool = False
) -> FeedForward:
    """A gated feed-forward. `names` are gate, up and down, or the two fused and down."""
    *inward, outward = names
    wide = 2 * width // len(inward)
    inputs = tuple(Linear(name, hidden, wide, bias) for name in inward)
    return FeedForward(inputs, Linear(outward, width, hidden, bias), width, function, gated=True)


def all_but_first(_entries: Entries, count: int) -> tuple[bool, ...]:
    """Every layer but the first."""
    return tuple(index > 0 for index in range(count))


def stepped(entries: Entries, count: int) -> tuple[bool, ...]:
    """Every n-th layer, but those listed as dense (Qwen)."""
    step, dense = entries.size("decoder_sparse_step"), set(entries.indices("mlp_only_layers"))
    return tuple(index not in dense and (index + 1) % step == 0 for index in range(count))


def after(first: str) -> Sparse:
    """The layers from a stated one on."""

    def sparse(entries: Entries, count: int) -> tuple[bool, ...]:
        start = entries.size(first, MOST_LAYERS, least=0)
        return tuple(index >= start for index in range(count))

    return sparse


def typed(otherwise: Sparse) -> Sparse:
    """As mlp_layer_types says; where the file has none, by a rule."""

    def sparse(entries: Entries, count: int) -> tuple[bool, ...]:
        types = stated_kinds(entries, "mlp_layer_types", count, ("dense", "sparse"))
        return tuple(kind == "sparse" for kind in types) if types else otherwise(entries, count)

    return sparse
