"""What the libraries that quantize safetensors files make of a model.

They quantize the matrices of the layers. Embeddings, norms, biases and the output head stay in 16 bits, and
so does what routes tokens to experts, but for bitsandbytes, which takes every matrix product of a layer.
"""

from collections.abc import Callable
from functools import partial

from llmplanner.core.checkpoint import Amount, Checkpoint
from llmplanner.core.model import Experts, Linear, Model, Module, Norm
from llmplanner.core.recipes import BITSANDBYTES, Recipe, linear
from llmplanner.core.recipes.linear import BITS, Parts
from llmplanner.core.tensors import distinct, elements, layer_pieces, outer_pieces

QUANTIZED = frozenset({"attention", "feed_forward", "expert", "shared_expert", "recurrent"})
EXPERTS = frozenset({"expert"})
ROUTERS = frozenset({"router"})
FP16_ONLY = frozenset({"gptq", "awq", "int8"})  # they keep the rest in FP16


def _layouts(dtype: str) -> dict[str, Callable[[Linear], Parts]]:
    """What each recipe stores a matrix as, in a model whose other parameters are of that type."""
    return {
        "nf4": partial(linear.bnb_4bit, dtype=dtype),
        "nf4-double": partial(linear.bnb_4bit, double=True, dtype=dtype),
        "int8-bnb": linear.bnb_int8,
        "gptq-4bit-g128": partial(linear.gptq, bits=4, group=128),
        "gptq-4bit-g32": partial(linear.gptq, bits=4, group=32),
        "gptq-8bit-g128": partial(linear.gptq, bits=8, group=128),
        "awq-4bit-g128": partial(linear.awq, bits=4, group=128),
        "fp8-channel": partial(linear.fp8_channel, scale=dtype),
        "fp8-block": linear.fp8_blocks,
        "mxfp4": linear.mxfp4,
        "nvfp4": linear.nvfp4,
    }


class _Sums:
    """Tensors, parameters and bytes by format."""

    def __init__(self) -> None:
        self._sums: dict[str, list[int]] = {}

    def plain(self, module: Module, dtype: str, times: int) -> None:
        """Adds a module as it is."""
        count = elements(module)
        if count:
            self._add(dtype, times * _tensors(module), times * count, times * count * BITS[dtype] // 8)

    def quantized(self, module: Linear, parts: Parts, dtype: str, times: int) -> None:
        """Adds a linear as the parts that it is stored as; its bias as it is."""
        for part in parts:
            self._add(part.format, times, times * part.elements, times * part.bytes)
        if module.bias:
            self._add(dtype, times, times * module.outputs, times * module.outputs * BITS[dtype] // 8)

    def amounts(self) -> tuple[Amount, ...]:
        """The sums, largest first."""
        amounts = (Amount(name, *total) for name, total in self._sums.items())
        return tuple(sorted(amounts, key=lambda one: -one.bytes))

    def _add(self, name: str, tensors: int, parameters: int, size: int) -> None:
        total = self._sums.setdefault(name, [0, 0, 0])
        total[0] += tensors
        total[1] += parameters
        total[2] += size


def _tensors(module: Module) -> int:
    """How many tensors an unquantized module is."""
    if isinstance(module, Linear):
        return 1 + module.bias
    return module.weight + module.bias if isinstance(module, Norm) else 1


def files_of(model: Model, recipe: Recipe) -> Checkpoint:
    """What the library's files of the model hold. Groups of equal layers are counted once each."""
    dtype = "F16" if model.dtype == "fp16" or recipe.key.partition("-")[0] in FP16_ONLY else "BF16"
    layers = [group.layer for stack in model.stacks for group in stack.groups]
    mixture = any(isinstance(layer.feed_forward, Experts) for layer in layers)
    published = mixture and recipe.key == "mxfp4"  # as gpt-oss: of its experts alone
    routers = ROUTERS if recipe.group == BITSANDBYTES else frozenset()
    quantized = EXPERTS if published else QUANTIZED | routers
    layout = _layouts(dtype)[recipe.key]
    sums = _Sums()
    for piece in outer_pieces(model):
        sums.plain(piece.module, dtype, 1)
    for group in (group for stack in model.stacks for group in stack.groups):
        for piece in layer_pieces(group.layer):
            times = piece.copies * distinct(group)
            if piece.role in quantized and isinstance(piece.module, Linear):
                sums.quantized(piece.module, layout(piece.module), dtype, times)
            else:
                sums.plain(piece.module, dtype, times)
    exact = published or not mixture  # libraries differ in which parts of a mixture they leave out
    return Checkpoint(recipe.name, sums.amounts(), recipe.source, exact)
