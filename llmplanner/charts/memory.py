"""The memory of each device as a stacked bar, against its card and what the verdict counts as available."""

from collections.abc import Sequence

from llmplanner.charts.figure import Axis, Bar, Dash, Figure, Rule, Segment
from llmplanner.charts.palette import TERM_TITLES
from llmplanner.charts.words import IN_A_LINE, optimizer
from llmplanner.core.estimate import DeviceEstimate, Estimate, Phase, Term
from llmplanner.core.machine import Device
from llmplanner.core.plan import Plan, Pretrain, Serve
from llmplanner.core.quantities import GIB, exact_text, gib_figure, gib_text
from llmplanner.core.room import available_empty, available_now
from llmplanner.core.verdict import DOING, Verdict, verdict

MOST_DEVICES = 8  # bars that can still be read; the worst are shown
ORDER = tuple(TERM_TITLES)  # of the segments, the same in every bar
AXIS = Axis("memory (GiB)", one=GIB, unit="bytes", low=0.0)
SOURCE = (
    "Estimated from the model's tensors; the card's memory as NVML reports it. "
    "Each term's formula and source are in the CSV export."
)
JUDGED = {"fits": "ok", "tight": "warn", "no": "bad", "unknown": "mute"}  # colours of the limit that decides

Need = tuple[DeviceEstimate, Device]


def memory_figure(plan: Plan, estimate: Estimate, judged: Verdict | None = None) -> Figure:
    """One bar for each device, that with the least room first; terms of the peak phase.

    Of more devices than can be read, those alike share a bar.

    `judged` is the plan's verdict, where it is at hand; the limit that it goes by takes its colour.
    """
    judged = judged or verdict(plan, estimate)
    count = len(estimate.devices)
    each = tuple(zip(plan.machine.devices, estimate.devices, strict=False)) if count <= MOST_DEVICES else ()
    pairs = each or estimate.beside(plan.machine.devices)
    ordered = sorted(((need, device) for device, need in pairs), key=lambda pair: -_strain(*pair))
    shown = ordered[:MOST_DEVICES]
    all_alike = count > MOST_DEVICES and len(ordered) == 1
    names = (f"each of {count:,} GPUs",) if all_alike else _names([need.name for need, _ in shown])
    phases = dict.fromkeys(need.peak.name for need, _ in shown)
    return Figure(
        name="memory",
        title=f"Memory of {plan.model.name} on {_where([device.name for _, device in ordered], count)}",
        x=AXIS,
        y=Axis("", "category", names=names),
        marks=(
            *(_bar(name, need.peak, device) for name, (need, device) in zip(names, shown, strict=True)),
            *_limits([device for _, device in shown], JUDGED[judged.decisive.state]),
        ),
        subtitle=f"{_workload(plan)}, {' and '.join(DOING[phase] for phase in phases)}",
        source=SOURCE,
        description=f"{judged.message} " + " ".join(_spoken(need) for need, _ in shown),
        note=_left_out(ordered[MOST_DEVICES:]),
    )


def _available(device: Device) -> int | None:
    """What the verdict goes by: the free memory where it is known, else the empty card."""
    now = available_now(device)
    return available_empty(device) if now is None else now


def _strain(need: DeviceEstimate, device: Device) -> float:
    """The share of what is available that is taken; the bytes themselves where that is not known."""
    return int(need.bytes) / (_available(device) or 1)


def _names(plain: Sequence[str]) -> tuple[str, ...]:
    """The devices' names, numbered where two are alike."""
    if len(set(plain)) == len(plain):
        return tuple(plain)
    return tuple(f"{place}. {name}" for place, name in enumerate(plain, 1))


def _where(names: Sequence[str], count: int) -> str:
    if count == 1:
        return names[0]
    return f"{count:,} × {names[0]}" if len(set(names)) == 1 else f"{count:,} devices"


def _workload(plan: Plan) -> str:
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


def _bar(name: str, phase: Phase, device: Device) -> Bar:
    terms = sorted(phase.terms, key=lambda term: ORDER.index(term.name))
    size, room = int(phase.bytes), _available(device)
    return Bar(
        category=name,
        segments=tuple(_segment(term) for term in terms if int(term.bytes) > 0),
        label=gib_text(size),
        hover=f"{name}: {gib_text(size)} ({exact_text(size)} bytes) {DOING[phase.name]}",
        label_colour="bad" if room is not None and size > room else "text",
    )


def _segment(term: Term) -> Segment:
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
    )


def _limits(devices: Sequence[Device], colour: str) -> list[Rule]:
    """The cards' sizes, and dashed what is available of them."""
    known = [device for device in devices if device.memory_free is not None]
    free = sorted({now for device in known if (now := available_now(device)) is not None})
    usable = sorted({room for device in devices if (room := available_empty(device)) is not None})
    cards = sorted({device.memory_total for device in devices if device.memory_total})
    rules = _ends("card", cards, "text", "solid", "memory of the card, as NVML reports it")
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
        label = f"{words[:1].upper()}{words[1:]} {gib_text(size)}"
        rules.append(
            Rule("x", size, label, colour, dash, f"{label} ({exact_text(size)} bytes)\n{source}", source)
        )
    return rules


def _left_out(rest: Sequence[Need]) -> str:
    """What is said of the devices that are not shown."""
    if not rest:
        return ""
    sizes = sorted({gib_text(int(need.bytes)) for need, _ in rest})
    needed = sizes[0] if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
    many = "1 more device needs" if len(rest) == 1 else f"{len(rest):,} more devices need"
    return f"{many} {needed}{' each' * (len(rest) > 1)}; those with the least room are shown."


def _spoken(need: DeviceEstimate) -> str:
    """One device in words."""
    terms = (
        f"{TERM_TITLES[t.name].lower()} {gib_text(int(t.bytes))}" for t in need.peak.terms if int(t.bytes)
    )
    return f"{need.name} needs {gib_text(int(need.bytes))}: {', '.join(terms)}."
