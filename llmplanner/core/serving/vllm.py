"""What vLLM's V1 engine holds: weights, a pass over its budget of tokens, blocks of keys and values.

At the start vLLM loads the weights, runs one pass of `max_num_batched_tokens` tokens and one sampling of
`max_num_seqs` sequences, and gives what is left of its share of the card to blocks of keys and values.
Source: vLLM 0.10, vllm/v1/worker/gpu_worker.py (determine_available_memory).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import prod

from llmplanner.core.checkpoint import Checkpoint
from llmplanner.core.engine import Vllm
from llmplanner.core.errors import BadInput
from llmplanner.core.estimate import Bytes, Capacity, Estimate, Phase, Term, placed
from llmplanner.core.machine import Device
from llmplanner.core.model import Experts, Kind, Model
from llmplanner.core.plan import Count, Plan, Serve, computed_in
from llmplanner.core.room import share_of
from llmplanner.core.serving.vllm_blocks import Requests, kv_blocks
from llmplanner.core.serving.vllm_pass import forward_pass, sampling
from llmplanner.core.serving.vllm_process import process
from llmplanner.core.sharding import Share, device_models
from llmplanner.core.terms.recurrent_state import recurrent_state, states
from llmplanner.core.terms.weights import weights

Terms = tuple[Term, ...]

LARGE_CARD = 70 * 2**30  # bytes from which vLLM takes its larger budgets, the A100 left out
MARLIN_HIDDEN, MARLIN_WIDTH = 256, 128  # to multiples of which MXFP4 experts are padded; a log agrees
PACKED = frozenset({"U8", "MXFP4"})  # what MXFP4 experts and their scales are stored as
BUDGETS = {True: (8192, 1024), False: (2048, 256)}  # tokens, sequences: arg_utils.py, get_batch_defaults


def serve(plan: Plan) -> Estimate:
    """Every device's phases, and what is left for keys and values. Raises BadInput."""
    workload, engine = plan.workload, plan.engine
    if not isinstance(workload, Serve) or not isinstance(engine, Vllm):
        raise BadInput("This plan is not one of vLLM's; choose the engine vllm.", "engine")
    if plan.model.kind is Kind.ENCODER_DECODER:
        raise BadInput("vLLM 0.10 serves no encoder-decoder of text; take transformers.", "engine")
    if workload.kv_format is not None and workload.kv_format.bits < 8:  # noqa: PLR2004 - a byte
        raise BadInput(
            f"vLLM keeps keys and values in 16 bits or in FP8, not in {workload.kv_format.name}.", "kv"
        )
    stages = [_stage(plan, share, engine) for share in device_models(plan.model, plan.split)]
    blocks = ((stage.role, stage.phases, stage.devices) for stage in stages)
    return Estimate(placed(blocks, plan.machine.devices), capacity=_capacity(plan, engine, stages))


@dataclass(frozen=True, slots=True)
class Stage:
    """What the devices of one pipeline stage hold."""

    role: str
    devices: int
    resident: Terms  # all but the cache
    cache: Terms

    @property
    def phases(self) -> tuple[Phase, ...]:
        """Loaded, and with a pass over the budget of tokens while the requests' blocks are full."""
        loaded = tuple(term for term in self.resident if term.name in {"weights", "runtime"})
        return Phase("load", loaded), Phase("prefill", (*self.resident, *self.cache))


def _stage(plan: Plan, share: Share, engine: Vllm) -> Stage:
    device, model = plan.machine.devices[0], share.model
    talking = plan.split.devices // plan.split.data
    resident = (
        _weights(plan, model),
        process(talking, graphs=engine.graphs, measured=plan.runtime),
        *_largest_pass(plan, model, engine, device),
    )
    return Stage(share.role, share.devices, resident, tuple(_cache(plan, model, engine, device)))


def budgets(engine: Vllm, device: Device, context: Count) -> tuple[int, int]:
    """Tokens of a pass and sequences at once: as stated, else as vLLM's server chooses by the card.

    The budget of tokens is never above what all sequences together can hold.
    """
    large = (device.memory_total or 0) >= LARGE_CARD and "a100" not in device.name.lower()
    tokens, sequences = BUDGETS[large]
    sequences = engine.sequences or sequences
    tokens = engine.batched_tokens or tokens
    return (min(tokens, sequences * context) if isinstance(context, int) else tokens), sequences


