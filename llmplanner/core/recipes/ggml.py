"""The number formats of GGUF files: blocks of so many weights in so many bytes.

Source: ggml-org/llama.cpp, ggml/src/ggml-common.h, at llama.cpp 0.5.0-dev; checked against the sizes of 3,290
runs of llama-quantize.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

BLOCKS: Mapping[str, tuple[int, int]] = MappingProxyType(  # weights and bytes of a block
    {
        "F32": (1, 4), "F16": (1, 2), "BF16": (1, 2), "F64": (1, 8),
        "I8": (1, 1), "I16": (1, 2), "I32": (1, 4), "I64": (1, 8),
        "Q4_0": (32, 18), "Q4_1": (32, 20), "Q5_0": (32, 22), "Q5_1": (32, 24), "Q8_0": (32, 34),
        "Q8_1": (32, 36),
        "Q2_K": (256, 84), "Q3_K": (256, 110), "Q4_K": (256, 144), "Q5_K": (256, 176), "Q6_K": (256, 210),
        "Q8_K": (256, 292),
        "IQ1_S": (256, 50), "IQ1_M": (256, 56),
        "IQ2_XXS": (256, 66), "IQ2_XS": (256, 74), "IQ2_S": (256, 82),
        "IQ3_XXS": (256, 98), "IQ3_S": (256, 110),
        "IQ4_NL": (32, 18), "IQ4_XS": (256, 136),
        "TQ1_0": (256, 54), "TQ2_0": (256, 66),
        "MXFP4": (32, 17), "NVFP4": (64, 36), "Q1_0": (128, 18), "Q2_0": (64, 18),
    }
)  # fmt: skip


def fits(name: str, row: int) -> bool:
    """Whether a row of so many weights divides into whole blocks."""
    return row % BLOCKS[name][0] == 0


def bytes_of(name: str, elements: int) -> int:
    """Bytes of so many weights in whole blocks."""
    weights, size = BLOCKS[name]
    return elements // weights * size


def in_blocks(formats: Iterable[str]) -> bool:
    """Whether any of these formats is one of llama.cpp's blocks, which other engines unpack."""
    return any(name.startswith(("Q", "IQ", "TQ")) and name in BLOCKS for name in formats)
