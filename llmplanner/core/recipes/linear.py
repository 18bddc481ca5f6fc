"""The tensors that a quantized linear is stored as, scales and zero points with them, library by library.

A function here takes one matrix of `outputs` x `inputs` and gives its parts; a bias stays as it was.
Which linears of a model are quantized is decided elsewhere.
"""

import json
from dataclasses import dataclass
from math import prod

from llmplanner.core.model import Linear

BITS = {"F64": 64, "I64": 64, "F32": 32, "I32": 32, "U32": 32, "F16": 16, "BF16": 16, "I16": 16} | {
    "I8": 8,
    "U8": 8,
    "F8_E4M3": 8,
    "F8_E8M0": 8,
}
TORCH_NAMES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}

BNB_BLOCK = 64  # elements to a scale
BNB_NESTED_BLOCK = 256  # scales to a scale of theirs
BNB_CODES = {"nf4": 16, "fp4": 16}
BNB_NESTED_CODES = 256
BNB_OFFSET = (
    "0.0" + "0" * 16
)  # the mean of the scales as decimals: 19.3 characters on average in a published 8B
NVFP4_BLOCK = 16
MXFP4_BLOCK = 32


@dataclass(frozen=True, slots=True)
class Part:
    """One stored tensor. `name` follows the linear's: "qweight" is stored as "model...q_proj.qweight"."""

    name: str
    format: str  # as safetensors call it
    shape: tuple[int, ...]
    elements: int = 0  # parameters that it stands for; scales and the like stand for none

    @property
    def bytes(self) -> int:
        """What it takes."""
        return prod(self.shape) * BITS[self.format] // 8


Parts = tuple[Part, ...]


def plain(linear: Linear, dtype: str = "BF16") -> Parts:
    """The matrix as it is, in one of the floating formats."""
    return (Part("weight", dtype, (linear.outputs, linear.inputs), _elements(linear)),)


def gptq(linear: Linear, bits: int, group: int, *, order: bool = True) -> Parts:
    """GPTQ: 32-bit words down the columns, FP16 scales and packed zero points to each group of inputs.

    `group` -1: one group a column. `order`: the group of each input is stored too.
    Source: AutoGPTQ (auto_gptq/nn_modules/qlinear), which GPTQModel and Transformers read.
    """
    groups = groups_of(linear.inputs, group)
    parts = (
        Part("qweight", "I32", (_words(linear.inputs, bits), linear.outputs), _elements(linear)),
        Part("qzeros", "I32", (groups, _words(linear.outputs, bits))),
        Part("scales", "F16", (groups, linear.outputs)),
    )
    return (*parts, Part("g_idx", "I32", (linear.inputs,))) if order else parts


def awq(linear: Linear, bits: int, group: int) -> Parts:
    """AWQ in its GEMM layout: 32-bit words along the outputs, no order of the inputs.

    Source: AutoAWQ (awq/modules/linear/gemm.py).
    """
    groups = groups_of(linear.inputs, group)
    return (
        Part("qweight", "I32", (linear.inputs, _words(linear.outputs, bits)), _elements(linear)),
        Part("qzeros", "I32", (groups, _words(linear.outputs, bits))),
        Part("scales", "F16", (groups, linear.outputs)),
    )


def bnb_int8(linear: Linear) -> Parts:
    """LLM.int8(): one FP32 scale to each output row, and one byte that names the layout.

    Source: Dettmers et al. 2022 (arXiv:2208.07339); bitsandbytes, Linear8bitLt.
    """
    return (
        Part("weight", "I8", (linear.outputs, linear.inputs), _elements(linear)),
        Part("SCB", "F32", (linear.outputs,)),
        Part("weight_format", "U8", ()),
    )


def bnb_4bit(
    linear: Linear, *, double: bool = False, kind: str = "nf4", dtype: str = "BF16", block: int = BNB_BLOCK
) -> Parts:
    """NF4 or FP4: two weights to a byte, a scale to each block of 64, and what reads them back.

    `double`: the scales are 8-bit numbers with scales of their own (QLoRA, arXiv:2305.14314 sec. 3). Then one
    decimal number is stored as text, whose length differs from tensor to tensor by a byte or two.
    Source: bitsandbytes, functional.py QuantState.
    """
    count = _elements(linear)
    blocks = _up(count, block)
    state: dict[str, object] = {
        "quant_type": kind,
        "blocksize": block,
        "dtype": TORCH_NAMES[dtype],
        "shape": [linear.outputs, linear.inputs],
    }
    parts: Parts = (
        Part("weight", "U8", (_up(count, 2), 1), count),
        Part("weight.absmax", "U8" if double else "F32", (blocks,)),
        Part("weight.quant_map", "F32", (BNB_CODES[kind],)),
    )
    length = len(json.dumps(state))
    if double:
        nested = {"nested_blocksize": BNB_NESTED_BLOCK, "nested_dtype": "float32", "nested_offset": 0}
        length = len(json.dumps(state | nested)) - 1 + len(BNB_OFFSET)
        parts += (
            Part("weight.nested_absmax", "F32", (_up(blocks, BNB_NESTED_BLOCK),)),
            Part("weight.nested_quant_map", "F32", (BNB_NESTED_CODES,)),
        )
    return (*parts, Part(f"weight.quant_state.bitsandbytes__{kind}", "U8", (length,)))


