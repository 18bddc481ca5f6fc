"""Which tensors of a safetensors file are parameters, and how many a packed one stands for.

Scales, zero points and what else reads packed weights back count as none; their bytes always count. Masks and
other buffers that a file keeps are counted, as the hub counts them.
Source: huggingface.js, packages/hub/src/lib/parse-safetensors-metadata.ts, and core/recipes/linear.py.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod

from llmplanner.core.checkpoint import StoredTensor

WORD = 32  # bits of the integers that weights are packed into
USUAL_BITS = 4  # of packed weights, where neither the tensors nor the config tell
AUXILIARY = frozenset(
    {"weight_scale", "weight_scale_inv", "weight_scale_2", "weight_global_scale", "weight_zero_point"}
    | {"weight_shape", "weight_g_idx", "input_scale", "input_global_scale", "input_zero_point", "zero_point"}
    | {
        "qzeros",
        "g_idx",
        "absmax",
        "quant_map",
        "nested_absmax",
        "nested_quant_map",
        "SCB",
        "weight_format",
        "weight_scales",
    }
    | {"_weight_scale", "_weight_scale_and_zero"}
)
INTEGERS = frozenset({"I8", "U8", "I16", "I32", "U32"})  # what weights are packed into


@dataclass(frozen=True, slots=True)
class Layout:
    """Type and shape of a tensor; tensors that are alike share one."""

    format: str
    shape: tuple[int, ...]
    count: int  # numbers in it
    bytes: int


def stored(
    names: Sequence[str], layouts: Sequence[Layout], bits: int | None = None
) -> tuple[StoredTensor, ...]:
    """The tensors with the parameters that each stands for. `bits`: of packed weights, by the config."""
    return tuple(_stored(names, layouts, bits))


def _stored(names: Sequence[str], layouts: Sequence[Layout], bits: int | None) -> Iterator[StoredTensor]:
    packed = not INTEGERS.isdisjoint({layout.format for layout in layouts})
    table = dict(zip(names, layouts, strict=True)) if packed else {}
    for name, layout in zip(names, layouts, strict=True):
        count = layout.count
        if not layout.shape or layout.format == "F8_E8M0" or name.rpartition(".")[2] in AUXILIARY:
            count = 0
        elif packed:
            count = _stands_for(name, layout, table, bits)
        yield StoredTensor(name, layout.shape, layout.format, count, layout.bytes)


def _stands_for(name: str, layout: Layout, table: Mapping[str, Layout], bits: int | None) -> int:
    """The parameters behind a tensor of a file in which some are packed."""
    if _reads_others(name, table):
        return 0
    if layout.format in {"U8", "I8"} and _two_to_a_byte(name, layout, table):
        return 2 * layout.count
    if layout.format == "U8" and name.endswith(".weight") and f"{name}_scale" in table:
        return 4 * layout.count
    if layout.format in {"I32", "I16"} and name.endswith(".qweight"):
        return _qweight(layout, table, name.removesuffix("qweight"), bits)
    words = layout.format == "I32" and name.endswith((".weight_packed", "._weight_qdata"))
    mlx = layout.format == "U32" and name.removesuffix("weight") + "scales" in table
    return layout.count * WORD // (bits or USUAL_BITS) if words or mlx else layout.count


def _reads_others(name: str, table: Mapping[str, Layout]) -> bool:
    """Whether the tensor holds what packed ones are read back with."""
    stem, _, last = name.rpartition(".")
    if last in {"scales", "biases"}:  # GPTQ and AWQ; MLX
        return any(f"{stem}.{packed}" in table for packed in ("qweight", "weight", "blocks"))
    if last.endswith("_scales"):
        return name.removesuffix("scales") + "blocks" in table
    return last.startswith("bitsandbytes__")


def _two_to_a_byte(name: str, layout: Layout, table: Mapping[str, Layout]) -> bool:
    """Whether the bytes hold 4-bit weights: of bitsandbytes, NVFP4 or MXFP4."""
    scales = table.get(f"{name}_scale") or table.get(f"{name.removesuffix('.weight')}.scale")
    if layout.format == "I8":
        return scales is not None and scales.format == "F8_E8M0"
    if name.endswith(("_blocks", ".blocks")):
        return name.removesuffix("blocks") + "scales" in table
    return (
        name.endswith(".weight_packed")
        or f"{name}.absmax" in table
        or (scales is not None and scales.count > 1)
    )


def _qweight(layout: Layout, table: Mapping[str, Layout], stem: str, bits: int | None) -> int:
    """GPTQ packs down the columns, AWQ along the outputs, or along the inputs in its GEMV layouts."""
    scales, order = table.get(f"{stem}scales"), table.get(f"{stem}g_idx")
    if layout.format == "I16":
        return layout.count * WORD // 2 // USUAL_BITS
    by_output = scales is not None and scales.shape[:1] == layout.shape[:1]
    if scales is not None and scales.shape[-1:] != layout.shape[-1:] and not by_output:
        return prod((*layout.shape[:-1], *scales.shape[-1:]))
    if order is not None:
        return order.count * layout.shape[-1]
    return layout.count * WORD // (bits or USUAL_BITS)
