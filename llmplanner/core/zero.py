"""ZeRO: which of weights, gradients and optimizer state each data-parallel device keeps only its share of.

Source: Rajbhandari et al. 2020 (arXiv:1910.02054) section 5.
"""

from dataclasses import dataclass

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
