"""What a plan needs at each number format, or precision of training, against the card's limits."""

from collections.abc import Iterator
from dataclasses import replace

from llmplanner.charts.figure import Axis, Bar, Figure, Rule, Segment, Text
from llmplanner.charts.palette import TERM_TITLES
from llmplanner.core.estimate import DeviceEstimate, Estimate, Term
from llmplanner.core.estimating import estimate
from llmplanner.core.formats import BF16, FP8_E4M3, FP16, FP32, INT4, INT8
from llmplanner.core.machine import Device
from llmplanner.core.plan import FineTune, Plan, Precision, Pretrain, Serve, at_weights
from llmplanner.core.quantities import GIB, gb_text, gib_text
from llmplanner.core.verdict import State, available_empty, available_now, verdict

WEIGHTS = (FP32, BF16, FP16, FP8_E4M3, INT8, INT4)
PRECISIONS = {
    Precision.FP32: "FP32",
    Precision.BF16_MIXED: "BF16 mixed",
    Precision.FP16_MIXED: "FP16 mixed",
    Precision.BF16: "BF16 alone",
}
SERVE_NOTE = "Scales of 16 bits for 32 weights add 6 % to INT8, 13 % to INT4; both compute in BF16."
TRAIN_NOTE = (
    "Mixed precision does not halve training: weights and optimizer state stay in FP32. "
    "INT8 and INT4 are for weights that are no longer trained."
)
ORDER = tuple(TERM_TITLES)  # of the segments, as on the Memory page
LETTER = 0.025  # of the axis, in the narrowest window: a letter of the totals
STATES: dict[State, tuple[str, str, str]] = {  # symbol, words, colour
    "fits": ("✓", "fits", "text"),
    "tight": ("≈", "tight", "warn"),
    "no": ("✕", "does not fit", "bad"),
    "unknown": ("", "cannot tell", "text"),
}
Need = tuple[Plan, Estimate]


def formats_figure(plan: Plan) -> Figure:
    """The figure: of serving at each format of the weights, of training at each precision."""
    if isinstance(plan.workload, Serve):
        needs = {form.name: _estimated(at_weights(plan, form)) for form in WEIGHTS}
        title = f"{plan.model.name} at each format, with {plan.workload.context:,} tokens of context"
        chosen = plan.weights.name
        note = SERVE_NOTE
    else:
        needs = {
            name: _estimated(_at(plan, plan.workload, precision)) for precision, name in PRECISIONS.items()
        }
        title = f"Training {plan.model.name} at each precision"
        chosen = PRECISIONS[plan.workload.step.precision]
        note = TRAIN_NOTE
    rows = {name: f"{name}, as planned" if name == chosen else name for name in needs}
    judged = {name: verdict(each, needed).decisive for name, (each, needed) in needs.items()}
    sizes = {name: _size(each, needed) for name, (each, needed) in needs.items()}
    limits = tuple(_limits(plan.machine.devices[0]))
    longest = max([*sizes.values(), *(rule.value for rule in limits)])
    letters = max(len(gib_text(size)) for size in sizes.values()) + 4  # a symbol, and air
    right = longest / (1 - LETTER * letters)  # the axis goes on for the column of totals
    return Figure(
        name="formats",
        title=title,
        subtitle="Memory at the peak" if len(plan.machine.devices) == 1 else "Memory at the peak, per GPU",
        x=Axis("memory (GiB)", low=0.0, high=right, one=GIB, unit="bytes"),
        y=Axis("", "category", names=tuple(rows.values()), grid=False),
        marks=(
            *(_bar(rows[name], _fullest(*need)) for name, need in needs.items()),
            *limits,
            *(_total(place, sizes[name], judged[name].state, right) for place, name in enumerate(needs)),
        ),
        source="the plan's estimate with its format changed; 1 GiB = 2^30 bytes",
        description="; ".join(
            f"{rows[name]}: {gib_text(size)}, {STATES[judged[name].state][1]}" for name, size in sizes.items()
        ),
        note=note,
    )


def _at(plan: Plan, workload: FineTune | Pretrain, precision: Precision) -> Plan:
    return replace(plan, workload=replace(workload, step=replace(workload.step, precision=precision)))


def _estimated(plan: Plan) -> Need:
    return plan, estimate(plan)


def _fullest(_plan: Plan, needed: Estimate) -> DeviceEstimate:
    """The device that needs most."""
    return max(needed.devices, key=lambda device: int(device.bytes))


def _size(plan: Plan, needed: Estimate) -> int:
    return int(_fullest(plan, needed).bytes)


def _bar(name: str, need: DeviceEstimate) -> Bar:
    terms = sorted(need.peak.terms, key=lambda term: ORDER.index(term.name))
    return Bar(name, tuple(_segment(term) for term in terms if int(term.bytes) > 0))


def _total(place: int, size: int, state: State, right: float) -> Text:
    """A row's total in a column of its own at the right end, with the symbol of its verdict."""
    symbol, words, colour = STATES[state]
    hover = f"{size:,} bytes = {gib_text(size)} = {gb_text(size)}: {words}"
    return Text(right, place, f"{gib_text(size)} {symbol}", colour, "right", bold=True, hover=hover)


def _segment(term: Term) -> Segment:
    return Segment(
        TERM_TITLES[term.name], int(term.bytes), term.name, formula=term.formula, source=term.source
    )


def _limits(device: Device) -> Iterator[Rule]:
    """The one line that decides: the free memory, else what can be used of the empty card."""
    now, empty, card = available_now(device), available_empty(device), device.memory_total
    room, name = (empty, "usable") if now is None else (now, "free now")
    if room is not None:
        of_card = "" if card is None else f" of the card's {gib_text(card)}"
        yield Rule("x", room, f"{name}: {room / GIB:,.2f}{of_card}", "text", "dashed")
