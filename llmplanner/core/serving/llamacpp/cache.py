"""The keys, values and recurrent states that llama.cpp allocates when it makes a context.

Every cell holds a row of keys and one of values for each layer, in their formats. Latent attention keeps the
latent and the rotated key, and no values. Encoders keep nothing; an encoder-decoder keeps the decoder's own
tokens and computes cross-attention's keys and values anew.
Source: ggml-org/llama.cpp v0.5.0, src/llama-kv-cache.cpp, llama-memory-recurrent.cpp and llama-hparams.cpp.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from llmplanner.core.blocks import BlockFormat, CacheFormat
from llmplanner.core.errors import BadInput
from llmplanner.core.estimate import Bytes, Part, Term, exact
from llmplanner.core.formats import FP32
from llmplanner.core.model import Attention, Kind, LatentAttention, Model, Parameter, Recurrent
from llmplanner.core.recipes.gguf_tensors import LATENT_AS_IT_IS
from llmplanner.core.serving.llamacpp.cells import Cells
from llmplanner.core.terms.kv_cache import counted, keeps, said

WHOLE_WINDOW = frozenset(  # whose windows it does not use, though layers take turns
    {"dots1", "ministral", "ministral3", "phi3", "phimoe", "smollm3", "starcoder2"}
    | {"qwen2", "qwen2_moe", "qwen3", "qwen3_moe"}
)
INDEXED = frozenset({"deepseek_v32", "glm_moe_dsa"})  # whose indexer's keys are cached too
SOURCE = "llama.cpp v0.5.0, src/llama-kv-cache.cpp"
MEASURED = "within 0.01 MiB of 706 contexts that llama.cpp allocated"
CHANGE = "a shorter context, fewer slots, or --kv q8_0 (llama.cpp: -c, -np, -ctk and -ctv)"
STATES = "llama.cpp v0.5.0, src/llama-memory-recurrent.cpp"
STATES_NOTE = "Does not grow with the context, and is FP32 whatever the format of the KV cache."


@dataclass(frozen=True, slots=True)
class Keeps:
    """What layers of one kind keep of a token, in elements."""

    label: str
    heads: int  # that keys and values are of
    keys: int  # of all heads
    values: int
    window: int | None
    layers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Recurs:
    """What recurrent layers of one kind keep of a sequence, in elements."""

    label: str
    elements: int
    layers: tuple[int, ...]


def kept(model: Model, *, transposed: bool, expanded: bool = False) -> tuple[Keeps, ...]:
    """What the model's layers keep, by kind.

    `transposed`: values are stored so where flash attention is off, all layers as wide as the widest.
    `expanded`: of latent attention the keys and values of every head are kept, as its file is an old one.
    """
    expanded = expanded or model.model_type in LATENT_AS_IT_IS
    found = _together(_kept(model, expanded))
    if transposed and len({one.values for one in found}) > 1:
        widest = max(one.values for one in found)
        return tuple(replace(one, values=widest) for one in found)
    return tuple(found)


def _together(groups: Iterable[Keeps]) -> list[Keeps]:
    """Those alike as one."""
    found: dict[Keeps, tuple[int, ...]] = {}
    for group in groups:
        alike = replace(group, layers=())
        found[alike] = found.get(alike, ()) + group.layers
    return [replace(alike, layers=layers) for alike, layers in found.items()]


def _kept(model: Model, expanded: bool) -> Iterable[Keeps]:
    windows = _windows(model)
    for stack in model.stacks:
        if stack.role is not Kind.DECODER:
            continue
        for group in stack.groups:
            attention = group.layer.attention
            if attention is None or not keeps(attention):
                continue
            window = attention.window if windows else None
            heads, key, value = _heads(attention, model, expanded=expanded)
            yield Keeps(_label(attention, window), heads, heads * key, heads * value, window, group.indices)


def _windows(model: Model) -> bool:
    """Whether llama.cpp keeps less for layers with a window: where they take turns with layers without.

    A window of all layers, as Mistral 7B's, is not used; nor are those of a few architectures.
    """
    if model.model_type in WHOLE_WINDOW:
        return False
    seen = {
        group.layer.attention.window is None
        for stack in model.stacks
        for group in stack.groups
        if group.layer.attention is not None
    }
    return len(seen) > 1


def _heads(attention: Attention | LatentAttention, model: Model, *, expanded: bool) -> tuple[int, int, int]:
    """Heads of one layer's keys and values, and a head's elements of each."""
    if isinstance(attention, Attention):
        values = 0 if attention.keys_are_values else attention.value_dim
        return attention.kv_heads, attention.key_dim, values
    if expanded:
        return attention.heads, attention.nope_dim + attention.rope_dim, attention.value_dim
    indexer = attention.index_dim if model.model_type in INDEXED else 0
    return 1, attention.kv_rank + attention.rope_dim + indexer, 0


def _label(attention: Attention | LatentAttention, window: int | None) -> str:
    if window is not None:
        return f"sliding attention, window {window:,}"
    return "latent attention" if isinstance(attention, LatentAttention) else "full attention"


def check_formats(groups: tuple[Keeps, ...], keys: CacheFormat, values: CacheFormat, *, flash: bool) -> None:
    """Raises BadInput where llama.cpp would refuse to keep keys or values so."""
    if isinstance(values, BlockFormat) and not flash:
        raise BadInput(
            f"llama.cpp keeps values in {values.key} with flash attention alone; switch it on, or take f16.",
            "kv_values",
        )
    for group in groups:
        _check_head(group.keys // group.heads, keys, "kv")
        _check_head(group.values // group.heads, values, "kv_values")


def _check_head(size: int, form: CacheFormat, field: str) -> None:
    if isinstance(form, BlockFormat) and size % form.elements:
        raise BadInput(
            f"llama.cpp stores {form.key} in blocks of {form.elements}, into which heads of {size} do not "
            "divide; take f16 or bf16.",
            field,
        )


def cache(
    groups: tuple[Keeps, ...], sizes: Cells, keys: CacheFormat, values: CacheFormat, on: frozenset[int]
) -> Term:
    """The keys and values of the layers that are `on` one device.

    Shapes: the cells may be maps that broadcast.
    """
    parts = tuple(
        _part(group, count, sizes, keys, values)
        for group in groups
        if (count := sum(layer in on for layer in group.layers))
    )
    total: Bytes = sum((part.bytes for part in parts), start=0)
    formula = " + ".join(part.formula for part in parts) or "no layer here keeps keys and values"
    return Term("kv_cache", total, total, total, formula, SOURCE, "", parts, MEASURED, CHANGE)


def _part(group: Keeps, count: int, sizes: Cells, keys: CacheFormat, values: CacheFormat) -> Part:
    each = sizes.each if group.window is None else sizes.sliding(group.window)
    row = keys.bytes_for(group.keys) + values.bytes_for(group.values)
    widths = f"{group.keys:,} × {keys.bits:g} bit"
    if group.values:
        widths = f"({widths} + {group.values:,} × {values.bits:g} bit)"
    one = isinstance(sizes.streams, int) and sizes.streams == 1
    words = (
        f"{count} {'layer' if count == 1 else 'layers'} × {said(each)} cells × "
        f"{said(sizes.streams)} {'stream' if one else 'streams'} × {widths} ÷ 8"
    )
    return Part(group.label, each * sizes.streams * (count * row), words)


def recurring(model: Model) -> tuple[Recurs, ...]:
    """The states of the model's recurrent layers, by kind."""
    return tuple(
        Recurs(mixer.kind, _elements(mixer), group.indices)
        for stack in model.stacks
        if stack.role is Kind.DECODER
        for group in stack.groups
        if (mixer := group.layer.recurrent) is not None
    )


def _elements(mixer: Recurrent) -> int:
    """A column less than the convolution's kernel has, as the first is shifted out; and the state."""
    kernels = [
        piece.shape for piece in mixer.parameters if isinstance(piece, Parameter) and "conv" in piece.name
    ]
    kernel = max((shape[-1] for shape in kernels if len(shape) > 1), default=0)
    columns = mixer.conv_state // kernel * (kernel - 1) if kernel else mixer.conv_state
    return columns + mixer.state


def states(groups: tuple[Recurs, ...], sizes: Cells, on: frozenset[int]) -> Term:
    """The states of the recurrent layers that are `on` one device, one set for each sequence."""
    parts = tuple(
        Part(
            group.label,
            sizes.sequences * (count * FP32.bytes_for(group.elements)),
            f"{count} layers × {group.elements:,} × 4 B × {counted(sizes.sequences, 'sequences')}",
        )
        for group in groups
        if (count := sum(layer in on for layer in group.layers))
    )
    total: Bytes = sum((part.bytes for part in parts), start=0)
    formula = " + ".join(part.formula for part in parts)
    return exact("recurrent_state", total, formula, STATES, note=STATES_NOTE, parts=parts)
