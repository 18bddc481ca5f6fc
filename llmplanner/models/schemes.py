"""What a quantization_config says: how each kind of linear is stored, library by library.

Sources: the libraries that core/recipes/linear.py names; Transformers 5.23 quantizers; compressed-tensors
quantization/quant_args.py and quant_config.py; AutoAWQ awq/modules/linear/gemv.py and gemv_fast.py.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

from llmplanner.core.errors import BadInput
from llmplanner.core.model import Linear
from llmplanner.core.recipes import linear as layouts
from llmplanner.core.recipes.linear import Part, Parts
from llmplanner.core.tensors import Role
from llmplanner.models.entries import shown
from llmplanner.models.module_names import Names, exact_names, exactly, names_of

FIELD = "quantization_config"
MOST_GROUP = 10_000_000  # inputs that share a scale
Store = Callable[[Linear], Parts]
Table = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Scheme:
    """How a checkpoint is stored. `store` gives the layout of a linear, None where it stays as it was."""

    label: str
    store: Callable[[str, Role], Store | None]
    lists: tuple[str, ...] = ()  # the names that the config states, as they stand there
    exact: bool = True


@dataclass(frozen=True, slots=True)
class Setting:
    """What a scheme is read from: the table, the other tensors' type, the names of all linears."""

    table: Table
    dtype: str  # as safetensors call it
    modules: tuple[str, ...]

    def number(self, name: str, default: int, allowed: Iterable[int] | None = None) -> int:
        """A whole number. Raises BadInput."""
        return _number(self.table, name, default, allowed)

    def listed(self, *names: str) -> tuple[str, ...] | None:
        """The first of these lists that the table has; None where it has none. Raises BadInput."""
        for name in names:
            value = self.table.get(name)
            if value is None:
                continue
            if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
                raise BadInput(f"{FIELD}: {name} is {shown(value)}; it must be a list of names.", FIELD)
            return tuple(value)
        return None


def _number(table: Table, name: str, default: int, allowed: Iterable[int] | None = None) -> int:
    value = table.get(name)
    if value is None:
        return default
    allowed = None if allowed is None else tuple(allowed)
    fits = allowed.__contains__ if allowed else lambda size: size == -1 or 1 <= size <= MOST_GROUP
    if isinstance(value, int) and not isinstance(value, bool) and fits(value):
        return value
    choice = "one of " + ", ".join(map(str, allowed)) if allowed else "a whole number above 0"
    raise BadInput(f"{FIELD}: {name} is {shown(value)}; it must be {choice}.", FIELD)


def scheme_of(setting: Setting) -> Scheme | None:
    """What the table says; None for a method that is not read. Raises BadInput."""
    method = setting.table.get("quant_method")
    if method is None:
        method = "bitsandbytes" if "load_in_4bit" in setting.table or "load_in_8bit" in setting.table else ""
    read = METHODS.get(method) if isinstance(method, str) else None
    return None if read is None else read(setting)


def _skipping(
    setting: Setting, names: tuple[str, ...] | None, store: Store, label: str, *, exact: bool = True
) -> Scheme:
    """Every linear but those on the list; without one, all but the head."""
    skipped: Names = names_of(names or (), setting.modules)

    def choose(name: str, role: Role) -> Store | None:
        if skipped.mean(name) or (role == "head" and names is None):
            return None
        return store

    return Scheme(label, choose, names or (), exact)


def _in_layers(setting: Setting, store: Store, label: str, skip: tuple[str, ...] = ()) -> Scheme:
    """Every linear of the layers but routers and those on the list."""
    skipped = names_of(skip, setting.modules)

    def choose(name: str, role: Role) -> Store | None:
        outside = role in {"router", "head", "pooler", "projection", "embedding"}
        return None if outside or skipped.mean(name) else store

    return Scheme(label, choose, skip)


def _groups(group: int) -> str:
    return "a scale a column" if group == -1 else f"groups of {group}"


# GPTQ and AWQ


def _gptq(setting: Setting) -> Scheme:
    bits = setting.number("bits", 4, (2, 3, 4, 8))
    group = setting.number("group_size", 128)
    store: Store = partial(layouts.gptq, bits=bits, group=group)
    own = setting.table.get("modules_in_block_to_quantize")
    inside = names_of(_flat(own), setting.modules) if own else None
    skipped = setting.listed("modules_to_not_convert") or ()
    left = _in_layers(setting, store, f"GPTQ {bits}-bit, {_groups(group)}", skipped)

    def choose(name: str, role: Role) -> Store | None:
        if role == "head":
            return store if setting.table.get("lm_head") is True else None
        return left.store(name, role) if inside is None or inside.mean(name) else None

    return Scheme(left.label, choose, skipped)


def _auto_round(setting: Setting) -> Scheme:
    packing = setting.table.get("packing_format")
    awq = isinstance(packing, str) and "awq" in packing
    scheme = (_awq if awq else _gptq)(setting)
    return Scheme(scheme.label.replace("GPTQ", "AutoRound"), scheme.store, scheme.lists, exact=False)


