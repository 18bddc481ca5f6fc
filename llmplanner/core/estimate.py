"""What a plan needs: terms by phase by device. Sums and the peak phase are derived, never stored."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import reduce
from typing import TYPE_CHECKING, Literal, Union

from llmplanner.core.machine import Device, alike

if TYPE_CHECKING:  # one plan is answered without NumPy: its import would be the longest part of a start
    import numpy as np
    from numpy.typing import NDArray

Bytes = Union[int, "NDArray[np.int64]"]  # a plan's bytes, or those of a map of plans

TermName = Literal[
    "weights",
    "kv_cache",
    "recurrent_state",
    "activations",
    "logits",
    "gradients",
    "optimizer",
    "master_weights",
    "temporaries",
    "communication",
    "runtime",
]
PhaseName = Literal["load", "prefill", "decode", "forward", "backward", "step"]

MEMORY = "memory of the computer"


@dataclass(frozen=True, slots=True)
class Term:
    """One thing that takes memory. `low` and `high` bound an estimate; both equal `bytes` where exact."""

    name: TermName
    bytes: Bytes
    low: Bytes
    high: Bytes
    formula: str  # with the values put in
    source: str
    note: str = ""  # one line: what is in it, what it leaves out
    parts: tuple["Part", ...] = ()
    measured: str = ""  # how far off such a term was measured to be, of what; empty: nobody has
    change: str = ""  # the setting, option or command that makes it smaller


@dataclass(frozen=True, slots=True)
class Part:
    """A share of a term: the KV cache of the sliding layers, the activations of the norms."""

    name: str
    bytes: Bytes
    formula: str


def largest(*amounts: Bytes) -> Bytes:
    """The largest of the amounts, for each plan of a map."""
    if all(isinstance(amount, int) for amount in amounts):
        return max(amounts)
    import numpy as np  # noqa: PLC0415 - of maps alone

    return np.asarray(reduce(np.maximum, amounts), np.int64)


def smallest(*amounts: Bytes) -> Bytes:
    """The smallest of the amounts, for each plan of a map."""
    if all(isinstance(amount, int) for amount in amounts):
        return min(amounts)
    import numpy as np  # noqa: PLC0415 - of maps alone

    return np.asarray(reduce(np.minimum, amounts), np.int64)


def exact(  # noqa: PLR0913 - the fields of a term
    name: TermName, amount: Bytes, formula: str, source: str, *, note: str = "", parts: tuple[Part, ...] = ()
) -> Term:
    """A term that is counted, not estimated."""
    return Term(name, amount, amount, amount, formula, source, note, parts)


@dataclass(frozen=True, slots=True)
class Phase:
    """What is alive at the worst moment of one phase."""

    name: PhaseName
    terms: tuple[Term, ...]
    moment: str = ""  # where in it: "at the loss", "inside layer 31"; empty where there is only one

    @property
    def bytes(self) -> Bytes:
        """The sum of the terms."""
        return sum((term.bytes for term in self.terms), start=0)


@dataclass(frozen=True, slots=True)
class DeviceEstimate:
    """One device's phases in their order in time."""

    name: str
    phases: tuple[Phase, ...]
    role: str = ""  # what this device does of the whole: "stage 1 of 4: embeddings, layers 0 to 7"

    @property
    def peak(self) -> Phase:
        """The phase that needs most, of one plan; the earliest of equals."""
        return max(self.phases, key=lambda phase: phase.bytes)

    @property
    def bytes(self) -> Bytes:
        """What the device must hold."""
        return largest(*(phase.bytes for phase in self.phases))


@dataclass(frozen=True, slots=True)
class Host:
    """What the computer keeps for its devices: weights and state that are offloaded, buffers for transfer."""

    parts: tuple[Part, ...]
    seconds: float | None = None  # that its link takes, for each step or token; None: not known
    formula: str = ""  # of the seconds
    place: str = MEMORY  # or its disk

    @property
    def bytes(self) -> Bytes:
        """The sum of the parts."""
        return sum((part.bytes for part in self.parts), start=0)


@dataclass(frozen=True, slots=True)
class Capacity:
    """What an engine that takes a share of the card has left for keys and values."""

    bytes: int  # for keys and values, on each device; negative: what is missing to start at all
    tokens: int  # that go in
    requests: int  # of the plan's context at once
    formula: str
    low: int | None = None  # bounds of `bytes`, where they are estimated
    high: int | None = None


@dataclass(frozen=True, slots=True)
class Estimate:
    """All devices, in the machine's order, and what stands beside them."""

    devices: tuple[DeviceEstimate, ...]
    host: Host | None = None
    capacity: Capacity | None = None

    @property
    def different(self) -> tuple[DeviceEstimate, ...]:
        """Each device that is unlike those before it: what has to be looked at."""
        return _distinct(self.devices)

    def beside(self, devices: tuple[Device, ...]) -> tuple[tuple[Device, DeviceEstimate], ...]:
        """The machine's devices and what each needs; one pair for those that are one and the same."""
        if alike(devices):
            return tuple((devices[0], each) for each in self.different)
        return tuple(zip(devices, self.devices, strict=False))

    def each(self, change: Callable[[DeviceEstimate], DeviceEstimate]) -> "Estimate":
        """Every device changed in the same way; alike devices stay one object."""
        changed = {id(device): change(device) for device in self.different}
        return replace(self, devices=tuple(map(changed.__getitem__, map(id, self.devices))))


def holding(
    phases: tuple[Phase, ...], devices: tuple[Device, ...], role: str = ""
) -> tuple[DeviceEstimate, ...]:
    """The devices when all hold the same; alike devices share one estimate."""
    if alike(devices):
        return (DeviceEstimate(devices[0].name, phases, role),) * len(devices)
    return tuple(DeviceEstimate(device.name, phases, role) for device in devices)


def placed(
    blocks: Iterable[tuple[str, tuple[Phase, ...], int]], devices: tuple[Device, ...]
) -> tuple[DeviceEstimate, ...]:
    """The devices block by block: what each block does, what its devices hold, and how many they are."""
    found: list[DeviceEstimate] = []
    for role, phases, count in blocks:
        found.extend(holding(phases, devices[len(found) : len(found) + count], role))
    return tuple(found)


def _distinct(devices: tuple[DeviceEstimate, ...]) -> tuple[DeviceEstimate, ...]:
    """Each object once, told without a loop of ours: a plan may take a million devices."""
    if devices[0] is devices[-1] and alike(devices):
        return devices[:1]
    return tuple(dict(zip(map(id, devices), devices, strict=True)).values())