def fp8_blocks(linear: Linear, rows: int = 128, columns: int = 128, scale: str = "F32") -> Parts:
    """FP8 with a scale to each tile of the matrix, begun tiles counted whole.

    Source: DeepSeek-V3 (arXiv:2412.19437) sec. 3.3.2; Transformers 5.23 integrations/finegrained_fp8.py.
    """
    tiles = (_up(linear.outputs, rows), _up(linear.inputs, columns))
    return (_fp8(linear), Part("weight_scale_inv", scale, tiles))


def fp8_channel(linear: Linear, scale: str = "BF16") -> Parts:
    """FP8 with a scale to each output row (compressed-tensors float-quantized, FBGEMM)."""
    return (_fp8(linear), Part("weight_scale", scale, (linear.outputs, 1)))


def fp8_tensor(linear: Linear, scale: str = "BF16", *, inputs: bool = False) -> Parts:
    """FP8 with one scale to the matrix, and one to what enters it where `inputs` is set."""
    parts = (_fp8(linear), Part("weight_scale", scale, (1,)))
    return (*parts, Part("input_scale", scale, (1,))) if inputs else parts


def int8_channel(linear: Linear, scale: str = "BF16") -> Parts:
    """INT8 with a scale to each output row (compressed-tensors int-quantized)."""
    weight = Part("weight", "I8", (linear.outputs, linear.inputs), _elements(linear))
    return (weight, Part("weight_scale", scale, (linear.outputs, 1)))


def packed(  # noqa: PLR0913 - the choices that compressed-tensors states
    linear: Linear,
    bits: int,
    group: int,
    *,
    symmetric: bool = True,
    order: bool = False,
    scale: str = "BF16",
) -> Parts:
    """compressed-tensors pack-quantized: 32-bit words along the inputs, their shape stated beside them.

    Source: compressed-tensors, compressors/pack_quantized.
    """
    groups = groups_of(linear.inputs, group)
    parts: Parts = (
        Part("weight_packed", "I32", (linear.outputs, _words(linear.inputs, bits)), _elements(linear)),
        Part("weight_scale", scale, (linear.outputs, groups)),
        Part("weight_shape", "I64", (2,)),
    )
    if not symmetric:
        parts += (Part("weight_zero_point", "I32", (_words(linear.outputs, bits), groups)),)
    return (*parts, Part("weight_g_idx", "I32", (linear.inputs,))) if order else parts


def mxfp4(linear: Linear) -> Parts:
    """MXFP4: a shared 8-bit exponent to each 32 inputs (OCP MX v1.0), in the layout of gpt-oss's experts.

    Source: Transformers 5.23 integrations/mxfp4.py.
    """
    blocks = _up(linear.inputs, MXFP4_BLOCK)
    return (
        Part("blocks", "U8", (linear.outputs, blocks, MXFP4_BLOCK // 2), _elements(linear)),
        Part("scales", "U8", (linear.outputs, blocks)),
    )


def nvfp4(linear: Linear, *, inputs: bool = True) -> Parts:
    """NVFP4: an FP8 scale to each 16 inputs and an FP32 one to the matrix.

    `inputs`: one FP32 scale more, for what enters the matrix.
    Source: compressed-tensors, compressors/nvfp4/base.py.
    """
    parts = (
        Part("weight_packed", "U8", (linear.outputs, _up(linear.inputs, 2)), _elements(linear)),
        Part("weight_scale", "F8_E4M3", (linear.outputs, _up(linear.inputs, NVFP4_BLOCK))),
        Part("weight_global_scale", "F32", (1,)),
    )
    return (*parts, Part("input_global_scale", "F32", (1,))) if inputs else parts


def groups_of(inputs: int, group: int) -> int:
    """Groups of a row that share a scale; -1 stands for the whole row."""
    return 1 if group == -1 else _up(inputs, group)


def _fp8(linear: Linear) -> Part:
    return Part("weight", "F8_E4M3", (linear.outputs, linear.inputs), _elements(linear))


def _elements(linear: Linear) -> int:
    return linear.outputs * linear.inputs


def _words(values: int, bits: int) -> int:
    """32-bit words that hold so many values; 3-bit values run on from word to word."""
    return _up(values * bits, 32)


def _up(amount: int, unit: int) -> int:
    return -(-amount // unit)
