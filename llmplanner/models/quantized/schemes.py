"""What a quantization_config says: how each kind of linear is stored, library by library.

Sources: the libraries that core/recipes/linear.py names; Transformers 5.23 quantizers/ and integrations/;
AutoAWQ awq/modules/linear/gemv.py and gemv_fast.py.
"""

from collections.abc import Callable, Mapping
from functools import partial

from llmplanner.core.errors import BadInput
from llmplanner.core.model import Linear
from llmplanner.core.recipes import linear as layouts
from llmplanner.core.recipes.linear import Part, Parts
from llmplanner.core.tensors import Role
from llmplanner.models.entries import shown
from llmplanner.models.quantized import compressed_tensors
from llmplanner.models.quantized.module_names import MOST_PATTERNS, Names, exact_names, names_of, too_many
from llmplanner.models.quantized.scheme import FIELD, Scheme, Setting, Store, flat, number, pair

GPTQ_BITS = (2, 3, 4, 8)
MLX_BITS = (2, 3, 4, 5, 6, 8)
LISTS = ("modules_to_not_convert", "ignored_layers", "exclude_modules", "ignore")  # of what stays as it was


def scheme_of(setting: Setting) -> Scheme | None:
    """What the table says; None for a method that is not read. Raises BadInput."""
    method = setting.table.get("quant_method")
    if method is None:
        told = {"load_in_4bit": "bitsandbytes", "load_in_8bit": "bitsandbytes", "quant_algo": "modelopt"}
        method = next((name for key, name in told.items() if key in setting.table), "")
    read = METHODS.get(method) if isinstance(method, str) else None
    return None if read is None else read(setting)


def _skipping(
    setting: Setting, names: tuple[str, ...] | None, store: Store, label: str, *, exact: bool = True
) -> Scheme:
    """Every linear but those on the list; without one, all but the head."""
    skipped = names_of(names or (), setting.modules)

    def choose(name: str, role: Role) -> Store | None:
        if role == "embedding" or skipped.mean(name) or (role == "head" and names is None):
            return None
        return store

    return Scheme(label, choose, (skipped,), exact)


def _in_layers(setting: Setting, store: Store, label: str, skip: tuple[str, ...] = ()) -> Scheme:
    """Every linear of the layers but routers and those on the list."""
    skipped = names_of(skip, setting.modules)

    def choose(name: str, role: Role) -> Store | None:
        outside = role in {"router", "head", "pooler", "projection", "embedding"}
        return None if outside or skipped.mean(name) else store

    return Scheme(label, choose, (skipped,))


def _groups(group: int) -> str:
    return "a scale a column" if group == -1 else f"groups of {group}"


# GPTQ and AWQ


def _gptq(setting: Setting) -> Scheme:
    bits = setting.number("bits", 4, GPTQ_BITS)
    group = setting.number("group_size", 128)
    store: Store = partial(layouts.gptq, bits=bits, group=group)
    own = setting.table.get("modules_in_block_to_quantize")
    inside = names_of(flat(own, "modules_in_block_to_quantize"), setting.modules) if own else None
    skipped = setting.listed("modules_to_not_convert") or ()
    left = _in_layers(setting, store, f"GPTQ {bits}-bit, {_groups(group)}", skipped)
    single = _gptq_single(setting)

    def choose(name: str, role: Role) -> Store | None:
        usual = left.store(name, role)
        if role == "head" and setting.table.get("lm_head") is True:
            usual = store
        if usual is None or (inside is not None and role != "head" and not inside.mean(name)):
            return None
        return next((its for names, its in single if names.mean(name)), usual)

    return Scheme(left.label, choose, (*left.lists, *(names for names, _ in single)))


def _gptq_single(setting: Setting) -> tuple[tuple[Names, Store | None], ...]:
    """GPTQModel's `dynamic`: modules left as they are ("-:name"), or with bits or groups of their own."""
    table = setting.table.get("dynamic")
    if isinstance(table, Mapping) and len(table) > MOST_PATTERNS:
        raise too_many()
    found: list[tuple[Names, Store | None]] = []
    for pattern, entry in table.items() if isinstance(table, Mapping) else ():
        names = exact_names([f"re:{str(pattern).removeprefix('+:').removeprefix('-:')}"])
        if str(pattern).startswith("-:"):
            found.append((names, None))
        elif isinstance(entry, Mapping):
            its = {**setting.table, **entry}
            bits, group = number(its, "bits", 4, GPTQ_BITS), number(its, "group_size", 128)
            found.append((names, partial(layouts.gptq, bits=bits, group=group)))
    return tuple(found)


