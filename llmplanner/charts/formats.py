"""What a plan needs at each number format, or precision of training, against the card's limits."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from llmplanner.charts.figure import Axis, Bar, Figure, Rule, Segment, Text
from llmplanner.charts.palette import TERM_TITLES
from llmplanner.core.card_support import check_card
from llmplanner.core.checkpoint import Checkpoint
from llmplanner.core.engine import LlamaCpp
from llmplanner.core.errors import BadInput
from llmplanner.core.estimate import DeviceEstimate, Term
from llmplanner.core.estimating import estimate
from llmplanner.core.formats import BF16, FP8_E4M3, FP16, FP32, INT4, INT8
from llmplanner.core.machine import Device
from llmplanner.core.model import Model
from llmplanner.core.plan import FineTune, Plan, Precision, Pretrain, Serve, Weights, at_weights
from llmplanner.core.quantities import GIB, gb_text, gib_text
from llmplanner.core.recipes import stored_as
from llmplanner.core.room import available_empty, available_now
from llmplanner.core.verdict import Judgement, State, state_of, verdict

WEIGHTS = (FP32, BF16, FP16, FP8_E4M3, INT8, INT4)
FILE_TYPES = ("q8_0", "q6_k", "q5_k_m", "q4_k_m", "q3_k_m", "q2_k")
PRECISIONS = {
    Precision.FP32: "FP32",
    Precision.BF16_MIXED: "BF16 mixed",
    Precision.FP16_MIXED: "FP16 mixed",
    Precision.FP8_MIXED: "FP8 mixed",
    Precision.BF16_MASTER: "BF16, FP32 master",
    Precision.BF16: "BF16 alone",
}
ON_TOP = "Files, up to"  # what files as published add to the weights
SOURCE = (
    "The plan's estimate with its format changed; grey: scales and 16-bit parts of published files; "
    "1 GiB = 2^30 bytes"
)
PUBLISHED = "Published files keep embeddings, norms and head in 16 bits and add scales:"
COMPUTES = {"INT8": "\nComputes in BF16.", "INT4": "\nComputes in BF16."}  # said of a row's total
TRAIN_NOTE = "Mixed precision keeps weights and optimizer in FP32: it halves neither."
ORDER = tuple(TERM_TITLES)  # of the segments, as on the Memory page
LETTER = 0.025  # of the axis, in the narrowest window: a letter of the totals
STATES: dict[State, tuple[str, str, str]] = {  # symbol, words, colour
    "fits": ("✓", "fits", "text"),
    "tight": ("≈", "tight", "warn"),
    "no": ("✕", "does not fit", "bad"),
    "unknown": ("", "cannot tell", "text"),
}


@dataclass(frozen=True, slots=True)
class Row:
    """The plan in one format."""

    name: str
    fullest: DeviceEstimate  # the device that needs most
    state: State  # tight where only the weights alone fit, without what published files add

    @property
    def size(self) -> int:
        """Bytes at the peak."""
        return int(self.fullest.bytes)

    @property
    def on_top(self) -> int:
        """The most bytes that files as published add."""
        return _on_top(self.fullest)


def formats_figure(plan: Plan) -> Figure:
    """The figure: of serving at each format of the weights, of training at each precision."""
    serves = isinstance(plan.workload, Serve)
    title = (
        f"{plan.model.name} at each format, with {plan.workload.context:,} tokens of context"
        if isinstance(plan.workload, Serve)
        else f"Training {plan.model.name} at each precision"
    )
    rows, limits = tuple(_rows(plan)), tuple(_limits(plan.machine.devices[0]))
    longest = max([*(row.size + row.on_top for row in rows), *(rule.value for rule in limits)])
    letters = max(len(gib_text(row.size)) for row in rows) + 4  # a symbol, and air
    right = longest / (1 - LETTER * letters)  # the axis goes on for the column of totals
    return Figure(
        name="formats",
        title=title,
        subtitle="Memory at the peak" if len(plan.machine.devices) == 1 else "Memory at the peak, per GPU",
        x=Axis("memory (GiB)", low=0.0, high=right, one=GIB, unit="bytes"),
        y=Axis("", "category", names=tuple(row.name for row in rows), grid=False),
        marks=(
            *map(_bar, rows),
            *limits,
            *(_total(place, row, right) for place, row in enumerate(rows)),
        ),
        source=SOURCE,
        description="; ".join(f"{row.name}: {gib_text(row.size)}, {STATES[row.state][1]}" for row in rows),
        note="" if serves else TRAIN_NOTE,
    )


def _rows(plan: Plan) -> Iterator[Row]:
    """The formats of served weights, or the precisions of training; the plan's own says so."""
    if isinstance(plan.workload, Serve):
        chosen = plan.weights.name
        stored = {each.name: each for each in _formats(plan)} | {chosen: plan.weights}
        ordered = sorted(stored.values(), key=lambda each: each.bits, reverse=True)
        plans = {each.name: at_weights(plan, each) for each in ordered}
    else:
        chosen = PRECISIONS[plan.workload.step.precision]
        each_at = {name: _at(plan, plan.workload, precision) for precision, name in PRECISIONS.items()}
        plans = {name: each for name, each in each_at.items() if name == chosen or _runs(each)}
    for name, each in plans.items():
        needed = estimate(each)
        fullest = max(needed.different, key=lambda device: int(device.bytes))
        called = f"{name}, as planned" if name == chosen else name
        judged = verdict(each, needed).decisive
        yield Row(called, fullest, _with_published(judged, _on_top(fullest)))


