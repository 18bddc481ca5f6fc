"""Which changes of a plan would help it to fit: each tried in the core, none guessed."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import takewhile

from llmplanner.compose import Chosen, machine_named, plan_of, weights_of, with_model
from llmplanner.core.blocks import cache_format_named
from llmplanner.core.errors import BadInput
from llmplanner.core.estimate import DeviceEstimate
from llmplanner.core.estimating import estimate
from llmplanner.core.formats import format_named
from llmplanner.core.machine import Machine, alike
from llmplanner.core.model import Experts, Kind, Model
from llmplanner.core.plan import Plan, Serve, at_weights, computed_in
from llmplanner.core.quantities import gib_text
from llmplanner.core.verdict import Judgement, Verdict, verdict
from llmplanner.gpus.catalogue import catalogue
from llmplanner.plans import Draft, precision_of
from llmplanner.workloads import split_of

RANK = {"fits": 0, "tight": 1, "no": 2, "unknown": 3}
SHORTEST = 512  # tokens of a context or sequence; shorter ones are no use to anybody
MOST_GPUS = 64
MOST_NEARER = 2  # changes that are told though the plan does not fit with them either
WORTHWHILE = 0.98  # of what was needed before; what saves less is not worth a line
NARROW = (("int8", "INT8"), ("int4", "INT4"))
FILE_TYPES = (("q8_0", "Q8_0", 8.5), ("q4_k_m", "Q4_K_M", 5))  # of llama.cpp, by bits a weight

Step = tuple[str, Draft]


@dataclass(frozen=True, slots=True)
class Change:
    """A change of one thing, and how the plan is then judged on its fullest device."""

    text: str
    draft: Draft  # the same plan, where it is the card that has to change: see `frees`
    judged: Judgement
    frees: bool = False  # memory that other programs hold


def changes(draft: Draft, model: Model, local: Machine | None, *, cards: bool = True) -> tuple[Change, ...]:
    """Changes that lower what the plan needs on a device, those that make it fit first.

    Of a number that can change step by step (context, sequences, GPUs), the mildest step that fits is given,
    or the last where none does. With `cards`, the smallest larger card of the catalogue that fits is given
    too. Where the empty card would do, the first change is to free its memory. Only where no change is judged
    better than the plan as it is, up to two that need less are given all the same.
    """
    try:
        plan = plan_of(draft, model, machine_named(draft, local))
        judged = verdict(plan, estimate(plan))
    except BadInput:
        return ()
    before = Change("", draft, judged.decisive)
    ladders = [*_ladders(draft, model)]
    if cards and before.judged.state in {"no", "tight"}:
        ladders.append(_larger_cards(draft, plan, before.judged))
    tried = (_mildest(steps, model, local) for steps in ladders)
    found = sorted((each for each in tried if each is not None and _helps(each, before)), key=_order)
    found = [*_freed(draft, judged), *found]
    if before.judged.state == "fits":
        return tuple(found)
    better = [each for each in found if RANK[each.judged.state] < RANK[before.judged.state]]
    return tuple(better or found[:MOST_NEARER])


def judged_with(draft: Draft, text: str, chosen: Chosen, local: Machine | None) -> Judgement | None:
    """How the plan would be judged with another model; None where it cannot be put together so."""
    try:
        other = with_model(draft, text, chosen)
        plan = plan_of(other, chosen.model, machine_named(other, local))
        return verdict(plan, estimate(plan)).decisive
    except BadInput:
        return None


def better(found: Iterable[Change], before: str) -> bool:
    """Whether one of the changes is judged better than the state `before`."""
    return any(RANK[change.judged.state] < RANK[before] for change in found)


def _freed(draft: Draft, judged: Verdict) -> list[Change]:
    """Freeing what is in use on the card, where the empty card is judged better than it is now."""
    now, empty = judged.now, judged.empty
    if now.available_bytes is None or empty.available_bytes is None or RANK[empty.state] >= RANK[now.state]:
        return []
    used = gib_text(empty.available_bytes - now.available_bytes)
    return [Change(f"Closing the programs that hold {used} of the card", draft, empty, frees=True)]


def told(change: Change, before: str) -> str:
    """A change and its effect, after the state `before`: "Weights in INT8 would need 8 GiB, which fits."."""
    judged = change.judged
    if change.frees:
        return f"{change.text} would make room for the {gib_text(judged.needed_bytes)} needed."
    if before == "fits":
        return f"{change.text} would need {gib_text(judged.needed_bytes)}."
    ends = {"fits": ", which fits", "tight": ", which is tight", "no": ", still too much", "unknown": ""}
    return f"{change.text} would need {gib_text(judged.needed_bytes)}{ends[judged.state]}."


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
    if draft.task != "serve":  # the window shows no engine: the answer must not hang on the one before
        serve = replace(serve, engine=Draft().engine, weights=None, kv=None, kv_values=None)
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
    return max(answer.different, key=lambda device: int(device.bytes))


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
    stored = weights_of(draft, model)
    if draft.engine == "llama.cpp":
        yield from _of_llamacpp(draft, model, stored.bits)
    else:
        kept = cache_format_named(draft.kv) if draft.kv else computed_in(stored, model)
        if model.kind is not Kind.ENCODER and kept.bits > 8:  # noqa: PLR2004 - narrower than a byte is lossy
            whole = draft.engine == "transformers"  # whose quantized caches are of integers
            form, title = ("int8", "INT8") if whole else ("fp8-e4m3", "FP8")
            yield [(f"KV cache in {title}", replace(draft, kv=form))]
        for key, title in NARROW:
            if format_named(key).bits < stored.bits:
                yield [(f"Weights in {title}", replace(draft, weights=key, kv=draft.kv or "bf16"))]
    yield [
        (f"{count:,} {'sequence' if count == 1 else 'sequences'} at once", replace(draft, batch=count))
        for count in _halvings(draft.batch, 1)
    ]
    yield [
        (f"A context of {tokens:,} tokens", replace(draft, context=tokens, prompt=None))
        for tokens in _halvings(draft.context, SHORTEST)
    ]


def _of_llamacpp(draft: Draft, model: Model, bits: float) -> Iterator[Iterable[Step]]:
    """Its own formats, and what it can leave on the host: experts before whole layers."""
    if model.kind is not Kind.ENCODER and draft.flash_attention and not draft.kv:
        yield [("KV cache in Q8_0", replace(draft, kv="q8_0", kv_values=None))]
    for key, title, each in FILE_TYPES:
        if each < bits:
            yield [(f"Weights in {title}", replace(draft, weights=key))]
    layers = model.layers
    if any(isinstance(group.layer.feed_forward, Experts) for stack in model.stacks for group in stack.groups):
        counts = range(max(layers // 16, 1), layers + 1, max(layers // 16, 1))
        yield [
            (f"The experts of {count} layers on the CPU", replace(draft, cpu_experts=count))
            for count in counts
            if count > draft.cpu_experts
        ]
    asked = layers + 1 if draft.gpu_layers is None else draft.gpu_layers
    yield [
        (f"{count} layers on the GPU, the others on the CPU", replace(draft, gpu_layers=count))
        for count in range(asked - max(layers // 16, 1), 0, -max(layers // 16, 1))
    ]


def _training(draft: Draft, _model: Model) -> Iterator[Iterable[Step]]:
    if draft.checkpointing == "none":
        yield [("Full checkpointing", replace(draft, checkpointing="full"))]
    if draft.attention == "eager":
        yield [("Fused attention (SDPA)", replace(draft, attention="sdpa"))]
    split = split_of(draft)
    if split.replicas > 1:
        stages = range(draft.zero + 1, 4)
        yield [(f"ZeRO stage {stage}", replace(draft, zero=stage)) for stage in stages]
    if split.tensor > 1 and not split.sequence_parallel:
        yield [("Sequence parallel", replace(draft, sequence_parallel=True))]
    if draft.offload == "none":
        yield [("Optimizer state in the computer's memory", replace(draft, offload="optimizer"))]
    yield [
        (f"Micro-batch {count:,}", replace(draft, micro_batch=count))
        for count in _halvings(draft.micro_batch, 1)
    ]
    yield [
        (f"Sequences of {tokens:,} tokens", replace(draft, sequence=tokens))
        for tokens in _halvings(draft.sequence, SHORTEST)
    ]
    if precision_of(draft) != "bf16":
        yield [("BF16 throughout", replace(draft, precision="bf16"))]
    if draft.optimizer != "sgd":
        yield [("SGD instead of AdamW", replace(draft, optimizer="sgd"))]


def _more_gpus(draft: Draft) -> Iterable[Step]:
    """Twice as many GPUs, and so on: sharing layers when serving, sharing the training state by ZeRO 3."""
    split = split_of(draft)
    counts = takewhile(lambda count: count <= MOST_GPUS, (split.devices * 2**power for power in range(1, 7)))
    for count in counts:
        if draft.task == "serve":
            how = "a part of the layers each" if draft.engine == "llama.cpp" else "tensor parallel"
            yield f"{count} GPUs, {how}", replace(draft, count=count, dp=None, tp=None, pp=1, ep=1)
        else:
            data = split.data * (count // split.devices)
            changed = replace(draft, count=count, dp=data, tp=split.tensor, zero=3)
            yield f"{count} GPUs with ZeRO stage 3", changed


def _larger_cards(draft: Draft, plan: Plan, judged: Judgement) -> Iterable[Step]:
    """Common cards with more memory than the plan's, and what it computes in, by memory."""
    devices = plan.machine.devices
    present = max(device.memory_total or 0 for device in (devices[:1] if alike(devices) else devices))
    room, form, count = judged.needed_bytes, _computed(plan), len(devices)
    cards = sorted(
        (
            card
            for card in catalogue()
            if card.common and form in card.peak_flops and card.memory_bytes > max(present, room)
        ),
        key=lambda card: card.memory_bytes,
    )
    many = f"{count} × " if count > 1 else ""
    return [(f"{many}{card.name}, {card.memory_gb:g} GB", replace(draft, gpu=card.id)) for card in cards]


def _computed(plan: Plan) -> str:
    """The name of the format that the plan's matrix products are computed in."""
    if isinstance(plan.workload, Serve):
        return computed_in(plan.weights, plan.model).key
    return plan.workload.step.precision.value.removesuffix("-mixed")


def _halvings(value: int, least: int) -> Iterator[int]:
    while value // 2 >= least:
        value //= 2
        yield value
