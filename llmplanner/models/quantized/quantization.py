"""The bytes of a quantized checkpoint, from its config.json alone: scales, zero points and all."""

from collections.abc import Iterator, Mapping
from math import prod

from llmplanner.core.checkpoint import Amount, Checkpoint, StoredTensor
from llmplanner.core.errors import BadInput
from llmplanner.core.model import Embedding, Linear, Model, Module
from llmplanner.core.recipes.linear import Part, Parts, plain
from llmplanner.core.tensors import (
    Piece,
    Role,
    distinct,
    inventory,
    layer_pieces,
    outer_pieces,
    tensor_shapes,
)
from llmplanner.models.entries import shown
from llmplanner.models.quantized.module_names import too_many
from llmplanner.models.quantized.scheme import FIELD, Scheme, Setting

MOST_APART = 200_000  # matrices, above which experts are not told apart; the largest models have 170,000
MOST_NAMED = 50_000  # matrices without experts one by one: of fifty times as many layers as any model has
MOST_STEPS = 8_000_000  # pieces of text looked for in names: about a second
PACKED_BITS = frozenset({2, 3, 4, 5, 6, 8})
DTYPES = {"fp32": "F32", "fp16": "F16", "bf16": "BF16"}


def table_in(config: Mapping[str, object]) -> Mapping[str, object] | None:
    """The quantization_config of a config.json, at its top or with its text part. Raises BadInput."""
    text = config.get("text_config")
    for entries in (config, text if isinstance(text, Mapping) else {}):
        mlx = entries.get("quantization")  # which MLX repeats as a quantization_config without a method
        if isinstance(mlx, Mapping):
            return {**mlx, "quant_method": "mlx"}
        table = entries.get("quantization_config") or entries.get("compression_config")
        if isinstance(table, Mapping):
            experts = entries.get("expert_dtype")  # which DeepSeek-V4 states beside the table
            return table if experts is None else {"expert_dtype": experts, **table}
        if table is not None:
            raise BadInput(f"{FIELD} is {shown(table)}; it must be a table.", FIELD)
    return None


def bits_of(table: Mapping[str, object] | None) -> int | None:
    """Bits of packed weights, where a quantization_config states one number for all."""
    if table is None:
        return None
    groups = table.get("config_groups")
    stated = [table.get("bits")]
    if isinstance(groups, Mapping):
        weights = [group.get("weights") for group in groups.values() if isinstance(group, Mapping)]
        stated = [each.get("num_bits") for each in weights if isinstance(each, Mapping)]
    first = stated[0] if stated and all(bits == stated[0] for bits in stated) else None
    return first if isinstance(first, int) and first in PACKED_BITS else None


def method_of(table: Mapping[str, object]) -> str:
    """What the config calls its method, for a sentence."""
    return shown(table.get("quant_method"))


def label_of(table: Mapping[str, object]) -> str | None:
    """What the method is called, for people; None for one that is not known. Raises BadInput."""
    scheme = _scheme_of(Setting(table, "BF16", ()))
    return None if scheme is None else scheme.label


def checkpoint_of(model: Model, table: Mapping[str, object]) -> Checkpoint | None:
    """The model as it is stored under this quantization_config; None for a method that is not known.

    Raises BadInput where a value cannot be.
    """
    scheme, dtype = _read(model, table)
    if scheme is None:
        return None
    sums = _Sums()
    apart = any(names.tell_experts for names in scheme.lists)
    for _, parts, times in _stored(model, scheme, dtype, apart=apart):
        sums.add(parts, times)
    for module, times in _others(model):
        for size in map(prod, tensor_shapes(module)):
            sums.add((Part("", dtype, (size,), size),), times)
    return Checkpoint(scheme.label, sums.amounts(), "its quantization_config", scheme.exact)


def stored_tensors(model: Model, table: Mapping[str, object]) -> tuple[StoredTensor, ...]:
    """The same, tensor by tensor; empty for a method that is not known. Raises BadInput."""
    scheme, dtype = _read(model, table)
    if scheme is None:
        return ()
    linears: dict[str, list[Parts]] = {}
    for name, parts, _ in _stored(model, scheme, dtype, apart=True):
        linears.setdefault(name, []).append(parts)
    found = [tensor for name, copies in linears.items() for tensor in _tensors(name, copies)]
    found.extend(
        _tensor(tensor.name, Part("", dtype, tensor.shape, tensor.elements))
        for tensor in inventory(model)
        if linears.keys().isdisjoint(_modules(tensor.name))
    )
    return tuple(found)


def _modules(tensor: str) -> tuple[str, ...]:
    """The linears that a tensor of this name may be of; experts in one tensor have no `.weight`."""
    return tensor.rpartition(".")[0], tensor, tensor.removesuffix("_bias")