def _weights(plan: Plan, model: Model) -> Term:
    """The weights; those of MXFP4 experts as a card without FP4 lays them out, at the most."""
    found, stored = weights(plan.model, model, plan.weights), plan.weights
    found = replace(found, change="--weights, or more GPUs with --tensor-parallel-size")
    if not isinstance(stored, Checkpoint) or "MXFP4" not in stored.label:
        return found
    experts = [group.layer.feed_forward for stack in model.stacks for group in stack.groups]
    block = next((each.expert for each in experts if isinstance(each, Experts)), None)
    if block is None:
        return found
    sizes = ((block.output.outputs, MARLIN_HIDDEN), (block.width, MARLIN_WIDTH))
    padded, whole = (prod(-(-size // step) * step for size, step in sizes), prod(size for size, _ in sizes))
    packed = sum(int(part.bytes) for part in found.parts if part.name in PACKED)
    note = "Where a card has no FP4, vLLM pads the experts' matrices: up to the upper bound."
    return replace(found, high=int(found.high) + packed * (padded - whole) // whole, note=note)


def _largest_pass(plan: Plan, model: Model, engine: Vllm, device: Device) -> Terms:
    """The fuller of the pass through the layers and the sampling, which follow each other."""
    workload = _workload(plan)
    tokens, sequences = budgets(engine, device, workload.context)
    operand = computed_in(plan.weights, plan.model).bits // 8
    layers = forward_pass(model, workload, tokens, sequences, operand)
    if model.head.linear is None:
        return (layers,)
    sampled = sampling(model, plan.model.vocab_size, tokens, min(tokens, sequences), operand)
    return (layers,) if layers.bytes >= _sum(sampled) else sampled


def _cache(plan: Plan, model: Model, engine: Vllm, device: Device) -> Iterator[Term]:
    workload = _workload(plan)
    if model.kind is Kind.ENCODER:
        return
    computed, batch = computed_in(plan.weights, plan.model), _batch(plan)
    tokens, _ = budgets(engine, device, workload.context)
    requests = Requests(workload.context, batch, engine.block, tokens)
    yield kv_blocks(model, workload.kv_format or computed, requests)
    recurrent = states(model)
    if recurrent:
        yield recurrent_state(recurrent, computed, batch)


def _capacity(plan: Plan, engine: Vllm, stages: list[Stage]) -> Capacity | None:
    """What is left for keys and values where least is; None of maps, and where memory is not known."""
    context, batch = _workload(plan).context, _batch(plan)
    if not isinstance(context, int) or not isinstance(batch, int):
        return None
    rooms = [share_of(device, engine.share) for device in plan.machine.devices[: plan.split.devices]]
    if any(room is None for room in rooms):
        return None
    smallest = min(room for room in rooms if room is not None)
    found = [_left(stage, smallest, context, batch) for stage in stages if stage.cache]
    least = min(found, key=lambda one: one.tokens, default=None)
    many = plan.split.replicas
    return least and replace(least, tokens=least.tokens * many, requests=least.requests * many)


def _left(stage: Stage, share: int, context: int, batch: int) -> Capacity:
    """What a stage has left of its share of a card, and of how many tokens and requests that is."""
    held, request = int(_sum(stage.resident)), int(_sum(stage.cache)) // batch
    left = share - held
    room = max(left, 0)
    most, least = (sum(int(bound) for bound in bounds) for bounds in _bounds(stage.resident))
    return Capacity(
        bytes=left,
        low=share - most,
        high=share - least,
        tokens=room * context // request,
        requests=room // request,
        formula=(
            f"{share:,} B, vLLM's share of the card, - {held:,} B of weights, a pass and the process; "
            f"{request:,} B for a request of {context:,} tokens"
        ),
    )


def _bounds(terms: Terms) -> tuple[list[Bytes], list[Bytes]]:
    """The upper and the lower bounds of terms."""
    return [term.high for term in terms], [term.low for term in terms]


def _batch(plan: Plan) -> Count:
    """Sequences of each replica."""
    return -(-_workload(plan).batch // plan.split.replicas)


def _workload(plan: Plan) -> Serve:
    assert isinstance(plan.workload, Serve)  # noqa: S101 - checked where the engine is chosen
    return plan.workload


def _sum(terms: Terms) -> Bytes:
    return sum((term.bytes for term in terms), start=0)
