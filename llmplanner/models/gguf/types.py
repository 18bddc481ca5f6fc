"""The ggml tensor types and the names of file types, as GGUF files number them.

Source: ggml-org/llama.cpp, ggml/src/ggml-common.h (blocks), ggml/include/ggml.h (ids, removed ones),
include/llama.h enum llama_ftype (file types); checked against the sizes of 3,290 runs of llama-quantize.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from llmplanner.core.recipes.ggml import BLOCKS


@dataclass(frozen=True, slots=True)
class GgmlType:
    """One way to store weights: blocks of `weights` that take `bytes` together. Rows are whole blocks."""

    id: int
    name: str
    weights: int
    bytes: int

    @property
    def bits_per_weight(self) -> float:
        """Bits that one weight takes, its share of the block's scales with it."""
        return 8 * self.bytes / self.weights


_NUMBERS = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 6: "Q5_0", 7: "Q5_1", 8: "Q8_0", 9: "Q8_1", 10: "Q2_K",
    11: "Q3_K", 12: "Q4_K", 13: "Q5_K", 14: "Q6_K", 15: "Q8_K", 16: "IQ2_XXS", 17: "IQ2_XS",
    18: "IQ3_XXS", 19: "IQ1_S", 20: "IQ4_NL", 21: "IQ3_S", 22: "IQ2_S", 23: "IQ4_XS", 24: "I8",
    25: "I16", 26: "I32", 27: "I64", 28: "F64", 29: "IQ1_M", 30: "BF16", 34: "TQ1_0", 35: "TQ2_0",
    39: "MXFP4", 40: "NVFP4", 41: "Q1_0", 42: "Q2_0",
}  # fmt: skip
_TYPES = tuple(GgmlType(number, name, *BLOCKS[name]) for number, name in _NUMBERS.items())
TYPES: Mapping[int, GgmlType] = MappingProxyType({one.id: one for one in _TYPES})
NAMED: Mapping[str, GgmlType] = MappingProxyType({one.name: one for one in _TYPES})

# Numbers that once were types. A file with one must be quantized anew; its blocks are not what they were.
REMOVED: Mapping[int, str] = MappingProxyType(
    {
        4: "Q4_2",
        5: "Q4_3",
        31: "Q4_0_4_4",
        32: "Q4_0_4_8",
        33: "Q4_0_8_8",
        36: "IQ4_NL_4_4",
        37: "IQ4_NL_4_8",
        38: "IQ4_NL_8_8",
    }
)


@dataclass(frozen=True, slots=True)
class FileType:
    """What general.file_type calls a whole file, and the types that most of such a file's weights have.

    The second and third stand in where a row is not a whole number of blocks of the first, or where a recipe
    gives most layers more bits.
    """

    name: str
    types: tuple[str, ...]


FILE_TYPES: Mapping[int, FileType] = MappingProxyType(
    {
        0: FileType("F32", ("F32",)),
        1: FileType("F16", ("F16",)),
        2: FileType("Q4_0", ("Q4_0",)),
        3: FileType("Q4_1", ("Q4_1",)),
        7: FileType("Q8_0", ("Q8_0",)),
        8: FileType("Q5_0", ("Q5_0",)),
        9: FileType("Q5_1", ("Q5_1",)),
        10: FileType("Q2_K", ("Q2_K", "Q3_K", "Q4_0")),
        11: FileType("Q3_K_S", ("Q3_K", "Q4_0")),
        12: FileType("Q3_K_M", ("Q3_K", "Q4_K", "Q4_0")),
        13: FileType("Q3_K_L", ("Q3_K", "Q5_K", "Q4_0")),
        14: FileType("Q4_K_S", ("Q4_K", "Q5_0")),
        15: FileType("Q4_K_M", ("Q4_K", "Q5_0")),
        16: FileType("Q5_K_S", ("Q5_K", "Q5_1")),
        17: FileType("Q5_K_M", ("Q5_K", "Q5_1")),
        18: FileType("Q6_K", ("Q6_K", "Q8_0")),
        19: FileType("IQ2_XXS", ("IQ2_XXS", "IQ4_NL")),
        20: FileType("IQ2_XS", ("IQ2_XS", "IQ4_NL")),
        21: FileType("Q2_K_S", ("Q2_K", "Q4_0")),
        22: FileType("IQ3_XS", ("IQ3_S", "IQ3_XXS", "IQ4_NL")),
        23: FileType("IQ3_XXS", ("IQ3_XXS", "IQ4_NL")),
        24: FileType("IQ1_S", ("IQ1_S", "IQ4_NL")),
        25: FileType("IQ4_NL", ("IQ4_NL",)),
        26: FileType("IQ3_S", ("IQ3_S", "IQ4_NL")),
        27: FileType("IQ3_M", ("IQ3_S", "IQ4_NL")),
        28: FileType("IQ2_S", ("IQ2_XS", "IQ2_S", "IQ4_NL")),
        29: FileType("IQ2_M", ("IQ2_S", "IQ4_NL")),
        30: FileType("IQ4_XS", ("IQ4_XS", "IQ4_NL")),
        31: FileType("IQ1_M", ("IQ1_M", "IQ4_NL")),
        32: FileType("BF16", ("BF16",)),
        36: FileType("TQ1_0", ("TQ1_0", "Q4_0")),
        37: FileType("TQ2_0", ("TQ2_0", "Q4_0")),
        38: FileType("MXFP4", ("MXFP4", "Q8_0")),
        39: FileType("NVFP4", ("NVFP4",)),
        40: FileType("Q1_0", ("Q1_0",)),
        41: FileType("Q2_0", ("Q2_0",)),
    }
)
