"""What the files of a model hold: their tensors, and the bytes that these take in each format."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from llmplanner.core.errors import BadInput

MOST_HELD = (
    10**18
)  # bytes or parameters of a checkpoint: more than any file has, and fewer than 64 bits count

Where = Literal["tokens", "input", "output", "layer", "experts", "experts_down", "k_b", "kv_b"]
INPUTS = frozenset({"position_embd", "token_types", "token_embd_norm", "per_layer_token_embd"})
TOKENS: tuple[Where, int] = ("tokens", -1)
MOST_LAYERS = 10_000  # that are told apart


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """One tensor of a file, as its header states it."""

    name: str
    shape: tuple[int, ...]  # as PyTorch prints it, outermost dimension first
    format: str  # as the file calls it: "BF16", "Q4_K", "I32"
    elements: int  # parameters that it stands for: 8 for each I32 of packed 4-bit weights, 0 for scales
    bytes: int


@dataclass(frozen=True, slots=True)
class Amount:
    """The tensors of one format, together."""

    format: str
    tensors: int
    elements: int  # parameters
    bytes: int


@dataclass(frozen=True, slots=True)
class Place:
    """What a GGUF file holds in one place, as llama.cpp puts it on a device.

    `where`: the token embedding, what else the first layer reads, the output, a layer, its routed experts,
    with what they compute last apart, or the matrix of latent attention's keys: apart, or one with the
    values, as files had until April 2025.
    """

    where: Where
    layer: int  # -1 outside of the layers
    bytes: int


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How the weights of a model are stored: by format, largest first.

    `exact`: the bytes were read from a header, or follow exactly from what the config states. `places`: the
    same bytes by place, of a GGUF file; empty for any other.
    """

    label: str  # "Q4_K_M", "GPTQ 4-bit, groups of 128", "BF16"
    amounts: tuple[Amount, ...]
    source: str
    exact: bool = True
    places: tuple[Place, ...] = ()

    @property
    def name(self) -> str:
        """What it is called, as a Format is."""
        return self.label

    @property
    def expanded(self) -> bool:
        """Whether llama.cpp runs its latent attention with the keys and values of every head."""
        kinds = {place.where for place in self.places}
        return "kv_b" in kinds and "k_b" not in kinds

    @property
    def bits(self) -> float:
        """Bits for each parameter, on average."""
        return 8 * self.bytes / max(self.elements, 1)

    @property
    def bytes(self) -> int:
        """Bytes of all tensors, scales and zero points with them."""
        return sum(amount.bytes for amount in self.amounts)

    @property
    def elements(self) -> int:
        """Parameters."""
        return sum(amount.elements for amount in self.amounts)


def checkpoint(label: str, tensors: Iterable[StoredTensor], source: str, *, exact: bool = True) -> Checkpoint:
    """The checkpoint that these tensors make up. Raises BadInput at sizes that no file has."""
    sums: dict[str, list[int]] = {}
    held: dict[tuple[Where, int], int] = {}
    for tensor in tensors:
        total = sums.setdefault(tensor.format, [0, 0, 0])
        total[0] += 1
        total[1] += tensor.elements
        total[2] += tensor.bytes
        place = place_of(tensor.name)
        held[place] = held.get(place, 0) + tensor.bytes
    amounts = (Amount(name, *total) for name, total in sums.items())
    places = tuple(Place(*place, size) for place, size in held.items()) if TOKENS in held else ()
    found = Checkpoint(label, tuple(sorted(amounts, key=lambda one: -one.bytes)), source, exact, places)
    if max(found.bytes, found.elements) > MOST_HELD:
        raise BadInput(
            f"The {source} states {found.bytes:,} bytes of weights, more than any file has; "
            "download it again.",
            "model",
        )
    return found


def place_of(name: str) -> tuple[Where, int]:
    """Where a tensor of a GGUF file belongs, by its name: see Place.

    Source: ggml-org/llama.cpp v0.5.0, src/llama-arch.cpp (input, output and repeating layers) and
    common/common.h (which tensors --n-cpu-moe keeps on the host).
    """
    stem, *rest = name.removeprefix("enc.").removeprefix("dec.").split(".", 2)
    if stem != "blk" or len(rest) < 2:  # noqa: PLR2004 - a number and what is in the layer
        return TOKENS if stem == "token_embd" else (("input" if stem in INPUTS else "output"), -1)
    number, kind = rest[0], rest[1].partition(".")[0]
    if not (number.isascii() and number.isdigit() and len(number) < len(str(MOST_LAYERS))):
        return "output", -1
    if kind in {"attn_k_b", "attn_kv_b"}:
        return ("k_b" if kind == "attn_k_b" else "kv_b"), int(number)
    if kind.startswith("ffn_") and kind.endswith("exps"):
        return ("experts_down" if kind == "ffn_down_exps" else "experts"), int(number)
    return "layer", int(number)
