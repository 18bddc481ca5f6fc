"""What the charts of memory have in common: devices in rows, terms as segments, limits as lines."""

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from llmplanner.charts.figure import Axis, Bar, Dash, Rule, Segment
from llmplanner.charts.palette import TERM_TITLES
from llmplanner.charts.words import IN_A_LINE, optimizer
from llmplanner.core.estimate import DeviceEstimate, Estimate, Phase, PhaseName, Term
from llmplanner.core.machine import Device, alike
from llmplanner.core.plan import Plan, Pretrain, Serve
from llmplanner.core.quantities import GIB, exact_text, gib_figure, gib_text
from llmplanner.core.room import available_empty, available_now
from llmplanner.core.verdict import DOING, Verdict

MOST_DEVICES = 8  # bars that can still be read; the worst are shown
ORDER = tuple(TERM_TITLES)  # of the segments, the same in every bar
AXIS = Axis("memory (GiB)", one=GIB, unit="bytes", low=0.0)
SOURCE = (
    "Estimated from the model's tensors; the card's memory as NVML reports it. "
    "Each term's formula and source are in the CSV export."
)
JUDGED = {"fits": "ok", "tight": "warn", "no": "bad", "unknown": "mute"}  # colours of the limit that decides

PHASES: dict[PhaseName, str] = {
    "load": "Load",
    "prefill": "Read the prompt",
    "decode": "Answer",
    "forward": "Forward",
    "backward": "Backward",
    "step": "Optimizer step",
}


class Row(Struct, frozen=True):
    """A device and what it needs, or `count` devices that are alike."""

    need: DeviceEstimate
    device: Device
    place: int  # of the first of them among the estimate's devices
    count: int = 1
    part: str = ""  # what it does of the whole, where that tells the devices apart better than their names

    @property
    def name(self) -> str:
        """The device's part, else its own name."""
        name = self.part or self.need.name
        return name if self.count == 1 else f"{name} · {self.count:,} GPUs"


def rows_of(plan: Plan, estimate: Estimate, *, apart: bool) -> list[Row]:
    """The devices, that with the least room first. Those alike share a row, unless they are to stay apart."""
    devices, needs = plan.machine.devices, estimate.devices
    if not apart and alike(devices) and alike(needs):
        return [Row(needs[0], devices[0], 0, len(needs))]
    found: dict[tuple[int, ...], Row] = {}
    for place, (device, need) in enumerate(zip(devices, needs, strict=False)):
        key = (place,) if apart else (id(device), id(need))
        row = found.get(key)
        found[key] = Row(need, device, place) if row is None else replace(row, count=row.count + 1)
    rows = sorted(found.values(), key=lambda row: -_strain(row))
    if len({row.need.name for row in rows}) == len(rows):
        return rows
    return [replace(row, part=_part(row.need.role)) for row in rows]


def _part(role: str) -> str:
    """A role's first words: "Stage 1 of 4"."""
    first, _, _ = role.partition(":")
    return f"{first[:1].upper()}{first[1:]}"


def names_of(rows: Sequence[Row]) -> tuple[str, ...]:
    """The rows' names, numbered where two are alike."""
    plain = [row.name for row in rows]
    if len(set(plain)) == len(plain):
        return tuple(plain)
    return tuple(f"{place}. {name}" for place, name in enumerate(plain, 1))


def _available(device: Device) -> int | None:
    """What the verdict goes by: the free memory where it is known, else the empty card."""
    now = available_now(device)
    return available_empty(device) if now is None else now


def _strain(row: Row) -> float:
    """The share of what is available that is taken; the bytes themselves where that is not known."""
    return int(row.need.bytes) / (_available(row.device) or 1)


def where(plan: Plan) -> str:
    """The plan's machine in a few words."""
    devices, count = plan.machine.devices, len(plan.machine.devices)
    if count == 1:
        return devices[0].name
    if alike(devices):
        return f"{count:,} × {devices[0].name}"
    names = [device.name for device in devices]
    return f"{count:,} × {names[0]}" if len(set(names)) == 1 else f"{count:,} devices"


def workload(plan: Plan) -> str:
    """What is done, in a line: 'Serving 1 sequence of 32,768 tokens in BF16'."""
    work = plan.workload
    if isinstance(work, Serve):
        many = f"{_sequences(int(work.batch))} of {int(work.context):,} tokens"
        return f"Serving {many}, weights in {plan.weights.name}"
    step = work.step
    doing = "Pre-training" if isinstance(work, Pretrain) else "Fine-tuning"
    each = f"{_sequences(int(step.micro_batch))} of {int(step.sequence):,} tokens per device"
    return f"{doing} on {each}, {IN_A_LINE[step.precision]} with {optimizer(step.optimizer)}"


