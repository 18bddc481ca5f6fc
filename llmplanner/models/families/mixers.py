"""The mixers whose memory has a fixed size, from their sizes; and which layers of a model hold one.

Tensor names and states: Transformers 5.23 and the published checkpoints. Convolutions keep as many columns as
their kernel has, in the format computed in; what else a mixer keeps is in FP32 unless said.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from llmplanner.core.model import (
    Layer,
    Linear,
    Module,
    Norm,
    NormKind,
    Parameter,
    Recurrent,
    Scan,
    ScanKind,
)
from llmplanner.models.entries import MOST_LAYERS, Entries
from llmplanner.models.families.decoder import DecoderData

Kinds = Callable[[Entries, int], tuple[str, ...]]  # what each of so many layers is
Rule = Callable[[Entries, int], str]  # what the layer of an index is, where no list says it
Mixer = Callable[[Entries], Recurrent]

RECURRENT, ATTENTION = "linear_attention", "full_attention"
CHUNK, DELTA_CHUNK = 256, 64  # tokens taken at once by PyTorch's own code of Mamba-2, of the delta rule
ALIASES = {"mamba": RECURRENT, "recurrent": RECURRENT, "attention": ATTENTION}  # in files of version 4
_KINDS, _KIND = "kinds of all layers", "kind of the layer"  # entries in which a layer finds what it is


def mixed(data: DecoderData, kinds: Kinds, mixers: Mapping[str, Mixer]) -> DecoderData:
    """The decoder with a mixer in place of attention, in the layers of the kinds that `mixers` names.

    What a layer is, its own `per_layer` and `finish` find by `kind_of`.
    """

    def derived(entries: Entries) -> Mapping[str, object]:
        own = data.derived(entries) if data.derived else {}
        entries = entries.with_values(own)
        return {**own, _KINDS: kinds(entries, entries.size("num_hidden_layers", MOST_LAYERS))}

    def per_layer(entries: Entries, index: int) -> Mapping[str, object]:
        own = {_KIND: _all_kinds(entries)[index]}
        more = data.per_layer(entries.with_values(own), index) if data.per_layer else {}
        return {**more, **own}

    def finish(entries: Entries, layer: Layer) -> Layer:
        mixer = mixers.get(kind_of(entries))
        if mixer is not None:
            layer = replace(layer, attention=None, recurrent=mixer(entries))
        return data.finish(entries, layer) if data.finish else layer

    return replace(data, derived=derived, per_layer=per_layer, finish=finish)


def _all_kinds(entries: Entries) -> tuple[str, ...]:
    kinds = entries.values[_KINDS]
    assert isinstance(kinds, tuple)  # noqa: S101 - put there by `derived`, never by a file
    return kinds


def kind_of(entries: Entries) -> str:
    """What the layer is whose entries these are, inside `per_layer` and `finish` of a `mixed` decoder."""
    return entries.text(_KIND)


def listed(
    name: str, otherwise: Rule | None = None, known: tuple[str, ...] = (RECURRENT, ATTENTION)
) -> Kinds:
    """As a list in the file says; where it has none, by a rule."""

    def kinds(entries: Entries, count: int) -> tuple[str, ...]:
        if entries.raw(name) is None and otherwise is not None:
            return tuple(otherwise(entries, index) for index in range(count))
        types = tuple(ALIASES.get(kind, kind) for kind in entries.texts(name))
        if len(types) != count:
            layers = entries.own("num_hidden_layers")
            raise entries.refuse(name, f"has {len(types):,} entries, but {layers} is {count:,}; correct one")
        unknown = set(types) - set(known)
        if unknown:
            raise entries.refuse(name, f'names "{min(unknown)[:40]}"; the known kinds are {", ".join(known)}')
        return types

    return kinds


def every(period: str, offset: str | None = None) -> Rule:
    """Attention in every n-th layer: those that leave the stated remainder, else the last of each n."""

    def kind(entries: Entries, index: int) -> str:
        step = entries.size(period)
        at = step - 1 if offset is None else entries.size(offset, least=0)
        return ATTENTION if index % step == at else RECURRENT

    return kind


def ruled(rule: Rule) -> Kinds:
    """By a rule alone."""
    return lambda entries, count: tuple(rule(entries, index) for index in range(count))


@dataclass(frozen=True, slots=True)
class MambaSizes:
    """Sizes of a Mamba mixer. `inner`: its channels."""

    hidden: int
    inner: int
    state: int  # of a channel
    rank: int  # of the step sizes
    kernel: int
    bias: bool
    conv_bias: bool


def mamba(prefix: str, sizes: MambaSizes, norms: tuple[Module, ...] = ()) -> Recurrent:
    """Mamba (Gu and Dao 2023, arXiv:2312.00752) section 3. Each channel is a head of its own."""
    hidden, inner, state = sizes.hidden, sizes.inner, sizes.state
    return Recurrent(
        kind="Mamba",
        inputs=(Linear(f"{prefix}in_proj", hidden, 2 * inner, sizes.bias),),
        inner=(
            Linear(f"{prefix}x_proj", inner, sizes.rank + 2 * state),
            Linear(f"{prefix}dt_proj", sizes.rank, inner, bias=True),
        ),
        output=Linear(f"{prefix}out_proj", inner, hidden, sizes.bias),
        parameters=(
            Parameter(f"{prefix}A_log", (inner, state)),
            Parameter(f"{prefix}D", (inner,)),
            *convolution(f"{prefix}conv1d", inner, sizes.kernel, bias=sizes.conv_bias),
            *norms,
        ),
        conv_state=inner * sizes.kernel,
        state=inner * state,
        heads=inner,
        scan=Scan(ScanKind.SELECTIVE, inner, state, 1, inner, sizes.kernel),
    )


@dataclass(frozen=True, slots=True)
class Mamba2Sizes:
    """Sizes of a Mamba-2 mixer."""

    hidden: int
    heads: int
    head_dim: int
    groups: int  # that share what is written to the state and what is read
    state: int  # of a channel
    kernel: int
    bias: bool
    conv_bias: bool
    output_bias: bool
    chunk: int  # tokens taken at once
    norm: bool = True


def mamba2(prefix: str, sizes: Mamba2Sizes) -> Recurrent:
    """Mamba-2 (Dao and Gu 2024, arXiv:2405.21060) section 7."""
    inner, heads = sizes.heads * sizes.head_dim, sizes.heads
    convolved = inner + 2 * sizes.groups * sizes.state
    return Recurrent(
        kind="Mamba-2",
        inputs=(Linear(f"{prefix}in_proj", sizes.hidden, inner + convolved + heads, sizes.bias),),
        inner=(),
        output=Linear(f"{prefix}out_proj", inner, sizes.hidden, sizes.output_bias),
        parameters=(
            *(Parameter(f"{prefix}{name}", (heads,)) for name in ("dt_bias", "A_log", "D")),
            *convolution(f"{prefix}conv1d", convolved, sizes.kernel, bias=sizes.conv_bias),
            *((Norm(f"{prefix}norm", NormKind.RMS, inner),) if sizes.norm else ()),
        ),
        conv_state=convolved * sizes.kernel,
        state=inner * sizes.state,
        heads=heads,
        scan=Scan(
            ScanKind.CHUNKED,
            heads,
            sizes.state,
            sizes.head_dim,
            convolved,
            sizes.kernel,
            sizes.chunk,
            sizes.groups,
        ),
    )


def convolution(name: str, channels: int, kernel: int, *, bias: bool = False) -> tuple[Parameter, ...]:
    """A causal convolution of each channel by itself."""
    weight = Parameter(f"{name}.weight", (channels, 1, kernel))
    return (weight, Parameter(f"{name}.bias", (channels,))) if bias else (weight,)


@dataclass(frozen=True, slots=True)
class DeltaSizes:
    """Sizes of a gated delta net."""

    hidden: int
    key_heads: int
    key_dim: int  # per head
    value_heads: int
    value_dim: int  # per head
    kernel: int
    scalar: bool = False  # a head decays at one rate

    @property
    def keys(self) -> int:
        """The width of all keys; queries are as wide."""
        return self.key_heads * self.key_dim

    @property
    def values(self) -> int:
        """The width of all values."""
        return self.value_heads * self.value_dim


def delta_net(
    sizes: DeltaSizes,
    inputs: tuple[tuple[str, int], ...],
    output: str,
    parameters: tuple[Module, ...],
    inner: tuple[Linear, ...] = (),
) -> Recurrent:
    """A gated delta net (Yang et al. 2024, arXiv:2412.06464). `inputs`: names and widths of its matrices."""
    convolved, values = 2 * sizes.keys + sizes.values, (sizes.value_heads, sizes.key_dim, sizes.value_dim)
    scan = Scan(ScanKind.DELTA, *values, convolved, sizes.kernel, DELTA_CHUNK)
    return Recurrent(
        kind="Gated delta net",
        inputs=tuple(Linear(name, sizes.hidden, width) for name, width in inputs),
        inner=inner,
        output=Linear(output, sizes.values, sizes.hidden),
        parameters=parameters,
        conv_state=convolved * sizes.kernel,
        state=sizes.value_heads * sizes.key_dim * sizes.value_dim,
        heads=sizes.key_heads,
        scan=scan if sizes.scalar else None,
    )


def short_convolution(prefix: str, hidden: int, kernel: int, *, bias: bool) -> Recurrent:
    """A gated short convolution (LFM2): all its memory is what the kernel reaches."""
    return Recurrent(
        kind="Short convolution",
        inputs=(Linear(f"{prefix}in_proj", hidden, 3 * hidden, bias),),
        inner=(),
        output=Linear(f"{prefix}out_proj", hidden, hidden, bias),
        parameters=convolution(f"{prefix}conv", hidden, kernel, bias=bias),
        conv_state=hidden * kernel,
        state=0,
        heads=hidden,
    )