def _formats(plan: Plan) -> Iterator[Weights]:
    """Formats of weights that the plan's engine reads: of llama.cpp's, one file type for each width."""
    if not isinstance(plan.engine, LlamaCpp):
        yield from WEIGHTS
        return
    yield from (FP32, BF16, FP16)
    for key in FILE_TYPES:
        yield _file(plan.model, key)


@lru_cache(maxsize=32)  # an edit of the context shows the same files again
def _file(model: Model, key: str) -> Checkpoint:
    return stored_as(model, key)


def _on_top(device: DeviceEstimate) -> int:
    """What weights of 8 or 4 bits take more as they are published: scales, and embeddings in 16 bits.

    Weights that come in parts are those of certain files, which hold all of it.
    """
    weights = (term for term in device.peak.terms if term.name == "weights" and not term.parts)
    return sum(int(term.high) - int(term.bytes) for term in weights)


def _with_published(judged: Judgement, on_top: int) -> State:
    """The verdict; tight rather than a yes where what published files add would take the margin."""
    if judged.state != "fits":
        return judged.state
    largest = judged.needed_bytes + on_top
    kept = state_of(largest, judged.available_bytes, training=False) if on_top else judged.state
    return "fits" if kept == "fits" else "tight"


def _runs(plan: Plan) -> bool:
    """Whether the cards can run it at all: FP8 is for those that multiply it."""
    try:
        check_card(plan)
    except BadInput:
        return False
    return True


def _at(plan: Plan, workload: FineTune | Pretrain, precision: Precision) -> Plan:
    return replace(plan, workload=replace(workload, step=replace(workload.step, precision=precision)))


def _bar(row: Row) -> Bar:
    terms = sorted(row.fullest.peak.terms, key=lambda term: ORDER.index(term.name))
    segments = [_segment(term) for term in terms if int(term.bytes) > 0]
    if row.on_top:
        added = f"{PUBLISHED} up to {gib_text(row.on_top)}"
        segments.append(Segment(ON_TOP, row.on_top, "mute", hover=added))
    return Bar(row.name, tuple(segments))


def _total(place: int, row: Row, right: float) -> Text:
    """A row's total in a column of its own at the right end, with the symbol of its verdict."""
    symbol, words, colour = STATES[row.state]
    size = gib_text(row.size)
    published = f"\n{PUBLISHED} up to {gib_text(row.size + row.on_top)}." if row.on_top else ""
    exactly = f"{row.size:,} bytes = {size} = {gb_text(row.size)}: {words}"
    hover = f"{exactly}{published}{COMPUTES.get(row.name[:4], '')}"
    return Text(right, place, f"{size} {symbol}", colour, "right", bold=True, hover=hover)


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
