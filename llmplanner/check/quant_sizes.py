"""llamacpp_quant_sizes.csv: sizes of llama.cpp's file types, of headers or configs that are found by name."""

from llmplanner.check.answer import Answer, Answers, Kind, Row
from llmplanner.check.cells import switched, text
from llmplanner.check.lookup import Lookup
from llmplanner.core.checkpoint import StoredTensor
from llmplanner.core.errors import BadInput, quoted
from llmplanner.core.recipes.file_types import FILE_TYPES
from llmplanner.core.recipes.gguf_tensors import architecture_of, gguf_tensors
from llmplanner.core.recipes.llamacpp import Architecture, quantized
from llmplanner.models.gguf.reader import Header

MIB = 2**20


def answer(row: Row, models: Lookup) -> Answers:
    """The size of the tensors in MiB. Raises BadInput, also where llama.cpp makes no such file."""
    size = bytes_of(text(row, "model"), text(row, "ftype"), models, imatrix=switched(row, "imatrix"))
    return {"size_MiB": Answer(size / MIB)}


def bytes_of(name: str, file_type: str, models: Lookup, *, imatrix: bool) -> int:
    """The bytes of a model's tensors at a file type. Raises BadInput."""
    kind = FILE_TYPES.get(file_type.upper()) or FILE_TYPES.get(f"{file_type.upper()}_M")
    if kind is None:
        raise BadInput(f"llama.cpp has no file type {quoted(file_type)}.", "ftype")
    architecture, tensors = _stored(name, models)
    return sum(one.bytes for one in quantized(tensors, architecture, kind, imatrix=imatrix))


def _stored(name: str, models: Lookup) -> tuple[Architecture, tuple[StoredTensor, ...]]:
    """The model at 16 bits: as its own header states it, else as its config leads to it. Raises BadInput."""
    header = models.header(name)
    if header is not None and any(one.format in {"F16", "BF16", "F32"} for one in header.tensors):
        return _architecture(header), header.tensors
    model = models.model(name)
    return architecture_of(model), gguf_tensors(model)


def _architecture(header: Header) -> Architecture:
    name = str(header.metadata.get("general.architecture", ""))
    keys = ("block_count", "attention.head_count", "attention.head_count_kv", "expert_count")
    return Architecture(name, *(_size(header, f"{name}.{key}") for key in keys))


def _size(header: Header, key: str) -> int:
    """A whole number of the header, of the first layer where each has its own; 0 where there is none."""
    value = header.metadata.get(key, 0)
    if not isinstance(value, int | float | bool | str):
        value = value.first[0] if value.first else 0
    return value if isinstance(value, int) else 0


KIND = Kind("llamacpp_quant_sizes", ("model", "ftype"), ("size_MiB",), answer)
