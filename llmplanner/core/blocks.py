"""Number formats of llama.cpp in which keys and values can be kept: blocks of elements that share a scale.

Source: ggml-org/llama.cpp v0.5.0, common/arg.cpp (kv_cache_types) and ggml/src/ggml-common.h.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from llmplanner.core.errors import BadInput
from llmplanner.core.formats import BF16, FP16, FP32, Elements, Format, format_named
from llmplanner.core.recipes.ggml import BLOCKS

if TYPE_CHECKING:
    from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class BlockFormat:
    """Elements in blocks of so many bytes, scales and offsets with them."""

    name: str  # for people, and in llama.cpp's files
    elements: int  # of a block
    bytes: int  # of a block

    @property
    def key(self) -> str:
        """In plans, on the command line, in llama.cpp's options."""
        return self.name.lower()

    @property
    def bits(self) -> float:
        """Bits for each element: 8.5 for Q8_0."""
        return 8 * self.bytes / self.elements

    def bytes_for(self, elements: Elements) -> Elements:
        """Bytes of that many elements in whole blocks."""
        return -(-elements // self.elements) * self.bytes


CacheFormat: "TypeAlias" = Format | BlockFormat

BLOCK_FORMATS: Mapping[str, BlockFormat] = MappingProxyType(
    {
        name.lower(): BlockFormat(name, *BLOCKS[name])
        for name in ("Q8_0", "Q5_1", "Q5_0", "Q4_1", "Q4_0", "IQ4_NL")
    }
)
WHOLE = (FP32, FP16, BF16)  # what llama.cpp takes beside them


def cache_format_named(text: str, field: str | None = None) -> CacheFormat:
    """The format of that name, a block format of llama.cpp's or any other. Raises BadInput."""
    plain = text.lower().replace("-", "_")
    return BLOCK_FORMATS[plain] if plain in BLOCK_FORMATS else format_named(text, field)


def of_llamacpp(form: CacheFormat, field: str) -> CacheFormat:
    """The format, if llama.cpp keeps keys and values in it. Raises BadInput."""
    if isinstance(form, BlockFormat) or form in WHOLE:
        return form
    offered = ", ".join((*BLOCK_FORMATS, "f16, bf16 or f32"))
    raise BadInput(f"llama.cpp keeps no keys or values in {form.name}; take {offered}.", field)


def refuse_blocks(form: CacheFormat | None, engine: str, field: str) -> None:
    """Raises BadInput for a format of llama.cpp's own."""
    if isinstance(form, BlockFormat):
        raise BadInput(
            f"{engine} keeps no keys or values in {form.key}, a format of llama.cpp's; take bf16 or fp8.",
            field,
        )