def _tensors(name: str, copies: list[Parts]) -> Iterator[StoredTensor]:
    """What a linear is stored as; the experts of one name lie in one tensor (gpt-oss)."""
    count = len(copies)
    for part in copies[0]:
        if count == 1:
            yield _tensor(f"{name}.{part.name}", part)
        else:
            shape = (count, *part.shape)
            yield StoredTensor(
                f"{name}_{part.name}", shape, part.format, count * part.elements, count * part.bytes
            )


def _tensor(name: str, part: Part) -> StoredTensor:
    return StoredTensor(name, part.shape, part.format, part.elements, part.bytes)


def _read(model: Model, table: Mapping[str, object]) -> tuple[Scheme | None, str]:
    """The scheme, and the type of what it leaves as it was."""
    dtype = DTYPES.get(model.dtype, "BF16")
    modules = tuple(name for name, _, _, _ in _linears(model, apart=False))
    if len(modules) > MOST_NAMED:
        raise BadInput(
            f"{FIELD} goes with a model of {len(modules):,} matrices, more than any has that is quantized; "
            "correct the number of layers.",
            FIELD,
        )
    scheme = _scheme_of(Setting(table, dtype, modules))
    if scheme is not None and len(modules) * sum(names.steps for names in scheme.lists) > MOST_STEPS:
        raise too_many()
    return scheme, dtype


def _scheme_of(setting: Setting) -> Scheme | None:
    from llmplanner.models.quantized.schemes import scheme_of  # noqa: PLC0415 - most configs are not quantized

    return scheme_of(setting)


def _stored(model: Model, scheme: Scheme, dtype: str, *, apart: bool) -> Iterator[tuple[str, Parts, int]]:
    """Every matrix product with its bias: its name, the tensors that it is stored as, how many there are."""
    matrices = sum(times for _, _, _, times in _linears(model, apart=False)) if apart else 0
    if matrices > MOST_APART:
        raise BadInput(
            f"The model has {matrices:,} matrices, too many to tell its experts apart by the names in its "
            f"{FIELD}; correct the number of experts.",
            FIELD,
        )
    known: dict[tuple[Linear, object], Parts] = {}
    for name, role, linear, times in _linears(model, apart=apart):
        store = scheme.store(name, role)
        key = (linear, store)
        if key not in known:
            parts = plain(linear, dtype) if store is None else store(linear)
            bias = (Part("bias", dtype, (linear.outputs,), linear.outputs),) if linear.bias else ()
            known[key] = (*parts, *bias)
        yield name, known[key], times


class _Sums:
    """Tensors, parameters and bytes by format."""

    def __init__(self) -> None:
        self._sums: dict[str, list[int]] = {}

    def add(self, parts: Parts, times: int) -> None:
        """So many times these tensors."""
        for part in parts:
            total = self._sums.setdefault(part.format, [0, 0, 0])
            total[0] += times
            total[1] += times * part.elements
            total[2] += times * part.bytes

    def amounts(self) -> tuple[Amount, ...]:
        """Largest first."""
        found = (Amount(name, *total) for name, total in self._sums.items())
        return tuple(sorted(found, key=lambda amount: -amount.bytes))


def _linears(model: Model, *, apart: bool) -> Iterator[tuple[str, Role, Linear, int]]:
    """Every matrix: name, role, itself, and how many there are. `apart`: experts one by one."""
    for piece in outer_pieces(model):
        for role, linear in _matrix(piece):
            yield linear.name, role, linear, 1
    for stack in model.stacks:
        for group in stack.groups:
            matrices = [
                (each, piece.copies) for piece in layer_pieces(group.layer) for each in _matrix(piece)
            ]
            for index in group.indices[: distinct(group)]:
                prefix = stack.prefix.format(layer=index)
                for (role, linear), copies in matrices:
                    named = copies if apart else 1
                    for copy in range(named):
                        name = prefix + linear.name.format(expert=copy)
                        yield name, role, linear, copies // named


def _matrix(piece: Piece) -> Iterator[tuple[Role, Linear]]:
    """The piece and its role, where it is a linear, or a table, which is stored like one."""
    module = piece.module
    if isinstance(module, Linear):
        yield piece.role, module
    elif isinstance(module, Embedding):
        yield "embedding", Linear(module.name, module.width, module.rows)


def _others(model: Model) -> Iterator[tuple[Module, int]]:
    """Everything that is no matrix product, and how many there are."""
    for piece in outer_pieces(model):
        if not isinstance(piece.module, Linear | Embedding):
            yield piece.module, 1
    for stack in model.stacks:
        for group in stack.groups:
            for piece in layer_pieces(group.layer):
                if not isinstance(piece.module, Linear | Embedding):
                    yield piece.module, piece.copies * distinct(group)
