"""A published training run, as its authors report it."""

from collections.abc import Iterable
from dataclasses import dataclass

from llmplanner.core.duration import implied_efficiency
from llmplanner.core.flops import training_flops
from llmplanner.core.model import Kind


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """One model's training. None: not published.

    `flops_published` is the authors' own figure. Some count what activation checkpointing computes again,
    so it is not what runs are compared by; `flops` is.
    """

    name: str
    year: int
    kind: Kind
    parameters: float
    tokens: float
    source: str
    active: float | None = None  # parameters that a token uses, where not all: half of an encoder-decoder's
    flops_published: float | None = None
    hardware: str = ""
    devices: int | None = None
    device_hours: float | None = None
    days: float | None = None
    mfu: float | None = None  # stated by the authors, of the training step
    cost_usd: float | None = None
    energy_mwh: float | None = None
    note: str = ""
    landmark: bool = False  # named on charts before others
    distilled: bool = False  # learnt from larger models: 6 N D is not what it took

    @property
    def flops(self) -> float:
        """Model FLOPs: 6 N D of the active parameters, which makes 3 N D of an encoder-decoder's."""
        return float(training_flops(self.active or self.parameters, self.tokens))

    @property
    def tokens_per_parameter(self) -> float:
        """Tokens for each parameter that a token uses."""
        return self.tokens / (self.active or self.parameters)


def observed_efficiencies(runs: Iterable[TrainingRun], hardware: str, peak: float) -> tuple[float, ...]:
    """What whole runs on one kind of device reached of its dense peak, from the lowest to the highest.

    By model FLOPs over device-hours, restarts and all; distilled models are left out.
    """
    reached = (
        float(implied_efficiency(run.flops, run.device_hours, peak))
        for run in runs
        if run.hardware == hardware and run.device_hours is not None and not run.distilled
    )
    return tuple(sorted(reached))
