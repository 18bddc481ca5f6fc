"""What llama.cpp's own dry runs said, of 28 models, 35 file types, with and without an importance matrix."""

import functools
from collections import Counter

import pytest

from llmplanner.core.checkpoint import StoredTensor
from llmplanner.core.errors import BadInput
from llmplanner.core.recipes.file_types import FILE_TYPES
from llmplanner.core.recipes.llamacpp import Architecture, quantized
from llmplanner.models.gguf import reader as gguf
from tests.reference import REFERENCE, needs_reference, rows

SHAPES = REFERENCE / "corpus" / "gguf_shapes"
MIB = 2**20
SIZES = rows("llamacpp_quant_sizes.csv")
MODELS = sorted({row["model"] for row in SIZES})


@functools.cache
def header(model: str) -> tuple[Architecture, tuple[StoredTensor, ...]]:
    """What the model's file at 16 bits states of itself, and its tensors."""
    read = gguf.read(SHAPES / f"{model}.gguf")
    name = str(read.metadata["general.architecture"])
    sizes = (
        read.metadata.get(f"{name}.{key}", 0)
        for key in ("block_count", "attention.head_count", "attention.head_count_kv", "expert_count")
    )
    return Architecture(name, *(size for size in sizes if isinstance(size, int))), read.tensors


@needs_reference
@pytest.mark.parametrize("model", MODELS)
def test_sizes_are_those_of_the_dry_runs(model: str) -> None:
    architecture, tensors = header(model)
    wrong = []
    for row in (row for row in SIZES if row["model"] == model and row["size_MiB"]):
        made = list(quantized(tensors, architecture, FILE_TYPES[row["ftype"]], imatrix=row["imatrix"] == "1"))
        size = sum(tensor.bytes for tensor in made) / MIB
        if abs(size - float(row["size_MiB"])) > 0.0051:  # the table states two decimals
            wrong.append((row["ftype"], row["imatrix"], row["size_MiB"], size))
        counts, by_type = Counter[str](), Counter[str]()
        for tensor in made:
            counts[tensor.format.lower()] += 1
            by_type[tensor.format.lower()] += tensor.bytes
        for part in row["tensor_type_MiB"].split("+"):
            name, _, amount = part.partition(":")
            rounding = 0.051 + 0.0051 * counts[name.lower()]  # sums of tensors' sizes in two decimals
            if abs(by_type.pop(name.lower()) / MIB - float(amount)) > rounding:
                wrong.append((row["ftype"], row["imatrix"], part, size))
        assert not by_type
    assert not wrong


@needs_reference
def test_what_the_engine_refuses_is_refused() -> None:
    refused = [row for row in SIZES if not row["size_MiB"]]
    assert len(refused) == 4
    for row in refused:
        architecture, tensors = header(row["model"])
        with pytest.raises(BadInput, match="take another quantization"):
            list(quantized(tensors, architecture, FILE_TYPES[row["ftype"]]))
