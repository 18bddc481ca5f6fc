"""Checkpoints of compressed-tensors: groups of linears, each packed, quantized or left in its own way.

Source: compressed-tensors quantization/quant_args.py, quant_config.py and compressors/. Routers stay as they
are: what makes these files leaves them alone, and most mixtures have no linear there.
"""

from collections.abc import Mapping
from functools import partial

from llmplanner.core.model import Linear
from llmplanner.core.recipes import linear as layouts
from llmplanner.core.recipes.linear import Part, Parts
from llmplanner.core.tensors import Role
from llmplanner.models.quantized.module_names import Names, exact_names
from llmplanner.models.quantized.scheme import Scheme, Setting, Store, Table, flat, number, pair


def scheme(setting: Setting) -> Scheme | None:
    """How its groups are stored; None where one of them is in a form that is not known. Raises BadInput."""
    groups = setting.table.get("config_groups")
    if not isinstance(groups, Mapping) or not groups:
        return None
    named: list[tuple[Names, Store]] = []
    others: Store | None = None
    label = ""
    for group in groups.values():
        read = _group(setting, group) if isinstance(group, Mapping) else None
        if read is None:
            return None
        store, label = read[0], label or read[1]
        targets = flat(group.get("targets") or [], "targets")
        names = tuple(one for one in targets if one != "Linear")
        others = store if "Linear" in targets else others
        named.append((exact_names(names), store))
    ignored = setting.listed("ignore") or ()
    ignore = exact_names(ignored)

    def choose(name: str, role: Role) -> Store | None:
        if role in {"embedding", "router"} or ignore.mean(name):
            return None
        return next((store for names, store in named if names.mean(name)), others)

    return Scheme(f"compressed-tensors {label}", choose, (ignore, *(names for names, _ in named)))


def _group(setting: Setting, group: Table) -> tuple[Store, str] | None:
    """How one group of config_groups is stored, and what it is called; None where that is not known."""
    weights = group.get("weights")
    if not isinstance(weights, Mapping):
        return None
    form = group.get("format") or setting.table.get("format")
    inputs = group.get("input_activations")
    static = isinstance(inputs, Mapping) and not inputs.get("dynamic")
    bits = number(weights, "num_bits", 8, (2, 3, 4, 8))
    strategy = weights.get("strategy")
    size = number(weights, "group_size", -1) if strategy in ("group", "tensor_group") else -1
    grouped = {"group": f", groups of {size}", "block": ", blocks"}.get(str(strategy), "")
    if form == "pack-quantized":
        store: Store = partial(
            layouts.packed,
            bits=bits,
            group=size,
            symmetric=weights.get("symmetric") is not False,
            order=weights.get("actorder") == "group",
            scale=setting.dtype,
        )
        return store, f"{bits}-bit{grouped}"
    if form == "nvfp4-pack-quantized":
        return partial(layouts.nvfp4, inputs=isinstance(inputs, Mapping)), "NVFP4"
    if form == "mxfp4-pack-quantized":
        return _packed_mxfp4, "MXFP4"
    if form not in ("int-quantized", "float-quantized", "naive-quantized") or bits != 8:  # noqa: PLR2004 - a byte
        return None
    kind = "I8" if weights.get("type") == "int" else "F8_E4M3"
    blocks = pair(weights.get("block_structure")) if strategy == "block" else None
    store = partial(
        _eight_bits,
        kind=kind,
        scale=setting.dtype,
        strategy=str(strategy),
        group=size,
        blocks=blocks,
        zeros=weights.get("symmetric") is False,
        inputs=static,
    )
    return store, f"{'INT8' if kind == 'I8' else 'FP8'}{grouped}"


def _packed_mxfp4(linear: Linear) -> Parts:
    return (
        Part("weight_packed", "U8", (linear.outputs, -(-linear.inputs // 2)), linear.inputs * linear.outputs),
        Part("weight_scale", "U8", (linear.outputs, -(-linear.inputs // layouts.MXFP4_BLOCK))),
    )


def _eight_bits(  # noqa: PLR0913 - the choices that compressed-tensors states
    linear: Linear,
    *,
    kind: str,
    scale: str,
    strategy: str,
    group: int,
    blocks: tuple[int, int] | None,
    zeros: bool,
    inputs: bool,
) -> Parts:
    """Weights of a byte each, with the scales of the strategy."""
    shape: tuple[int, ...] = (linear.outputs, layouts.groups_of(linear.inputs, group))
    if blocks is not None:
        shape = (-(-linear.outputs // blocks[0]), -(-linear.inputs // blocks[1]))
    elif strategy == "tensor":
        shape = (1,)
    parts: Parts = (
        Part("weight", kind, (linear.outputs, linear.inputs), linear.outputs * linear.inputs),
        Part("weight_scale", scale, shape),
    )
    if zeros:
        parts += (Part("weight_zero_point", kind, shape),)
    return (*parts, Part("input_scale", scale, (1,))) if inputs else parts
