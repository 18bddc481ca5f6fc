"""The compute budget of a plan: what is trained, on what, and what follows."""

from dataclasses import dataclass

from llmplanner.core.cost import Run, energy
from llmplanner.core.flops import sequence_flops
from llmplanner.core.machine import Device
from llmplanner.core.model import Kind, Model

COMPUTES_IN = {  # whose matrix units a training precision keeps busy, the next best where a card lacks it
    "fp32": ("fp32",),
    "bf16": ("bf16", "fp16"),
    "bf16-mixed": ("bf16", "fp16"),
    "bf16-master": ("bf16", "fp16"),
    "fp16-mixed": ("fp16",),
}


@dataclass(frozen=True, slots=True)
class Budget:
    """A training run to be planned. None: not known.

    `active` are the parameters that a token uses, on which `flops` counts; `counted` is the sum over the
    model's matrix products instead, attention with its causal mask.
    """

    parameters: float
    active: float
    tokens: float
    flops: float
    counted: float | None
    device: Device | None
    devices: int
    wanted: str  # the Format that the precision computes in
    format: str | None  # the Format whose dense peak counts: the next best where the card lacks that one
    peak: float | None  # FLOP/s of one device
    efficiency: float
    price: float | None  # USD per device-hour
    pue: float

    @property
    def size(self) -> float:
        """Parameters that a token uses: FLOPs / (6 D), which is half of an encoder-decoder's."""
        return self.flops / (6.0 * self.tokens)

    @property
    def run(self) -> Run | None:
        """The run on its devices; None where their peak is not known."""
        if self.peak is None:
            return None
        return Run(self.flops, self.devices, self.peak, self.efficiency, self.price)

    @property
    def energy(self) -> float | None:
        """Kilowatt-hours of the devices and the data centre's share on top."""
        run = self.run
        if run is None or self.device is None or self.device.watts is None:
            return None
        return float(energy(run.hours, self.device.watts, self.pue))


def dense_peak(device: Device, precision: str) -> tuple[str, float] | None:
    """The Format that a training precision computes in on this card, and its dense FLOP/s, if known."""
    for name in COMPUTES_IN[precision]:
        if name in device.peak_flops:
            return name, device.peak_flops[name]
    return None


def counted_training_flops(model: Model, tokens: float, sequence: int) -> float:
    """Operations of all matrix products over `tokens` tokens in sequences of `sequence`.

    An encoder-decoder's tokens are its encoder's and its decoder's together, as many of each.
    """
    streams = 2 if model.kind is Kind.ENCODER_DECODER else 1
    return sequence_flops(model, sequence).training * tokens / (streams * sequence)
