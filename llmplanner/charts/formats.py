"""What a plan needs at each number format, or precision of training, against the card's limits."""

from collections.abc import Iterator
from dataclasses import replace

from llmplanner.charts.figure import Axis, Bar, Figure, Rule, Segment
from llmplanner.charts.palette import TERM_TITLES
from llmplanner.core.estimate import DeviceEstimate, Term
from llmplanner.core.estimating import estimate
from llmplanner.core.formats import BF16, FP8_E4M3, FP16, FP32, INT4, INT8
from llmplanner.core.machine import Device
from llmplanner.core.plan import FineTune, Plan, Precision, Pretrain, Serve, at_weights
from llmplanner.core.quantities import GIB, gb_text, gib_text

WEIGHTS = (FP32, BF16, FP16, FP8_E4M3, INT8, INT4)
PRECISIONS = {
    Precision.FP32: "FP32",
    Precision.BF16_MIXED: "BF16 mixed",
    Precision.FP16_MIXED: "FP16 mixed",
    Precision.BF16: "BF16 alone",
}
SERVE_NOTE = (
    "INT8 and INT4 without their scales: one of 16 bits for every 32 weights adds 6.25 and 12.5 %. "
    "What is stored in 8 or 4 bits computes in BF16, and keeps its KV cache so."
)
TRAIN_NOTE = (
    "Mixed precision does not halve training: weights and optimizer state stay in FP32. "
    "INT8 and INT4 are for weights that are no longer trained."
)


def formats_figure(plan: Plan) -> Figure:
    """The figure: of serving at each format of the weights, of training at each precision."""
    if isinstance(plan.workload, Serve):
        needs = {form.name: _needed(at_weights(plan, form)) for form in WEIGHTS}
        bits = {form.name: f" · {form.bits} bits" for form in WEIGHTS}
        title = f"{plan.model.name} at each format, with {plan.workload.context:,} tokens of context"
        chosen = plan.weights.name
        note = SERVE_NOTE
    else:
        needs = {name: _needed(_at(plan, plan.workload, precision)) for precision, name in PRECISIONS.items()}
        bits = dict.fromkeys(needs, "")
        title = f"Training {plan.model.name} at each precision"
        chosen = PRECISIONS[plan.workload.step.precision]
        note = TRAIN_NOTE
    device = plan.machine.devices[0]
    most = device.memory_free if device.memory_free is not None else device.memory_total
    rows = {name: f"{name}, as planned" if name == chosen else name for name in needs}
    return Figure(
        name="formats",
        title=title,
        subtitle="Memory at the peak" if len(plan.machine.devices) == 1 else "Memory at the peak, per GPU",
        x=Axis("memory (GiB)", low=0.0, one=GIB, unit="bytes"),
        y=Axis("", "category", names=tuple(rows.values()), grid=False),
        marks=(*(_bar(rows[name], need, bits[name], most) for name, need in needs.items()), *_limits(device)),
        source="the plan's estimate with its format changed; 1 GiB = 2^30 bytes",
        description="; ".join(f"{rows[name]}: {gib_text(_size(need))}" for name, need in needs.items()),
        note=note,
    )


def _at(plan: Plan, workload: FineTune | Pretrain, precision: Precision) -> Plan:
    return replace(plan, workload=replace(workload, step=replace(workload.step, precision=precision)))


def _needed(plan: Plan) -> DeviceEstimate:
    """The device that needs most."""
    return max(estimate(plan).devices, key=_size)


def _size(need: DeviceEstimate) -> int:
    return int(need.bytes)


def _bar(name: str, need: DeviceEstimate, bits: str, most: int | None) -> Bar:
    total = _size(need)
    over = most is not None and total > most
    return Bar(
        name,
        tuple(_segment(term) for term in need.peak.terms),
        label=f"{gib_text(total)}{bits}",
        hover=f"{total:,} bytes = {gib_text(total)} = {gb_text(total)}",
        label_colour="bad" if over else "text",
    )


def _segment(term: Term) -> Segment:
    return Segment(
        TERM_TITLES[term.name], int(term.bytes), term.name, formula=term.formula, source=term.source
    )


def _limits(device: Device) -> Iterator[Rule]:
    if device.memory_total is not None:
        yield Rule("x", device.memory_total, f"card {gib_text(device.memory_total)}", "mute")
    if device.memory_free is not None:
        yield Rule("x", device.memory_free, f"free now {gib_text(device.memory_free)}", "text", "dashed")