def _flat(value: object) -> tuple[str, ...]:
    """The names in a list of lists."""
    if isinstance(value, list):
        return tuple(name for item in value for name in (item if isinstance(item, list) else [item]))
    raise BadInput(f"{FIELD}: modules_in_block_to_quantize must be a list of lists of names.", FIELD)


def _awq(setting: Setting) -> Scheme:
    bits = setting.number("bits", setting.number("w_bit", 4, (4,)), (4,))
    group = setting.number("group_size", setting.number("q_group_size", 128))
    version = str(setting.table.get("version") or "gemm").lower()
    kinds: dict[str, Store] = {
        "gemm": partial(layouts.awq, bits=bits, group=group),
        "gemv": partial(_awq_gemv, group=group),
        "gemv_fast": partial(_awq_gemv_fast, group=group),
    }
    if version not in kinds:
        raise BadInput(f"{FIELD}: the AWQ version is {shown(version)}; known are {', '.join(kinds)}.", FIELD)
    skipped = setting.listed("modules_to_not_convert") or ()
    return _in_layers(setting, kinds[version], f"AWQ {bits}-bit, {_groups(group)}", skipped)


def _padded_groups(linear: Linear, group: int) -> int:
    """GEMV keeps its zero points in whole rows of words: groups, rounded up."""
    words = -(-(linear.inputs // group if group > 0 else 1) // 8)
    unit = {32: 4, 64: 2}.get(group, 1)
    return 8 * unit * -(-words // unit)


def _awq_gemv(linear: Linear, group: int) -> Parts:
    groups = _padded_groups(linear, group)
    weights = linear.inputs * linear.outputs
    return (
        Part("qweight", "I32", (linear.outputs, -(-linear.inputs // 8)), weights),
        Part("qzeros", "I32", (linear.outputs, groups // 8)),
        Part("scales", "F16", (linear.outputs, groups)),
    )


def _awq_gemv_fast(linear: Linear, group: int) -> Parts:
    groups = _padded_groups(linear, group)
    weights = linear.inputs * linear.outputs
    return (
        Part("qweight", "I16", (-(-linear.outputs // 4), linear.inputs), weights),
        Part("qzeros", "F16", (groups, linear.outputs)),
        Part("scales", "F16", (groups, linear.outputs)),
    )


# bitsandbytes


def _bitsandbytes(setting: Setting) -> Scheme:
    skipped = setting.listed("llm_int8_skip_modules", "modules_to_not_convert")
    if setting.table.get("load_in_8bit") is True:
        return _skipping(setting, skipped, layouts.bnb_int8, "LLM.int8()")
    if setting.table.get("load_in_4bit") is not True:
        raise BadInput(f"{FIELD}: neither load_in_4bit nor load_in_8bit is true; correct one.", FIELD)
    kind = setting.table.get("bnb_4bit_quant_type") or "fp4"
    if kind not in {"nf4", "fp4"}:
        raise BadInput(f"{FIELD}: bnb_4bit_quant_type is {shown(kind)}; it is nf4 or fp4.", FIELD)
    double = setting.table.get("bnb_4bit_use_double_quant") is True
    dtype = setting.dtype if setting.dtype in layouts.TORCH_NAMES else "BF16"
    store: Store = partial(layouts.bnb_4bit, double=double, kind=str(kind), dtype=dtype)
    label = f"bitsandbytes {str(kind).upper()}{', double quantization' if double else ''}"
    # Of doubly quantized scales, a decimal number stands in the file as text, a byte longer or shorter: less
    # than a millionth of the file, so the bytes count as exact.
    return _skipping(setting, skipped, store, label)


# FP8 and the formats of four bits


def _fp8(setting: Setting) -> Scheme:
    block = setting.table.get("weight_block_size")
    static = setting.table.get("activation_scheme") == "static"
    if block is None:
        store: Store = partial(layouts.fp8_tensor, scale="F32", inputs=static)
        label = "FP8, a scale a matrix"
    else:
        rows, columns = _pair(block)
        store = partial(layouts.fp8_blocks, rows=rows, columns=columns)
        label = f"FP8, blocks of {rows} × {columns}"
    return _without_routers(setting, store, label)


def _pair(block: object) -> tuple[int, int]:
    if isinstance(block, list) and len(block) == 2:  # noqa: PLR2004 - rows and columns
        table = dict(zip(("rows", "columns"), block, strict=True))
        rows, columns = (_number(table, name, 128) for name in ("rows", "columns"))
        if rows > 0 and columns > 0:
            return rows, columns
    raise BadInput(f"{FIELD}: a block's size is {shown(block)}; it must be two whole numbers.", FIELD)


def _without_routers(setting: Setting, store: Store, label: str) -> Scheme:
    scheme = _skipping(
        setting, setting.listed("modules_to_not_convert", "ignored_layers", "ignore"), store, label
    )

    def choose(name: str, role: Role) -> Store | None:
        return None if role in {"router", "head"} else scheme.store(name, role)

    return Scheme(label, choose, scheme.lists)


def _fbgemm(setting: Setting) -> Scheme:
    return _without_routers(setting, partial(layouts.fp8_channel, scale="F32"), "FP8, a scale a row")


def _mxfp4(setting: Setting) -> Scheme:
    skipped = names_of(setting.listed("modules_to_not_convert") or (), setting.modules)

    def choose(name: str, role: Role) -> Store | None:
        return layouts.mxfp4 if role == "expert" and not skipped.mean(name) else None

    return Scheme("MXFP4 experts", choose, setting.listed("modules_to_not_convert") or ())


def _modelopt(setting: Setting) -> Scheme | None:
    algorithm = setting.table.get("quant_algo")
    kinds: dict[str, Store] = {
        "NVFP4": _modelopt_nvfp4,
        "FP8": partial(layouts.fp8_tensor, scale="F32", inputs=True),
    }
    if not isinstance(algorithm, str) or algorithm not in kinds:
        return None
    skipped = setting.listed("exclude_modules", "ignore")
    return _skipping(setting, skipped, kinds[algorithm], f"ModelOpt {algorithm}")


def _modelopt_nvfp4(linear: Linear) -> Parts:
    return (
        Part("weight", "U8", (linear.outputs, -(-linear.inputs // 2)), linear.inputs * linear.outputs),
        Part("weight_scale", "F8_E4M3", (linear.outputs, -(-linear.inputs // layouts.NVFP4_BLOCK))),
        Part("weight_scale_2", "F32", ()),
        Part("input_scale", "F32", ()),
    )


# compressed-tensors


def _compressed(setting: Setting) -> Scheme | None:
    groups = setting.table.get("config_groups")
    if not isinstance(groups, Mapping) or not groups:
        return None
    named: list[tuple[tuple[str, ...], Store]] = []
    others: Store | None = None
    label = ""
    for group in groups.values():
        read = _group(setting, group) if isinstance(group, Mapping) else None
        if read is None:
            return None
        store, label = read[0], label or read[1]
        targets = _flat(group.get("targets") or [])
        names = tuple(one for one in targets if one != "Linear")
        others = store if "Linear" in targets else others
        named.append((exact_names(names), store))
    ignored = setting.listed("ignore") or ()
    ignore = exact_names(ignored)

    def choose(name: str, role: Role) -> Store | None:
        if role == "embedding" or exactly(ignore, name):
            return None
        return next((store for names, store in named if exactly(names, name)), others)

    lists = (*ignored, *(name for names, _ in named for name in names))
    return Scheme(f"compressed-tensors {label}", choose, lists)


def _group(setting: Setting, group: Table) -> tuple[Store, str] | None:
    """How one group of config_groups is stored, and what it is called; None where that is not known."""
    weights = group.get("weights")
    if not isinstance(weights, Mapping):
        return None
    form = group.get("format") or setting.table.get("format")
    inputs = group.get("input_activations")
    static = isinstance(inputs, Mapping) and not inputs.get("dynamic")
    bits = _number(weights, "num_bits", 8, (2, 3, 4, 8))
    strategy = weights.get("strategy")
    size = _number(weights, "group_size", -1) if strategy in {"group", "tensor_group"} else -1
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
    if form not in {"int-quantized", "float-quantized", "naive-quantized"} or bits != 8:  # noqa: PLR2004
        return None
    kind = "I8" if weights.get("type") == "int" else "F8_E4M3"
    blocks = _pair(weights.get("block_structure")) if strategy == "block" else None
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


# torchao


def _torchao(setting: Setting) -> Scheme | None:
    kind = setting.table.get("quant_type")
    inner = kind.get("default") if isinstance(kind, Mapping) else kind
    name = inner.get("_type") if isinstance(inner, Mapping) else inner
    data = inner.get("_data") if isinstance(inner, Mapping) else setting.table.get("quant_type_kwargs")
    plain = str(name).lower().replace("_", "").removesuffix("config")
    skipped = setting.listed("modules_to_not_convert")
    if plain in {"int8weightonly", "int8dynamicactivationint8weight"}:
        store: Store = partial(layouts.int8_channel, scale=setting.dtype)
        return _skipping(setting, skipped, store, "torchao INT8", exact=False)
    if plain == "int4weightonly":
        group = _number(data if isinstance(data, Mapping) else {}, "group_size", 128)
        store = partial(_torchao_int4, group=group)
        return _skipping(setting, skipped, store, f"torchao INT4, {_groups(group)}", exact=False)
    return None


def _torchao_int4(linear: Linear, group: int) -> Parts:
    groups = layouts.groups_of(linear.inputs, group)
    return (
        Part(
            "_weight_qdata", "I32", (linear.outputs, -(-linear.inputs // 8)), linear.inputs * linear.outputs
        ),
        Part("_weight_scale_and_zero", "BF16", (groups, linear.outputs, 2)),
    )


METHODS: Mapping[str, Callable[[Setting], Scheme | None]] = {
    "gptq": _gptq,
    "auto-round": _auto_round,
    "awq": _awq,
    "bitsandbytes": _bitsandbytes,
    "fp8": _fp8,
    "fbgemm_fp8": _fbgemm,
    "mxfp4": _mxfp4,
    "modelopt": _modelopt,
    "compressed-tensors": _compressed,
    "torchao": _torchao,
}
