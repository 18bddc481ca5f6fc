"""An estimate as JSON and as text."""

from collections import Counter

from llmplanner.cli.models_json import model_json
from llmplanner.cli.output import paragraph, table
from llmplanner.cli.planning import Planned
from llmplanner.core.estimate import Bytes, Capacity, DeviceEstimate, Estimate, Host, Part, Phase, Term
from llmplanner.core.quantities import exact_text, gib_text
from llmplanner.core.remedies import remedy
from llmplanner.plans import Draft

MOST_TOLD = 4  # different devices whose terms are told; of the others, what they need


def estimate_json(found: Planned) -> dict[str, object]:
    """The answer of `memory`: the model, and each device's terms. The terms add up to the totals."""
    return {
        "model": model_json(found.plan.model),
        "devices": _devices(found.estimate, found.draft),
        "host": _host(found.estimate.host),
        "capacity": _capacity(found.estimate.capacity),
        "ignored": list(found.ignored),
    }


def _devices(estimate: Estimate, of: Draft) -> list[dict[str, object]]:
    """Every device, in the machine's order; those that are one and the same are put in words once."""
    told = {id(device): _device(device, of) for device in estimate.different}
    return [*map(told.__getitem__, map(id, estimate.devices))]


def _device(device: DeviceEstimate, of: Draft) -> dict[str, object]:
    peak = device.peak
    return {
        "name": device.name,
        "role": device.role,
        "terms": [_term(term, of) for term in peak.terms],
        "total_bytes": int(peak.bytes),
        "peak_phase": peak.name,
        "phases": [_phase(phase, of) for phase in device.phases],
    }


def _phase(phase: Phase, of: Draft) -> dict[str, object]:
    return {
        "phase": phase.name,
        "terms": [_term(term, of) for term in phase.terms],
        "total_bytes": int(phase.bytes),
    }


def _term(term: Term, of: Draft) -> dict[str, object]:
    return {
        "name": term.name,
        "bytes": int(term.bytes),
        "low": int(term.low),
        "high": int(term.high),
        "formula": term.formula,
        "source": term.source,
        "note": term.note,
        "measured": term.measured,
        "change": remedy(term, of.task, of.engine),
        "parts": [_part(part) for part in term.parts],
    }


def _part(part: Part) -> dict[str, object]:
    return {"name": part.name, "bytes": int(part.bytes), "formula": part.formula}


def _host(host: Host | None) -> dict[str, object] | None:
    if host is None:
        return None
    return {
        "place": host.place,
        "total_bytes": int(host.bytes),
        "parts": [_part(part) for part in host.parts],
        "seconds": host.seconds,
        "formula": host.formula,
    }


def _capacity(capacity: Capacity | None) -> dict[str, object] | None:
    if capacity is None:
        return None
    return {
        "bytes": capacity.bytes,
        "low": capacity.low,
        "high": capacity.high,
        "tokens": capacity.tokens,
        "requests": capacity.requests,
        "formula": capacity.formula,
    }


def estimate_text(found: Planned, *, sources: bool) -> list[str]:
    """Each different device's terms at its peak and the totals of its phases, those that need most first."""
    lines: list[str] = []
    grouped = _alike(found.estimate)
    for device, count in grouped[:MOST_TOLD]:
        lines += ["", *paragraph(_heading(device, count)), ""]
        lines += _terms(device.peak, sources=sources)
        phases = ", ".join(f"{phase.name} {gib_text(int(phase.bytes))}" for phase in device.phases)
        lines += ["", *paragraph(f"Phases: {phases}.")]
    rest = [
        (_called(device), f"{count:,} ×", gib_text(int(device.bytes)))
        for device, count in grouped[MOST_TOLD:]
    ]
    if rest:
        lines += ["", "Devices that need less:", *table(rest, "lrr")]
    return [*lines, *_beside(found.estimate)]


def _heading(device: DeviceEstimate, count: int) -> str:
    """What a device needs: "Needed on each of 4 devices (stage 1 of 4: layers 0 to 7): 35 GiB, ..."."""
    many = f" on each of {count:,} devices" if count > 1 else ""
    role = f" ({device.role})" if device.role else ""
    return f"Needed{many}{role}: {_size(device.bytes)}, at the peak, in the {device.peak.name} phase."


def _called(device: DeviceEstimate) -> str:
    return device.role or device.name


def _beside(estimate: Estimate) -> list[str]:
    """What the computer keeps for its devices, and what an engine has left for keys and values."""
    lines: list[str] = []
    host, left = estimate.host, estimate.capacity
    if host is not None:
        lines += ["", *paragraph(f"In the {host.place}: {_size(host.bytes)}.")]
        rows = table([(part.name, gib_text(int(part.bytes))) for part in host.parts], "lr")
        for row, part in zip(rows, host.parts, strict=True):
            lines += [row, *paragraph(f"= {part.formula}", 4)]
        if host.seconds is not None:
            lines += paragraph(f"Over the link: {host.seconds:.3g} s ({host.formula}).")
    if left is not None and left.bytes < 0:
        lines += [
            "",
            *paragraph(f"Nothing is left for keys and values: {gib_text(-left.bytes)} are missing."),
        ]
    elif left is not None:
        room = f"{left.tokens:,} tokens, {left.requests:,} such requests"
        lines += [
            "",
            *paragraph(f"Left for keys and values: {gib_text(left.bytes)}, {room} at once ({left.formula})."),
        ]
    return lines


def _alike(estimate: Estimate) -> list[tuple[DeviceEstimate, int]]:
    """Devices that need the same for the same, with how many there are; those that need most first."""
    counts = Counter(map(id, estimate.devices))
    told: list[tuple[DeviceEstimate, int]] = []
    for device in estimate.different:
        same = [
            place
            for place, (other, _) in enumerate(told)
            if (other.role, other.phases) == (device.role, device.phases)
        ]
        if same:
            other, count = told[same[0]]
            told[same[0]] = other, count + counts[id(device)]
        else:
            told.append((device, counts[id(device)]))
    return sorted(told, key=lambda pair: -int(pair[0].bytes))


def _terms(phase: Phase, *, sources: bool) -> list[str]:
    rows = [
        (term.name.replace("_", " "), gib_text(int(term.bytes)), _band(term), exact_text(int(term.bytes)))
        for term in phase.terms
    ]
    lines = table([("", "", "", "bytes"), *rows], "lrlr")
    if not sources:
        return lines
    told = lines[:1]
    for line, term in zip(lines[1:], phase.terms, strict=True):
        told += [line, *paragraph(f"= {term.formula}", 4)]
        told += paragraph(term.note, 4) if term.note else []
        told += paragraph(f"Source: {term.source}", 4)
        told += paragraph(f"Measured: {term.measured}", 4) if term.measured else []
        told += paragraph(f"Less by {term.change}", 4) if term.change else []
    return told


def _band(term: Term) -> str:
    if term.low == term.high:
        return "exact"
    return f"{gib_text(int(term.low))} to {gib_text(int(term.high))}"


def _size(size: Bytes) -> str:
    return f"{gib_text(int(size))} ({exact_text(int(size))} bytes)"
