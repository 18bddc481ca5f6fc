"""What PyTorch's caching allocator reserves beside the tensors of a training step.

It rounds a block up to 512 bytes and takes segments of 2 or 20 MiB, or of the block's size, from
the driver (c10/cuda/CUDACachingAllocator): under a thousandth. What counts is that a block that was freed
serves a tensor of its size or smaller, and what is left of it may serve none.
"""

from collections.abc import Sequence
from typing import NamedTuple

from llmplanner.core.estimate import Bytes, Phase, largest

NAME = "rounding and fragmentation"
STAYS = frozenset({"weights", "gradients", "optimizer", "master_weights"})  # of one size, step after step
SHARE, SHARE_HIGH = 5, 10  # % of all tensors
SAME, SAME_HIGH = 0, 40  # % on top of what grows with the sequence, where all are of one length
VARIED, VARIED_HIGH = 200, 400  # the same, where they are not
PLAYED = "the allocator's rules, played through in benchmarks/allocator.py"
EQUAL = (
    "2.3 % of 78 GiB (vllm-project/compressed-tensors PR 587), 2 to 10 % elsewhere; up to 40 % of what grows "
    f"by {PLAYED}"
)
UNEQUAL = (
    "what grows, twice (torchtune issue 1185: 16.39 GiB, 10.83 with expandable segments, weights of 5.6) "
    f"to five times, by {PLAYED}"
)
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
    finds none that fits: two to five times as much is reserved in the end.
    """
    whole = largest(*(phase.bytes for phase in phases))
    shares = (VARIED, VARIED_HIGH) if varied else (SAME, SAME_HIGH)
    grown, most = (
        largest(*(phase.bytes + _grows(phase) * share // 100 for phase in phases)) - whole for share in shares
    )
    amount, high = whole * SHARE // 100 + grown, whole * SHARE_HIGH // 100 + most
    text = f"{SHARE} % of the tensors"
    if varied:
        text += f" and {VARIED} % of those that grow with the sequence, of varied lengths"
    source = UNEQUAL if varied else EQUAL
    return Fragments(amount, 0 * amount, high, text, source)


def _grows(phase: Phase) -> Bytes:
    """Bytes of what is larger in a longer sequence; the optimizer's step knows no sequence."""
    if phase.name == "step":
        return 0
    return sum((term.bytes for term in phase.terms if term.name not in STAYS), start=0)