def _auto_round(setting: Setting) -> Scheme:
    packing = setting.table.get("packing_format")
    awq = isinstance(packing, str) and "awq" in packing
    scheme = (_awq if awq else _gptq)(setting)
    return Scheme(scheme.label.replace("GPTQ", "AutoRound"), scheme.store, scheme.lists, exact=False)


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
    if kind not in ("nf4", "fp4"):
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
    static = setting.table.get("activation_scheme") == "static"
    whole = static or "ignored_layers" in setting.table  # AutoFP8, which knows no blocks
    block = setting.table.get("weight_block_size", None if whole else [128, 128])
    experts = setting.table.get("expert_dtype")
    if block is None:
        store: Store = partial(layouts.fp8_tensor, scale="F32", inputs=static)
        label = "FP8, a scale a matrix"
    else:
        rows, columns = pair(block)
        # DeepSeek-V3.1 names the format of its scales ue8m0 too, and stores them in FP32.
        scale = "F8_E8M0" if experts and setting.table.get("scale_fmt") == "ue8m0" else "F32"
        store = partial(layouts.fp8_blocks, rows=rows, columns=columns, scale=scale)
        label = f"FP8, blocks of {rows} × {columns}"
    scheme = _without_routers(setting, store, label)
    modelopt = setting.table.get("moe_quant_algo") == "NVFP4"  # which puts its own format in place of it
    if experts != "fp4" and not modelopt:
        return scheme
    four = _modelopt_nvfp4 if modelopt else _fp4

    def choose(name: str, role: Role) -> Store | None:
        kept = scheme.store(name, role) is None
        return four if role == "expert" and not kept else scheme.store(name, role)

    return Scheme(f"{'NVFP4' if modelopt else 'FP4'} experts, {label}", choose, scheme.lists)


