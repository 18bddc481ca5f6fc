"""Which changes of a plan would help it to fit: each tried in the core, none guessed."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import takewhile

from llmplanner.compose import machine_named, plan_of, split_of
from llmplanner.core.errors import BadInput
from llmplanner.core.estimate import DeviceEstimate
from llmplanner.core.estimating import estimate
from llmplanner.core.formats import format_named
from llmplanner.core.machine import Machine
from llmplanner.core.model import Kind, Model
from llmplanner.core.plan import at_weights
from llmplanner.core.quantities import GIB
from llmplanner.core.verdict import Judgement, verdict
from llmplanner.gpus.catalogue import catalogue
from llmplanner.plans import Draft

RANK = {"fits": 0, "tight": 1, "no": 2, "unknown": 3}
SHORTEST = 512  # tokens of a context or sequence; shorter ones are no use to anybody
MOST_GPUS = 64
WORTHWHILE = 0.98  # of what was needed before; what saves less is not worth a line
NARROW = (("int8", "INT8"), ("int4", "INT4"))

Step = tuple[str, Draft]


@dataclass(frozen=True, slots=True)
class Change:
    """A change of one thing, and how the plan is then judged on its fullest device."""

    text: str
    draft: Draft
    judged: Judgement


def changes(draft: Draft, model: Model, local: Machine | None, *, cards: bool = True) -> tuple[Change, ...]:
    """Changes that lower what the plan needs on a device, those that make it fit first.

    Of a number that can change step by step (context, sequences, GPUs), the mildest step that fits is given,
    or the last where none does. With `cards`, the smallest card of the catalogue that fits is given too.
    """
    before = _tried(("", draft), model, local)
    if before is None:
        return ()
    ladders = [*_ladders(draft, model)]
    if cards and before.judged.state in {"no", "tight"}:
        ladders.append(_larger_cards(draft, before.judged))
    found = [change for steps in ladders if (change := _mildest(steps, model, local)) is not None]
    return tuple(sorted((change for change in found if _helps(change, before)), key=_order))


def told(change: Change, before: str) -> str:
    """A change and its effect, after the state `before`: "Weights in INT8 would need 8 GiB, which fits."."""
    judged = change.judged
    if before == "fits":
        return f"{change.text} would need {judged.needed_bytes / GIB:,.2f} GiB."
    ends = {"fits": ", which fits", "tight": ", which is tight", "no": ", still too much", "unknown": ""}
    return f"{change.text} would need {judged.needed_bytes / GIB:,.2f} GiB{ends[judged.state]}."


@dataclass(frozen=True, slots=True)
class Stored:
    """What the fullest device needs with its numbers in one format. None: nobody works that way."""

    title: str
    weights_bytes: int | None
    serve_bytes: int | None
    train_bytes: int | None


def by_format(draft: Draft, model: Model, local: Machine | None) -> tuple[Stored, ...]:
    """The plan served with weights in each format, and trained in full at the precision of that width."""
    rows = (
        ("FP32", "fp32", "fp32"),
        ("BF16, FP16", "bf16", "bf16-mixed"),
        ("INT8", "int8", ""),
        ("INT4", "int4", ""),
    )
    serve, train = replace(draft, task="serve"), replace(draft, task="finetune")
    found = []
    for title, key, precision in rows:
        served = _fullest(serve, model, local, key)
        trained = _fullest(replace(train, precision=precision), model, local) if precision else None
        found.append(Stored(title, _weights(served), _bytes(served), _bytes(trained)))
    return tuple(found)


def _fullest(
    draft: Draft, model: Model, local: Machine | None, weights: str | None = None
) -> DeviceEstimate | None:
    """The fullest device, served with other weights where those are named; None: no such plan."""
    try:
        plan = plan_of(draft, model, machine_named(draft, local))
        answer = estimate(plan if weights is None else at_weights(plan, format_named(weights)))
    except BadInput:
        return None
    return max(answer.devices, key=lambda device: int(device.bytes))


def _bytes(device: DeviceEstimate | None) -> int | None:
    return None if device is None else int(device.bytes)


def _weights(device: DeviceEstimate | None) -> int | None:
    if device is None:
        return None
    return sum(int(term.bytes) for term in device.peak.terms if term.name == "weights")


def _helps(change: Change, before: Change) -> bool:
    return (
        RANK[change.judged.state] < RANK[before.judged.state]
        or change.judged.needed_bytes < WORTHWHILE * before.judged.needed_bytes
    )


def _order(change: Change) -> tuple[int, int]:
    """What fits comes first, as it was thought of; of the rest, what needs least."""
    fits = change.judged.state == "fits"
    return RANK[change.judged.state], 0 if fits else change.judged.needed_bytes


def _mildest(steps: Iterable[Step], model: Model, local: Machine | None) -> Change | None:
    """The first step that fits; else the last that can be answered."""
    last = None
    for step in steps:
        change = _tried(step, model, local)
        if change is not None and change.judged.state == "fits":
            return change
        last = change or last
    return last


def _tried(step: Step, model: Model, local: Machine | None) -> Change | None:
    """What becomes of a step; None where it cannot be used."""
    text, draft = step
    try:
        plan = plan_of(draft, model, machine_named(draft, local))
        answer = verdict(plan, estimate(plan))
    except BadInput:
        return None
    return Change(text, draft, answer.decisive)


def _ladders(draft: Draft, model: Model) -> Iterator[Iterable[Step]]:
    yield from (_serving if draft.task == "serve" else _training)(draft, model)
    yield _more_gpus(draft)


def _serving(draft: Draft, model: Model) -> Iterator[Iterable[Step]]:
    if model.kind is not Kind.ENCODER and format_named(draft.kv or draft.weights or model.dtype).bits > 8:  # noqa: PLR2004 - narrower than a byte is lossy
        yield [("KV cache in FP8", replace(draft, kv="fp8-e4m3"))]
    bits = format_named(draft.weights or model.dtype).bits
    for key, title in NARROW:
        if format_named(key).bits < bits:
            yield [(f"Weights in {title}", replace(draft, weights=key, kv=draft.kv or "bf16"))]
    yield [
        (f"{count:,} sequences at once", replace(draft, batch=count)) for count in _halvings(draft.batch, 1)
    ]
    yield [
        (f"A context of {tokens:,} tokens", replace(draft, context=tokens, prompt=None))
        for tokens in _halvings(draft.context, SHORTEST)
    ]


def _training(draft: Draft, _model: Model) -> Iterator[Iterable[Step]]:
    if draft.checkpointing == "none":
        yield [("Full checkpointing", replace(draft, checkpointing="full"))]
    if draft.attention == "eager":
        yield [("Fused attention (SDPA)", replace(draft, attention="sdpa"))]
    if split_of(draft).data > 1:
        stages = range(draft.zero + 1, 4)
        yield [(f"ZeRO stage {stage}", replace(draft, zero=stage)) for stage in stages]
    yield [
        (f"Micro-batch {count:,}", replace(draft, micro_batch=count))
        for count in _halvings(draft.micro_batch, 1)
    ]
    yield [
        (f"Sequences of {tokens:,} tokens", replace(draft, sequence=tokens))
        for tokens in _halvings(draft.sequence, SHORTEST)
    ]
    if draft.precision != "bf16":
        yield [("BF16 throughout", replace(draft, precision="bf16"))]
    if draft.optimizer != "sgd":
        yield [("SGD instead of AdamW", replace(draft, optimizer="sgd"))]


def _more_gpus(draft: Draft) -> Iterable[Step]:
    """Twice as many GPUs, and so on: sharing layers when serving, sharing the training state by ZeRO 3."""
    split = split_of(draft)
    counts = takewhile(lambda count: count <= MOST_GPUS, (split.devices * 2**power for power in range(1, 7)))
    for count in counts:
        if draft.task == "serve":
            yield f"{count} GPUs, tensor parallel", replace(draft, count=count, dp=None, tp=None)
        else:
            changed = replace(draft, count=count, dp=count // split.tensor, tp=split.tensor, zero=3)
            yield f"{count} GPUs with ZeRO stage 3", changed


def _larger_cards(draft: Draft, judged: Judgement) -> Iterable[Step]:
    """NVIDIA's cards of the catalogue by memory, from the first that could hold what is needed."""
    room = judged.needed_bytes
    cards = sorted(
        (card for card in catalogue() if card.vendor.casefold() == "nvidia" and card.memory_bytes >= room),
        key=lambda card: card.memory_bytes,
    )
    return [(f"{card.name}, {card.memory_gb:g} GB", replace(draft, gpu=card.id)) for card in cards[:24]]


def _halvings(value: int, least: int) -> Iterator[int]:
    while value // 2 >= least:
        value //= 2
        yield value
