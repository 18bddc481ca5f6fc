"""What every term of a training step reads: one device's model, what its forward pass keeps, its sizes."""

from dataclasses import dataclass, replace

from llmplanner.core.autograd.tape import ARITHMETIC, FP32, Arithmetic, Cause, Unit
from llmplanner.core.autograd.trace import Place, Traced, trace
from llmplanner.core.engine import AttentionKernel
from llmplanner.core.formats import Format
from llmplanner.core.model import Model
from llmplanner.core.plan import Count, Lora, Split, Train, Weights
from llmplanner.core.recipes import BITSANDBYTES, RECIPES
from llmplanner.core.tensors import routed

SIXTEEN = 2  # bytes
_LOADED = frozenset(one.name for one in RECIPES.values() if one.group == BITSANDBYTES)  # quantized as loaded
WIDE = frozenset({"BF16", "F16"})  # formats of a file's tensors that are computed with as they are


@dataclass(frozen=True, slots=True)
class Base:
    """A frozen base that is stored in fewer bits than it is computed in, on one device."""

    name: str
    bytes: int
    wide: int  # elements in 16 bits
    source: str
    unpacked: int = 0  # bytes that routed experts take more where they are not quantized


@dataclass(frozen=True, slots=True)
class Step:
    """One step on one device. `model` is the device's share where tensors are divided."""

    model: Model
    train: Train
    split: Split
    arithmetic: Arithmetic
    traced: tuple[Traced, ...]
    weights: int  # elements of the model's own parameters, trained or not
    parameters: int  # elements of the trained tensors, before ZeRO divides them
    trained_bytes: int  # of the trained tensors, and of their gradients
    added: tuple[int, int]  # elements and bytes of what the method adds: adapters, trained copies
    tensors: int  # how many trained tensors there are
    largest: int  # elements of the largest
    base: Base | None = None  # where the model's own parameters are not in the format computed in
    from_nothing: bool = False  # pre-training: no part of the model can stay as it is

    @property
    def layers(self) -> tuple[Traced, ...]:
        """The groups of equal layers."""
        return tuple(each for each in self.traced if each.place is Place.LAYERS)

    @property
    def ends(self) -> tuple[Traced, ...]:
        """What stands before and behind the layers of each stack."""
        return tuple(each for each in self.traced if each.place is not Place.LAYERS)

    @property
    def tokens(self) -> Count:
        """Tokens whose logits are computed."""
        return self.traced[-1].counts[Unit.TOKEN]

    def cast_weights(self) -> int:
        """Bytes of the copies that autocast makes of the layers' matrices."""
        key = (Cause.CASTS, Unit.ONCE)
        return sum(each.distinct(each.count) * each.amounts.get(key, 0) for each in self.layers)


def one_step(model: Model, train: Train, split: Split, stored: Weights | None = None) -> Step:
    """The step of a device that holds `model`; eager where its class has no kernel of PyTorch's.

    `stored`: how the whole model's weights are, which counts for a quantized base.
    """
    if model.eager and train.attention is AttentionKernel.SDPA:
        train = replace(train, attention=AttentionKernel.EAGER)
    arithmetic = replace(ARITHMETIC[train.precision], slices=split.tensor if split.sequence_parallel else 1)
    if model.residual_fp32:
        arithmetic = replace(arithmetic, residual=FP32)
    if split.gathers:  # FSDP's own mixed precision: all of a layer is in the format computed in
        residual = arithmetic.operand
        arithmetic = replace(arithmetic, gathered=True, residual=residual, autocast=False)
    packed = isinstance(train.method, Lora) and train.method.quantized
    if packed and arithmetic.autocast:  # what is not quantized has 16 bits, as the base is loaded
        arithmetic = replace(arithmetic, weight=arithmetic.operand, residual=arithmetic.operand)
    traced = trace(model, train, arithmetic)
    tensors = [(each.distinct(each.count), weight) for each in traced for weight in each.parameters]
    sizes = [(times, one, times * one.elements) for times, one in tensors]
    weights = sum([elements for _, one, elements in sizes if not one.added])
    return Step(
        model,
        train,
        split,
        arithmetic,
        traced,
        weights=weights,
        parameters=sum([elements for _, one, elements in sizes if one.trained]),
        trained_bytes=sum([one.size * elements for _, one, elements in sizes if one.trained]),
        added=(
            sum([elements for _, one, elements in sizes if one.added]),
            sum([one.size * elements for _, one, elements in sizes if one.added]),
        ),
        tensors=sum([times for times, one, _ in sizes if one.trained]),
        largest=max([one.elements for _, one, _ in sizes if one.trained], default=0),
        base=_base(stored, weights, model) if packed and stored is not None else None,
    )


def _base(stored: Weights, elements: int, model: Model) -> Base:
    """The share of the stored weights that a device with so many parameters has."""
    if isinstance(stored, Format):
        return Base(stored.name, stored.bytes_for(elements), 0, "every parameter in one format")
    whole = max(stored.elements, 1)
    wide = sum(amount.elements for amount in stored.amounts if amount.format in WIDE)
    size, unpacked = -(-stored.bytes * elements // whole), 0
    if stored.label in _LOADED:
        packed = stored.bytes - SIXTEEN * wide
        experts = routed(model)
        unpacked = SIXTEEN * experts - packed * experts // max(whole - wide, 1)
    return Base(stored.name, size, wide * elements // whole, stored.source, unpacked)


def shown(count: Count) -> str:
    """A count in a formula; "n" for a map of them."""
    return f"{count:,}" if isinstance(count, int) else "n"
