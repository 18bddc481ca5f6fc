"""The devices that a plan runs on."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Device:
    """One GPU: what is known of it, from NVML, the catalogue or both. None: not known.

    memory_total is what NVML reports, not the number on the box; memory_free is a moment's reading.
    """

    name: str
    memory_total: int | None  # bytes
    memory_free: int | None = None  # bytes, now; None for a card of the catalogue
    memory_reserved: int | None = None  # bytes that the driver keeps (NVML memory v2)
    memory_usable: int | None = None  # bytes that CUDA reports for the empty card, where that was measured
    uuid: str | None = None
    unified: bool = False  # no memory of its own: total and available are the computer's
    wddm: bool = False  # Windows display driver model: over-allocation spills to system memory
    peak_flops: Mapping[str, float] = field(default_factory=dict)  # dense FLOP/s by Format name ("bf16")
    bandwidth: float | None = None  # bytes per second
    watts: float | None = None
    price_per_hour: float | None = None  # USD, dated in the catalogue
    catalogue_name: str | None = None
    vendor: str = "NVIDIA"  # whose driver and libraries a process loads; NVML's cards are all NVIDIA's


def alike(things: tuple[object, ...]) -> bool:
    """Whether all are one and the same, told without a loop of ours: a plan may take a million devices."""
    return bool(things) and things.count(things[0]) == len(things)


@dataclass(frozen=True, slots=True)
class Machine:
    """The devices in the order in which a split takes them."""

    devices: tuple[Device, ...]
    local: bool = False  # this computer's cards, seen through NVML
    host_memory: int | None = None  # bytes of the computer that the devices are in; None: not known