def _fp4(linear: Linear) -> Parts:
    """DeepSeek-V4's experts: two weights to a byte, an exponent to each 32 inputs."""
    return (
        Part("weight", "I8", (linear.outputs, -(-linear.inputs // 2)), linear.inputs * linear.outputs),
        Part("scale", "F8_E8M0", (linear.outputs, -(-linear.inputs // layouts.MXFP4_BLOCK))),
    )


def _without_routers(setting: Setting, store: Store, label: str) -> Scheme:
    scheme = _skipping(setting, setting.listed(*LISTS), store, label)

    def choose(name: str, role: Role) -> Store | None:
        return None if role in {"router", "head"} else scheme.store(name, role)

    return Scheme(label, choose, scheme.lists)


def _fbgemm(setting: Setting) -> Scheme:
    return _without_routers(setting, partial(layouts.fp8_channel, scale="F32"), "FP8, a scale a row")


def _mxfp4(setting: Setting) -> Scheme:
    skipped = names_of(setting.listed("modules_to_not_convert") or (), setting.modules)

    def choose(name: str, role: Role) -> Store | None:
        return layouts.mxfp4 if role == "expert" and not skipped.mean(name) else None

    return Scheme("MXFP4 experts", choose, (skipped,))


def _modelopt(setting: Setting) -> Scheme | None:
    algorithm = setting.table.get("quant_algo")
    if algorithm == "MIXED_PRECISION":
        return _modelopt_mixed(setting)
    if not isinstance(algorithm, str) or algorithm not in MODELOPT:
        return None
    return _without_routers(setting, MODELOPT[algorithm], f"ModelOpt {algorithm}")


def _modelopt_mixed(setting: Setting) -> Scheme | None:
    """Each module as quantized_layers says; what it does not name stays as it was."""
    table = setting.table.get("quantized_layers")
    if not isinstance(table, Mapping):
        return None
    lists: dict[str, list[str]] = {}
    for name, own in table.items():
        algorithm = own.get("quant_algo") if isinstance(own, Mapping) else None
        if not isinstance(algorithm, str) or algorithm not in MODELOPT:
            return None
        lists.setdefault(algorithm, []).append(name)
    meant = [(names_of(names, setting.modules), MODELOPT[algorithm]) for algorithm, names in lists.items()]

    def choose(name: str, _role: Role) -> Store | None:
        return next((store for names, store in meant if names.mean(name)), None)

    return Scheme(f"ModelOpt {' and '.join(lists)}", choose, tuple(names for names, _ in meant))


def _nvfp4_weight(linear: Linear) -> Parts:
    return (
        Part("weight", "U8", (linear.outputs, -(-linear.inputs // 2)), linear.inputs * linear.outputs),
        Part("weight_scale", "F8_E4M3", (linear.outputs, -(-linear.inputs // layouts.NVFP4_BLOCK))),
        Part("weight_scale_2", "F32", ()),
    )


def _modelopt_nvfp4(linear: Linear) -> Parts:
    return (*_nvfp4_weight(linear), Part("input_scale", "F32", ()))


MODELOPT: Mapping[str, Store] = {
    "NVFP4": _modelopt_nvfp4,
    "W4A16_NVFP4": _nvfp4_weight,  # what enters stays in 16 bits
    "FP8": partial(layouts.fp8_tensor, scale="F32", inputs=True),
}


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
        group = number(data if isinstance(data, Mapping) else {}, "group_size", 128)
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


# Others


def _eetq(setting: Setting) -> Scheme:
    return _skipping(setting, setting.listed(*LISTS), _eetq_parts, "EETQ INT8")


def _eetq_parts(linear: Linear) -> Parts:
    return (
        Part("weight", "I8", (linear.inputs, linear.outputs), linear.inputs * linear.outputs),
        Part("weight_scales", "F16", (linear.outputs,)),
    )


def _bitnet(setting: Setting) -> Scheme:
    if setting.table.get("quantization_mode") == "online":
        return Scheme("BitNet, weights not packed", lambda _name, _role: None)
    store = partial(_bitnet_parts, scale=setting.dtype)
    return _skipping(setting, setting.listed(*LISTS), store, "BitNet, 4 weights a byte")


def _bitnet_parts(linear: Linear, scale: str) -> Parts:
    return (
        Part("weight", "U8", (linear.outputs // 4, linear.inputs), linear.inputs * linear.outputs),
        Part("weight_scale", scale, (1,)),
    )


# MLX


def _mlx(setting: Setting) -> Scheme | None:
    """Every matrix, tables too, but for what the config says of single modules."""
    if setting.table.get("mode") not in (None, "affine"):
        return None
    usual = _mlx_store(setting.table, setting)
    own: dict[str, Store | None] = {}
    for name, entry in setting.table.items():
        if isinstance(entry, Mapping):
            own[name] = _mlx_store(entry, setting)
        elif entry is False:
            own[name] = None
    bits, group = setting.number("bits", 4, MLX_BITS), setting.number("group_size", 64)
    return Scheme(f"MLX {bits}-bit, {_groups(group)}", lambda name, _: own.get(name, usual))


def _mlx_store(table: Mapping[str, object], setting: Setting) -> Store:
    bits, group = number(table, "bits", 4, MLX_BITS), number(table, "group_size", 64)
    return partial(_mlx_parts, bits=bits, group=group, scale=setting.dtype)


def _mlx_parts(linear: Linear, bits: int, group: int, scale: str) -> Parts:
    """Words along the inputs, a scale and a bias to each group; rows that groups do not divide stay whole."""
    if group < 1 or linear.inputs % group:
        return layouts.plain(linear, scale)
    groups = (linear.outputs, linear.inputs // group)
    return (
        Part("weight", "U32", (linear.outputs, linear.inputs * bits // 32), linear.inputs * linear.outputs),
        Part("scales", scale, groups),
        Part("biases", scale, groups),
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
    "compressed-tensors": compressed_tensors.scheme,
    "torchao": _torchao,
    "mlx": _mlx,
    "eetq": _eetq,
    "bitnet": _bitnet,
}
