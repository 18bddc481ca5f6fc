"""An estimate as JSON and as text."""

from collections.abc import Iterator

from llmplanner.cli.models_json import model_json
from llmplanner.cli.output import paragraph, table
from llmplanner.cli.planning import Planned
from llmplanner.core.estimate import Bytes, DeviceEstimate, Phase, Term
from llmplanner.core.quantities import exact_text, gib_text


def estimate_json(found: Planned) -> dict[str, object]:
    """The answer of `memory`: the model, and each device's terms. The terms add up to the totals."""
    return {
        "model": model_json(found.plan.model),
        "devices": [_device(device) for device in found.estimate.devices],
        "ignored": list(found.ignored),
    }


def _device(device: DeviceEstimate) -> dict[str, object]:
    peak = device.peak
    return {
        "name": device.name,
        "terms": [_term(term) for term in peak.terms],
        "total_bytes": int(peak.bytes),
        "peak_phase": peak.name,
        "phases": [_phase(phase) for phase in device.phases],
    }


def _phase(phase: Phase) -> dict[str, object]:
    return {
        "phase": phase.name,
        "terms": [_term(term) for term in phase.terms],
        "total_bytes": int(phase.bytes),
    }


def _term(term: Term) -> dict[str, object]:
    return {
        "name": term.name,
        "bytes": int(term.bytes),
        "low": int(term.low),
        "high": int(term.high),
        "formula": term.formula,
        "source": term.source,
        "note": term.note,
    }


def estimate_text(found: Planned, *, sources: bool) -> list[str]:
    """Each different device's terms at its peak, and the totals of its phases."""
    lines: list[str] = []
    for device, count in _alike(found.estimate.devices):
        many = f" on each of {count} devices" if count > 1 else ""
        heading = f"Needed{many}: {_size(device.bytes)}, at the peak, in the {device.peak.name} phase"
        lines += ["", *paragraph(f"{heading}."), ""]
        lines += _terms(device.peak, sources=sources)
        phases = ", ".join(f"{phase.name} {gib_text(int(phase.bytes))}" for phase in device.phases)
        lines += ["", *paragraph(f"Phases: {phases}.")]
    return lines


def _alike(devices: tuple[DeviceEstimate, ...]) -> Iterator[tuple[DeviceEstimate, int]]:
    """Devices that need the same, once, with how many there are."""
    told: list[DeviceEstimate] = []
    for device in devices:
        if not any(other.phases == device.phases for other in told):
            told.append(device)
            yield device, sum(other.phases == device.phases for other in devices)


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
    return told


def _band(term: Term) -> str:
    if term.low == term.high:
        return "exact"
    return f"{gib_text(int(term.low))} to {gib_text(int(term.high))}"


def _size(size: Bytes) -> str:
    return f"{gib_text(int(size))} ({exact_text(int(size))} bytes)"
