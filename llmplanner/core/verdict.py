"""Does it fit: the fullest device's need against its free memory now, and against the empty card.

The margin below is a matter of judgement, and therefore belongs to the verdict, never to what is needed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from llmplanner.core.estimate import DeviceEstimate, Estimate, PhaseName, Term, TermName
from llmplanner.core.machine import Device
from llmplanner.core.plan import Plan, Serve
from llmplanner.core.quantities import GIB, gib_text

State = Literal["fits", "tight", "no", "unknown"]
Pairs = tuple[tuple[Device, DeviceEstimate], ...]

RESERVE_BYTES = GIB  # llama.cpp's default margin per device (--fit-target)
RESERVE_PERCENT = 8  # vLLM's default share of the card is 92 % (gpu_memory_utilization)
TRAINING_PERCENT = (
    115  # fragmentation of the caching allocator: 5 to 30 % (torchtune issue 1185, GMLake 2024)
)
WDDM_PERCENT = 5  # what Windows holds back of a card that drives the desktop
UNIFIED_PERMILLE = 870  # DGX Spark users cap at 0.85 to 0.87 of the computer's memory
USABLE_PERMILLE = 985  # of NVML's total, where neither a reserve nor CUDA's own total is known

WORST_FIRST: tuple[State, ...] = ("no", "unknown", "tight", "fits")
DOING: dict[PhaseName, str] = {
    "load": "while the weights load",
    "prefill": "while the prompt is read",
    "decode": "while answering",
    "forward": "in the forward pass",
    "backward": "in the backward pass",
    "step": "in the optimizer step",
}
WORDS: dict[TermName, str] = {
    "weights": "weights",
    "kv_cache": "KV cache",
    "recurrent_state": "recurrent state",
    "activations": "activations",
    "logits": "logits",
    "gradients": "gradients",
    "optimizer": "optimizer state",
    "master_weights": "master weights",
    "temporaries": "temporaries",
    "communication": "communication buffers",
    "runtime": "driver and libraries",
}


@dataclass(frozen=True, slots=True)
class Judgement:
    """One budget, judged on the device that fares worst. None: not known."""

    state: State
    device: str
    needed_bytes: int
    available_bytes: int | None
    margin_bytes: int | None  # what is left; negative: what is missing


@dataclass(frozen=True, slots=True)
class Verdict:
    """Two budgets: the memory free at this moment, and the card with nothing on it.

    `message` answers by the free memory where it is known. `why` says what takes the memory and when.
    """

    now: Judgement
    empty: Judgement
    message: str
    why: str

    @property
    def decisive(self) -> Judgement:
        """The judgement that counts: now where the free memory is known, else the empty card."""
        return self.empty if self.now.available_bytes is None else self.now


def verdict(plan: Plan, estimate: Estimate) -> Verdict:
    """Judges an estimate of one plan against the plan's devices."""
    training = not isinstance(plan.workload, Serve)
    pairs = estimate.beside(plan.machine.devices)
    now = _worst(pairs, available_now, training=training)
    empty = _worst(pairs, available_empty, training=training)
    judged = empty if now.available_bytes is None else now
    fullest = max(estimate.different, key=lambda device: int(device.bytes))
    return Verdict(now, empty, _message(now, empty, pairs), _why(fullest, judged, training=training))


def available_now(device: Device) -> int | None:
    """What a new process could take at this moment."""
    if device.memory_free is None:
        return None
    return max(device.memory_free - _held_back(device), 0)


def available_empty(device: Device) -> int | None:
    """What one process could take of the card if it ran alone."""
    total = device.memory_total
    if total is None:
        return device.memory_usable
    if device.unified:
        return total * UNIFIED_PERMILLE // 1000
    if device.memory_reserved is not None:
        room = total - device.memory_reserved
    elif device.memory_usable is not None:
        room = device.memory_usable
    else:
        room = total * USABLE_PERMILLE // 1000
    return max(room - _held_back(device), 0)


def _held_back(device: Device) -> int:
    """What Windows keeps from every process on a card under its own driver model."""
    return (device.memory_total or 0) * WDDM_PERCENT // 100 if device.wddm else 0


def state_of(needed: int, available: int | None, *, training: bool) -> State:
    """The word for a need against a budget. Source of the margins: the constants above."""
    if available is None:
        return "unknown"
    if needed > available:
        return "no"
    if training:
        return "fits" if needed * TRAINING_PERCENT <= available * 100 else "tight"
    reserve = max(RESERVE_BYTES, -(-available * RESERVE_PERCENT // 100))
    return "fits" if needed <= available - reserve else "tight"


def _worst(pairs: Pairs, available: Callable[[Device], int | None], *, training: bool) -> Judgement:
    """The judgement of the device that fares worst; of equals, the one with least left."""
    judged = [_judge(device, int(need.bytes), available(device), training=training) for device, need in pairs]
    return min(judged, key=lambda one: (WORST_FIRST.index(one.state), one.margin_bytes or 0))


def _judge(device: Device, needed: int, available: int | None, *, training: bool) -> Judgement:
    margin = None if available is None else available - needed
    return Judgement(state_of(needed, available, training=training), device.name, needed, available, margin)


def _message(now: Judgement, empty: Judgement, pairs: Pairs) -> str:
    """The verdict as a person would say it, and what the other budget adds."""
    known = now.available_bytes is not None
    said = _sentence(now, "free now") if known else _sentence(empty, "of the empty card")
    if known and now.state == "no" and empty.state in {"fits", "tight"}:
        device = next(device for device, _ in pairs if available_now(device) == now.available_bytes)
        in_use = (available_empty(device) or 0) - (now.available_bytes or 0)
        said += f" It would fit the empty card, but {gib_text(in_use)} is in use now."
    if (now if known else empty).state == "tight" and any(device.wddm for device, _ in pairs):
        said += " Windows may move what does not fit to system memory, which is slow."
    return said


def _sentence(judged: Judgement, place: str) -> str:
    needed, available, margin = judged.needed_bytes, judged.available_bytes, judged.margin_bytes
    if available is None or margin is None:
        return (
            f"Cannot tell: {gib_text(needed)} are needed, but the memory of {judged.device} is not known; "
            "name a GPU of the catalogue."
        )
    budget = f"{_shared(needed, available)} {place} on {judged.device}"
    if judged.state == "fits":
        return f"Fits: {budget}."
    if judged.state == "tight":
        return f"Tight: {budget}; only {gib_text(margin)} would be left."
    has = f"{gib_text(available)} {place} on {judged.device}"
    return f"Does not fit: {gib_text(needed)} needed, {has}, {gib_text(-margin)} short."


def _shared(needed: int, available: int) -> str:
    """Two sizes with their unit once, where it is the same."""
    left, right = gib_text(needed), gib_text(available)
    number, _, unit = left.partition(" ")
    return f"{number if right.endswith(f' {unit}') else left} of {right}"


def _why(device: DeviceEstimate, judged: Judgement, *, training: bool) -> str:
    """When the device is fullest, of what, and what the margin is for."""
    peak = device.peak
    largest = sorted(peak.terms, key=_size, reverse=True)[:2]
    parts = ", ".join(f"{WORDS[term.name]} {gib_text(_size(term))}" for term in largest)
    said = f"Fullest {DOING[peak.name]}: {parts}."
    if judged.state != "tight":
        return said
    margin = "15 % for fragmentation" if training else "1 GiB or 8 %, whichever is more,"
    return f"{said} The margin of {margin} is not there."


def _size(term: Term) -> int:
    return int(term.bytes)
