"""A physical batch on its way through the graph: what the options make of it, what it sees, what is lent."""

from dataclasses import dataclass

from llmplanner.core.blocks import CacheFormat
from llmplanner.core.formats import FP16
from llmplanner.core.serving.llamacpp.allocator import Tensor

F16, F32, I64 = 2, 4, 8  # bytes
ATTENTION, SCORES = "attention of a layer", "attention scores of a layer"


@dataclass(frozen=True, slots=True)
class Fork:
    """The options that the fork ik_llama.cpp has beside llama.cpp's."""

    latent: int = 3  # -mla
    early: bool = False  # a build from before the middle of March 2025
    slice: int = 0  # MiB, -amb; 0: no slices
    fused_experts: bool = False  # -fmoe
    repacked: bool = False  # experts on the host are of a kind that only the host computes with


@dataclass(frozen=True, slots=True)
class Batch:
    """What the engine's options make of a physical batch."""

    tokens: int
    sequences: int
    flash: bool
    windows: bool = False  # some layers have caches of their own for a window
    keys_rotated: bool = False  # quantized keys are multiplied by a Hadamard matrix before they are stored
    values_rotated: bool = False
    residual_first: bool = False  # the sum after the feed-forward takes the residual's place
    cached: bool = True  # an encoder keeps no keys and values
    unpacked: bool = False  # on a GPU, flash attention unpacks a quantized cache to FP16 beside its result
    indexed: bool = False  # an indexer chooses the tokens that are seen
    expanded: bool = False  # latent attention with the keys and values of every head, as in older files
    keys: CacheFormat = FP16  # how they are cached
    gates_in_place: bool = False  # a build from before the operations of gates
    fork: Fork | None = None  # ik_llama.cpp


@dataclass(frozen=True, slots=True)
class Lent:
    """What the host holds of a layer that a card computes, in bytes: copied in where it is read."""

    each: float = 0.0  # of a weight of the layer
    experts: tuple[int, int] = (0, 0)  # of one matrix of all experts: the gates', and the outputs'
    cache: int = 0  # keys and values
    away: bool = False  # the first card computes the experts of another card's layer, or the host does
    apart: bool = False  # the host computes the scores


HELD = Lent()  # all of the layer is on the card


@dataclass(frozen=True, slots=True)
class Seen:
    """What a layer attends to: cells of a stream, and which of them each token may see."""

    cells: int
    mask: Tensor
    places: tuple[Tensor, ...] = ()  # the cells that a token's key and value go to
    width: int = 0  # keys and values of a cell, in elements
    streams: int = 1
    buckets: tuple[Tensor, ...] = ()  # distances that a bias is looked up by, or the indexer's own mask
