"""Does it fit: the fullest device's need against its free memory now, and against the empty card.

The margin below is a matter of judgement, and therefore belongs to the verdict, never to what is needed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from llmplanner.core.engine import Engine, Vllm
from llmplanner.core.estimate import DeviceEstimate, Estimate, PhaseName, Term, TermName
from llmplanner.core.machine import Device
from llmplanner.core.plan import Plan, Serve
from llmplanner.core.quantities import GIB, gib_text
from llmplanner.core.room import available_empty, available_now, share_of

State = Literal["fits", "tight", "no", "unknown"]
Pairs = tuple[tuple[Device, DeviceEstimate], ...]

RESERVE_BYTES = GIB  # llama.cpp's default margin per device (--fit-target)
RESERVE_PERCENT = 8  # vLLM's default share of the card is 92 % (gpu_memory_utilization)
TRAINING_PERCENT = (
    115  # fragmentation of the caching allocator: 5 to 30 % (torchtune issue 1185, GMLake 2024)
)

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
    engine = None if training else plan.engine
    now = _worst(pairs, available_now, engine)
    empty = _worst(pairs, available_empty, engine)
    judged = empty if now.available_bytes is None else now
    told = (judged.device, judged.needed_bytes)
    fullest = next(need for device, need in pairs if (device.name, int(need.bytes)) == told)
    message = _message(now, empty, pairs, engine) + _cannot_start(pairs, engine)
    return Verdict(now, empty, message, _why(fullest, judged, training=training) + _host(estimate))


def _host(estimate: Estimate) -> str:
    """A sentence on what lies beside the devices."""
    host = estimate.host
    return "" if host is None else f" Beside them, {gib_text(int(host.bytes))} lie in the {host.place}."


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


def _worst(pairs: Pairs, available: Callable[[Device], int | None], engine: Engine | None) -> Judgement:
    """The judgement of the device that fares worst; of equals, that with least left. No engine: training."""
    judged = [_judge(device, int(need.bytes), available(device), engine) for device, need in pairs]
    return min(judged, key=_order)


def _order(judged: Judgement) -> tuple[int, int]:
    """The worst first; where nothing is known of the cards, the one that needs most."""
    left = -judged.needed_bytes if judged.margin_bytes is None else judged.margin_bytes
    return WORST_FIRST.index(judged.state), left


def _judge(device: Device, needed: int, available: int | None, engine: Engine | None) -> Judgement:
    """One device's. What vLLM holds has to go into the share of the card that it takes."""
    share = share_of(device, engine.share) if isinstance(engine, Vllm) else None
    if available is not None and share is not None and needed > share:
        available = min(available, share)
    margin = None if available is None else available - needed
    state = state_of(needed, available, training=engine is None)
    return Judgement(state, device.name, needed, available, margin)


def _cannot_start(pairs: Pairs, engine: Engine | None) -> str:
    """The sentence on a share that vLLM asks for at its start and that is not free."""
    if not isinstance(engine, Vllm):
        return ""
    for device, _ in pairs:
        free, share = available_now(device), share_of(device, engine.share)
        if free is not None and share is not None and share > free:
            part = int(free / (share / engine.share) * 100) / 100
            return (
                f" vLLM will not start: it asks for {gib_text(share)}, a share of {engine.share:g}, "
                f"and {gib_text(free)} are free on {device.name}; set vllm_share to {part:g}."
            )
    return ""


def _message(now: Judgement, empty: Judgement, pairs: Pairs, engine: Engine | None) -> str:
    """The verdict as a person would say it, and what the other budget adds."""
    known = now.available_bytes is not None
    share = isinstance(engine, Vllm) and empty.state == "no"
    card = "of vLLM's share of the empty card" if share else "of the empty card"
    said = _sentence(now, "free now") if known else _sentence(empty, card)
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
    stage, _, does = device.role.partition(": ")
    where = f", {stage} ({does})" if does else f", {stage}" if stage else ""
    said = f"Fullest {DOING[peak.name]}{where}: {parts}."
    if judged.state != "tight":
        return said
    margin = "15 % for fragmentation" if training else "1 GiB or 8 %, whichever is more,"
    return f"{said} The margin of {margin} is not there."


def _size(term: Term) -> int:
    return int(term.bytes)
