"""What the metadata and the tensors of a GGUF file say about its model, asked for by name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

from llmplanner.core.checkpoint import StoredTensor
from llmplanner.models.entries import MOST_LAYERS
from llmplanner.models.gguf.reader import Array, Header, Value

SENSES = ("v.", "mm.", "a.", "resampler.")  # how the names of parts for images and sound begin
_DIGITS = 5  # of a layer's number


@dataclass(frozen=True)
class Facts:
    """One file's metadata under its architecture's name, and its tensors by name."""

    architecture: str
    metadata: Mapping[str, Value]
    tensors: Mapping[str, StoredTensor]

    def key(self, name: str) -> object:
        """A value as the file has it; of an array, the one number where all are alike, else the list."""
        value = self.metadata.get(f"{self.architecture}.{name}")
        if not isinstance(value, Array):
            return value
        return value.first[0] if len(set(value.first)) == 1 else list(value.first)

    def list(self, name: str) -> tuple[int, ...]:
        """A number for each layer, of an array or of one number for all."""
        value = self.metadata.get(f"{self.architecture}.{name}")
        numbers = (
            value.first if isinstance(value, Array) else (value,) * min(self.size("block_count"), MOST_LAYERS)
        )
        return tuple(one if isinstance(one, int) else 0 for one in numbers)

    def most(self, name: str) -> int | None:
        """The largest number of any layer; None where there is none above zero."""
        return max(self.list(name), default=0) or None

    def ratio(self, name: str, by: str) -> int | None:
        """One number divided by another, where both are there."""
        return self.size(name) // self.size(by) or None if self.size(by) > 0 else None

    def size(self, name: str, default: int = 0) -> int:
        """A whole number; the default where the file has none."""
        value = self.key(name)
        return value if isinstance(value, int) and not isinstance(value, bool) else default

    @cached_property
    def parts(self) -> frozenset[str]:
        """The names of the layers' tensors, without the layers: "attn_q.weight"."""
        return frozenset(
            name.split(".", 2)[2] for name in self.tensors if name.startswith("blk.") and name.count(".") > 1
        )

    def rows(self, name: str) -> int | None:
        """Rows of a tensor; None where it is not there."""
        tensor = self.tensors.get(name)
        return tensor.shape[0] if tensor is not None and tensor.shape else None

    def has(self, *parts: str) -> bool:
        """Whether some layer has one of these tensors."""
        return not self.parts.isdisjoint(parts)

    def inside(self, name: str) -> int | None:
        """The layer of a tensor; None for one outside, or in a layer that predicts further tokens."""
        index, layers = layer_of(name), self.layers
        further = isinstance(layers, int) and index is not None and index >= layers
        return None if further and self.size("nextn_predict_layers") else index

    @cached_property
    def elements(self) -> int:
        """Parameters of the language model proper, without parts for images and sound."""
        return sum(
            tensor.elements
            for name, tensor in self.tensors.items()
            if not name.startswith(SENSES) and (layer_of(name) is None or self.inside(name) is not None)
        )

    @property
    def layers(self) -> object:
        """Layers of the model proper; those that predict further tokens stand behind it."""
        count, further = self.key("block_count"), self.size("nextn_predict_layers")
        return count - further if isinstance(count, int) and 0 < further < count else count

    @property
    def vocabulary(self) -> object:
        """Rows of the token embedding."""
        tokens = self.metadata.get("tokenizer.ggml.tokens")
        listed = tokens.length if isinstance(tokens, Array) else None
        return self.rows("token_embd.weight") or self.key("vocab_size") or listed

    @property
    def tied(self) -> bool | None:
        """Whether the output matrix is the token embedding; None where the file has no tensors."""
        return "output.weight" not in self.tensors if self.tensors else None

    @property
    def head_dim(self) -> object:
        """Of queries and keys; hidden size over heads where the file states none."""
        stated = self.key("attention.key_length")
        heads = self.size("attention.head_count")
        return stated or (self.size("embedding_length") // heads if heads else None)

    @property
    def rotated(self) -> float | None:
        """The share of each head that is rotated; None where all of it is."""
        rotated, whole = self.size("rope.dimension_count"), self.head_dim
        return rotated / whole if isinstance(whole, int) and 0 < rotated < whole else None


def layer_of(name: str) -> int | None:
    """The layer of a tensor, by its name: blk.7.attn_q.weight. None for what is outside the layers."""
    prefix, _, rest = name.partition(".")
    number, dot, _ = rest.partition(".")
    whole = prefix == "blk" and dot and number.isascii() and number.isdigit() and len(number) <= _DIGITS
    return int(number) if whole else None


def facts(header: Header, architecture: str) -> Facts:
    """The facts of a header."""
    return Facts(architecture, header.metadata, {tensor.name: tensor for tensor in header.tensors})


Source = str | Callable[[Facts], object]  # the key after the architecture's name, or how to tell
