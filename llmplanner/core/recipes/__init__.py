"""How a model is stored at a quantization that nobody has made of it yet: which tensors, in which formats.

A recipe is what one program does: llama.cpp's file types, and the libraries that quantize safetensors files.
This file names them; what they do is loaded when the first is asked for.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from llmplanner.core.errors import BadInput

if TYPE_CHECKING:  # the names are needed at every start, of commands without a model too
    from llmplanner.core.checkpoint import Checkpoint
    from llmplanner.core.model import Model

LLAMA_CPP = "llama.cpp"
BITSANDBYTES = "bitsandbytes"
WITH_MATRIX = "-imatrix"  # of a key: made with an importance matrix

# File types by the bits that they are made for. The first of a line is the usual one.
_FILE_TYPES = (
    ("Q8_0",),
    ("Q6_K",),
    ("Q5_K_M", "Q5_K_S", "Q5_1", "Q5_0"),
    ("Q4_K_M", "Q4_K_S", "IQ4_XS", "IQ4_NL", "Q4_1", "Q4_0", "MXFP4_MOE"),
    ("Q3_K_M", "Q3_K_L", "Q3_K_S", "IQ3_M", "IQ3_S", "IQ3_XS", "IQ3_XXS"),
    ("Q2_K", "Q2_K_S", "IQ2_M", "IQ2_S", "IQ2_XS", "IQ2_XXS", "TQ2_0", "Q2_0"),
    ("IQ1_M", "IQ1_S", "TQ1_0", "Q1_0"),
)
MATRIX_MATTERS = ("IQ4_XS", "IQ4_NL", "Q5_0", "Q4_0")
NEVER_WITHOUT = frozenset({"IQ3_XXS"})  # which depends on the matrix too, and is not made without

FILE_SOURCE = "llama.cpp 0.5.0-dev, src/llama-quant.cpp"
_BNB = "bitsandbytes, functional.py and nn/modules.py"
_GPTQ = "AutoGPTQ, auto_gptq/nn_modules/qlinear"
_AWQ = "AutoAWQ, awq/modules/linear/gemm.py"
_TENSORS = "compressed-tensors, compressors"


@dataclass(frozen=True, slots=True)
class Recipe:
    """One way to store a model. `key` is what plans and the command line call it."""

    key: str
    name: str  # for people
    group: str  # the program that makes it
    source: str


def _file_types() -> tuple[Recipe, ...]:
    names = [name for line in _FILE_TYPES for name in line]
    without = [Recipe(name.lower(), name, LLAMA_CPP, FILE_SOURCE) for name in names]
    with_matrix = [
        Recipe(name.lower() + WITH_MATRIX, f"{name} with importance matrix", LLAMA_CPP, FILE_SOURCE)
        for name in MATRIX_MATTERS
    ]
    return (*without, *with_matrix)


_LIBRARIES = (
    Recipe("nf4", "NF4", BITSANDBYTES, f"{_BNB}; arXiv:2305.14314"),
    Recipe("nf4-double", "NF4, double quantization", BITSANDBYTES, f"{_BNB}; arXiv:2305.14314"),
    Recipe("int8-bnb", "LLM.int8()", BITSANDBYTES, f"{_BNB}; arXiv:2208.07339"),
    Recipe("gptq-4bit-g128", "GPTQ 4-bit, groups of 128", "GPTQ", _GPTQ),
    Recipe("gptq-4bit-g32", "GPTQ 4-bit, groups of 32", "GPTQ", _GPTQ),
    Recipe("gptq-8bit-g128", "GPTQ 8-bit, groups of 128", "GPTQ", _GPTQ),
    Recipe("awq-4bit-g128", "AWQ 4-bit, groups of 128", "AWQ", _AWQ),
    Recipe("fp8-channel", "FP8, a scale a channel", "FP8", f"{_TENSORS}/naive_quantized"),
    Recipe("fp8-block", "FP8, a scale a tile of 128 x 128", "FP8", "arXiv:2412.19437 sec. 3.3.2"),
    Recipe("mxfp4", "MXFP4", "4-bit floats", "OCP MX v1.0; Transformers 5.23, integrations/mxfp4.py"),
    Recipe("nvfp4", "NVFP4", "4-bit floats", f"{_TENSORS}/nvfp4"),
)

RECIPES: Mapping[str, Recipe] = MappingProxyType({one.key: one for one in (*_file_types(), *_LIBRARIES)})


def groups() -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The programs that make them, each with the keys of its recipes."""
    names = dict.fromkeys(one.group for one in RECIPES.values())
    return tuple((name, tuple(key for key, one in RECIPES.items() if one.group == name)) for name in names)


def stored_as(model: "Model", key: str) -> "Checkpoint":
    """What the files of the model hold at that quantization. Raises BadInput, naming the field weights."""
    recipe = RECIPES.get(key)
    if recipe is None:
        raise BadInput(f"{key!r} is not a quantization; there are {', '.join(RECIPES)}.", "weights")
    if recipe.group == LLAMA_CPP:
        from llmplanner.core.recipes.gguf_tensors import file_of  # noqa: PLC0415 - most plans have no recipe

        name = key.removesuffix(WITH_MATRIX).upper()
        return file_of(model, name, imatrix=key.endswith(WITH_MATRIX) or name in NEVER_WITHOUT)
    from llmplanner.core.recipes.libraries import files_of  # noqa: PLC0415 - as above

    return files_of(model, recipe)
