"""Which layer llama.cpp puts on which device.

The layers and, behind them, the output are counted from the last: the first of -ngl is the output. They are
cut into runs, one for each card, by the shares of --tensor-split or by the cards' free memory.
Source: ggml-org/llama.cpp v0.5.0, src/llama-model.cpp (load_tensors).
"""

from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from struct import pack, unpack

from llmplanner.core.engine import LlamaCpp
from llmplanner.core.errors import BadInput
from llmplanner.core.machine import Device

HOST = -1
MOST_DEVICES = 16  # GGML_CUDA_MAX_DEVICES


@dataclass(frozen=True, slots=True)
class Placement:
    """The device of each layer, by its place in the plan's machine; HOST: the computer's memory."""

    layers: tuple[int, ...]
    output: int

    def on(self, device: int) -> tuple[int, ...]:
        """The layers of one device."""
        return _on(self.layers, device)

    @property
    def whole(self) -> bool:
        """Whether nothing but the token embedding is left on the host."""
        return HOST not in self.layers and self.output != HOST


def placed(layers: int, engine: LlamaCpp, devices: tuple[Device, ...]) -> Placement:
    """Where so many layers and the output go. Raises BadInput where the devices or their shares do not do."""
    if len(devices) > MOST_DEVICES:
        raise BadInput(
            f"llama.cpp takes at most {MOST_DEVICES} GPUs, the plan has {len(devices):,}; lower the count.",
            "count",
        )
    slots = layers + 1
    taken = slots if engine.gpu_layers is None else min(engine.gpu_layers, slots)
    first = slots - taken
    ends, last = _ends(_shares(engine, devices)), len(devices) - 1
    where = [HOST] * first
    where += [min(bisect_right(ends, _single(place / taken)), last) if last else 0 for place in range(taken)]
    return Placement(tuple(where[:-1]), where[-1])


@lru_cache(maxsize=128)  # asked for weights, caches and buffers alike
def _on(layers: tuple[int, ...], device: int) -> tuple[int, ...]:
    return tuple(layer for layer, where in enumerate(layers) if where == device)


def _shares(engine: LlamaCpp, devices: tuple[Device, ...]) -> tuple[float, ...]:
    stated = engine.tensor_split
    if stated is None or not any(stated):
        free = tuple(device.memory_free or device.memory_total or 0 for device in devices)
        return free if all(free) else (1,) * len(devices)
    if len(stated) != len(devices):
        raise BadInput(
            f"{len(stated)} shares of the GPUs cannot be given to {len(devices)}; state one for each.",
            "tensor_split",
        )
    return stated


def _ends(shares: tuple[float, ...]) -> list[float]:
    """Where each card's run ends, of one, in the single precision in which the program computes."""
    sums = list(accumulate(map(_single, shares), lambda before, share: _single(before + share)))
    return [_single(each / sums[-1]) for each in sums]


def _single(value: float) -> float:
    """The value rounded to FP32."""
    rounded: float = unpack("f", pack("f", value))[0]
    return rounded
