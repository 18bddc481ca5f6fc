"""ZeRO: which of weights, gradients and optimizer state each data-parallel device keeps only its share of.

Source: Rajbhandari et al. 2020 (arXiv:1910.02054) section 5.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmplanner.core.tensors import distinct, layer_parameters

if TYPE_CHECKING:
    from llmplanner.core.plan import Split
    from llmplanner.core.step import Step

OPTIMIZER, GRADIENTS, WEIGHTS = 1, 2, 3  # the stage from which each is divided


@dataclass(frozen=True, slots=True)
class Shares:
    """Bytes on one device."""

    weights: int
    gradients: int
    optimizer: int

    @property
    def total(self) -> int:
        """Their sum."""
        return self.weights + self.gradients + self.optimizer


def shares(weights: int, gradients: int, optimizer: int, devices: int, stage: int) -> Shares:
    """One device's bytes of a model whose whole state is given."""
    return Shares(
        share(weights, devices, stage, WEIGHTS),
        share(gradients, devices, stage, GRADIENTS),
        share(optimizer, devices, stage, OPTIMIZER),
    )


def share(amount: int, devices: int, stage: int, since: int) -> int:
    """One device's part of `amount`, which is divided from stage `since` on, rounded up."""
    return -(-amount // devices) if stage >= since else amount


def held(step: "Step", amount: int, since: int) -> int:
    """What one device keeps of `amount` bytes of weights, gradients or optimizer state; nothing if offloaded.

    Devices of expert parallelism hold different experts and the same of all else, so that ZeRO divides the
    experts among fewer devices: `amount` is taken to hold as many of them as the whole model does.
    """
    split = step.split
    if split.offloads(since):
        return 0
    if split.zero < since:
        return amount
    times, parts = _part(step, split)
    return -(-amount * times // parts)


def told(step: "Step", since: int) -> str:
    """The same in a formula: " / 8 devices"."""
    split = step.split
    if split.offloads(since):
        return " × 0: on the host"
    if split.zero < since or split.sharing == 1:
        return ""
    fewer = f", experts / {_experts_sharing(split):,}" if split.expert > 1 else ""
    return f" / {split.sharing:,} devices{fewer}"


def _part(step: "Step", split: "Split") -> tuple[int, int]:
    """The part of one device as a fraction."""
    if split.expert == 1:
        return 1, split.sharing
    experts = sum(
        distinct(group) * layer_parameters(group.layer).experts
        for stack in step.model.stacks
        for group in stack.groups
    )
    rest = step.weights - experts
    among = _experts_sharing(split)
    return rest * among + experts * split.sharing, step.weights * split.sharing * among


def _experts_sharing(split: "Split") -> int:
    """Devices among which ZeRO divides a device's experts."""
    return max(split.sharing // split.expert, 1)
