"""What PyTorch's caching allocator reserves beside the tensors of a training step.

It rounds a block up to 512 bytes and takes segments of 2 or 20 MiB, or the block's size rounded to 2 MiB, from
the driver (c10/cuda/CUDACachingAllocator): under a thousandth. What counts is that a block that was freed
serves a tensor of its size or smaller, and what is left of it may serve none.
"""

from collections.abc import Sequence
from typing import NamedTuple

from llmplanner.core.estimate import Bytes, Phase, largest
from llmplanner.core.quantities import GIB

NAME = "rounding and fragmentation"
STAYS = frozenset({"weights", "gradients", "optimizer", "master_weights"})  # of one size, step after step
SHARE, SHARE_HIGH = 5, 10  # % of all tensors
VARIED, VARIED_HIGH = 100, 150  # % of what grows with the sequence
EQUAL = "2.3 % of 78 GiB (vllm-project/compressed-tensors PR 587); 2 to 10 % elsewhere"
UNEQUAL = "16.39 GiB reserved, 10.83 with expandable segments: an 8B model in NF4 (torchtune issue 1185)"
CHANGE = "PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True"


class Fragments(NamedTuple):
    """Bytes that are reserved and hold no tensor, and their range."""

    bytes: Bytes
    low: Bytes
    high: Bytes
    text: str
    source: str
    name: str = NAME
    change: str = CHANGE


def fragments(phases: Sequence[Phase], *, varied: bool) -> Fragments:
    """Of a process that goes through these phases again and again; `varied`: in steps of different lengths.

    With one length, the next step finds blocks of its tensors' sizes. With many, what grows with the sequence
    finds none that fits, and about as much again is reserved.
    """
    totals = [phase.bytes for phase in phases]
    grown = [sum((term.bytes for term in phase.terms if term.name not in STAYS), start=0) for phase in phases]
    whole, more = largest(*totals), largest(*grown)
    amount, high = whole * SHARE // 100, whole * SHARE_HIGH // 100
    text = f"{SHARE} % of the tensors"
    if not varied:
        return Fragments(amount, 0 * amount, high, f"{_gib(amount)}{text} as", EQUAL)
    amount, high = amount + more * VARIED // 100, high + more * VARIED_HIGH // 100
    text += f" and {VARIED} % of those that grow with the sequence, of varied lengths, as"
    return Fragments(amount, 0 * amount, high, f"{_gib(amount)}{text}", f"{EQUAL}; {UNEQUAL}")


def _gib(amount: Bytes) -> str:
    return f"{amount / GIB:.2f} GiB, " if isinstance(amount, int) else ""