def _sequences(count: int) -> str:
    return "1 sequence" if count == 1 else f"{count:,} sequences"


def term_key(side: int, place: int, phase: str, term: str) -> str:
    """What a click on a segment reports: which plan, which of its devices, and what was clicked."""
    return f"{side}:{place}:{phase}:{term}"


def bar(name: str, phase: Phase, device: Device, *, side: int = 0, place: int = 0, role: str = "") -> Bar:
    """The terms of a phase, stacked. `side` and `place` are those of `term_key`."""
    terms = sorted(phase.terms, key=lambda term: ORDER.index(term.name))
    size, room = int(phase.bytes), _available(device)
    return Bar(
        category=name,
        segments=tuple(
            segment(term, term_key(side, place, phase.name, term.name))
            for term in terms
            if int(term.bytes) > 0
        ),
        label=gib_text(size),
        hover="\n".join(
            filter(None, (f"{name}: {gib_text(size)} ({exact_text(size)} bytes) {when(phase)}", role))
        ),
        label_colour="bad" if room is not None and size > room else "text",
    )


def when(phase: Phase) -> str:
    """The phase and its moment in words: "in the backward pass, at the loss"."""
    return ", ".join(filter(None, (DOING[phase.name], phase.moment)))


def segment(term: Term, key: str = "") -> Segment:
    """One term: its name and GiB in the bar; the bytes, bounds and formula for hover and table."""
    title, size = TERM_TITLES[term.name], int(term.bytes)
    bounds = (
        "" if term.low is term.high else f"between {gib_text(int(term.low))} and {gib_text(int(term.high))}"
    )
    lines = (
        f"{title}: {gib_text(size)} ({exact_text(size)} bytes)",
        bounds,
        term.formula,
        term.note,
        term.source,
    )
    return Segment(
        series=title,
        value=size,
        low=int(term.low),
        high=int(term.high),
        colour=term.name,
        label=f"{title} {gib_figure(size)}" if size >= GIB // 100 else f"{title} {gib_text(size)}",
        hover="\n".join(line for line in lines if line),
        formula=term.formula,
        source=term.source,
        key=key,
    )


def limits(devices: Sequence[Device], judged: Verdict) -> list[Rule]:
    """The cards' sizes, and dashed what the verdict goes by: what is available of them, or vLLM's share."""
    colour, decisive = JUDGED[judged.decisive.state], judged.decisive.available_bytes
    known = [device for device in devices if device.memory_free is not None]
    free = sorted({now for device in known if (now := available_now(device)) is not None})
    usable = sorted({room for device in devices if (room := available_empty(device)) is not None})
    cards = sorted({device.memory_total for device in devices if device.memory_total})
    rules = _ends("card", cards, "text", "solid", "memory of the card, as NVML reports it")
    if decisive is not None and decisive < min(free or usable, default=0):
        return rules + _ends("vLLM's share", [decisive], colour, "dashed", "what vLLM takes of the card")
    if free:
        return rules + _ends("free now", free, colour, "dashed", "NVML, a moment's reading")
    return rules + _ends("usable", usable, colour, "dashed", "what one process can take of the empty card")


def _ends(name: str, sizes: Sequence[int], colour: str, dash: Dash, source: str) -> list[Rule]:
    """A limit; the smallest and the largest where the devices differ."""
    named = [(name, size) for size in sizes]
    if len(sizes) > 1:
        named = [(f"smallest {name}", sizes[0]), (f"largest {name}", sizes[-1])]
    rules = []
    for words, size in named:
        label = f"{words if words.startswith('vLLM') else f'{words[:1].upper()}{words[1:]}'} {gib_text(size)}"
        rules.append(
            Rule("x", size, label, colour, dash, f"{label} ({exact_text(size)} bytes)\n{source}", source)
        )
    return rules


def spoken(row: Row) -> str:
    """One device in words."""
    terms = (
        f"{TERM_TITLES[term.name].lower()} {gib_text(int(term.bytes))}"
        for term in row.need.peak.terms
        if int(term.bytes)
    )
    return f"{row.name} needs {gib_text(int(row.need.bytes))}: {', '.join(terms)}."
