"""What PyTorch's caching allocator reserves beside the tensors of a training step.

It rounds a block up to 512 bytes and takes segments of 2 or 20 MiB, or of the block's size, from
the driver (c10/cuda/CUDACachingAllocator): under a thousandth. What counts is that a block that was freed
serves a tensor of its size or smaller, and what is left of it may serve none.
"""

from collections.abc import Sequence
from typing import NamedTuple

from llmplanner.core.estimate import Bytes, Phase, largest
from llmplanner.core.plan import Sharding, Split

NAME = "rounding and fragmentation"
STAYS = frozenset({"weights", "gradients", "optimizer", "master_weights"})  # of one size, step after step
SHARE, SHARE_HIGH = 5, 10  # % of all tensors
SAME_HIGH = 40  # % more of what grows with the sequence, where all are of one length
VARIED, VARIED_HIGH = (200, 50), (400, 150)  # % more of logits, which are few and large, and of all else
PLAYED = "the allocator's rules, played through in benchmarks/allocator.py"
EQUAL = (
    "2.3 % of 78 GiB (vllm-project/compressed-tensors PR 587), 2 to 10 % elsewhere; up to 40 % of what grows "
    f"by {PLAYED}"
)
UNEQUAL = (
    "of what grows, twice (torchtune issue 1185: 16.39 GiB, 10.83 with expandable segments, 5.6 of weights) "
    f"to five times, 1.2 to 2.4 without checkpointing, by {PLAYED}"
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


def fragments(phases: Sequence[Phase], *, varied: bool, flat: bool = False) -> Fragments:
    """Of a process that goes through these phases again and again; `varied`: in steps of different lengths.

    With one length, the next step finds blocks of its tensors' sizes. With many, the large ones of what grows
    with the sequence find none that fits, and two to five times as much is reserved in the end. `flat`: the
    optimizer's step lays gradients end to end, and fits into nothing that the backward pass has left.
    """
    whole = largest(*(phase.bytes for phase in phases))
    least, most = (VARIED, VARIED_HIGH) if varied else ((0, 0), (SAME_HIGH, SAME_HIGH))
    grown, grown_high = (_grown(phases, shares, flat=flat) - whole for shares in (least, most))
    amount, high = whole * SHARE // 100 + grown, whole * SHARE_HIGH // 100 + grown_high
    text = f"{SHARE} % of the tensors"
    if varied:
        text += ", {} % of logits and {} % of what else grows with the sequence, of varied lengths".format(
            *VARIED
        )
    if flat:
        text += ", and what the backward pass leaves beside the step's flat gradients"
    source = UNEQUAL if varied else EQUAL
    return Fragments(amount, 0 * amount, high, text, source)


def lays_flat(split: Split) -> bool:
    """Whether the gradients are laid end to end: by DeepSpeed (runtime/zero, step)."""
    return split.sharding is Sharding.DEEPSPEED and split.zero > 0


def _grown(phases: Sequence[Phase], shares: tuple[int, int], *, flat: bool) -> Bytes:
    """The fullest phase with so many percent more of its logits and of what else grows with the sequence."""
    growing = [(phase.bytes, *_growing(phase)) for phase in phases]
    found = [whole + (logits * shares[0] + others * shares[1]) // 100 for whole, logits, others in growing]
    if flat:
        found.append(phases[-1].bytes + largest(*(logits + others for _, logits, others in growing)))
    return largest(*found)


def _growing(phase: Phase) -> tuple[Bytes, Bytes]:
    """Logits, and all else that is larger in a longer sequence; the optimizer's step knows no sequence."""
    if phase.name == "step":
        return 0, 0
    logits = sum((term.bytes for term in phase.terms if term.name == "logits"), start=0)
    others = (term.bytes for term in phase.terms if term.name not in STAYS and term.name != "logits")
    return logits, sum(others, start=0)
