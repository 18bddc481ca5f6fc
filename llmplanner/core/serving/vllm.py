"""What vLLM's V1 engine holds: weights, a pass over its budget of tokens, blocks of keys and values.

At the start vLLM loads the weights, runs one pass of `max_num_batched_tokens` tokens and one sampling of
`max_num_seqs` sequences, and gives what is left of its share of the card to blocks of keys and values.
Source: vLLM 0.10, vllm/v1/worker/gpu_worker.py (determine_available_memory).
"""

from collections.abc import Iterator
from dataclasses import replace

from llmplanner.core.engine import Vllm
from llmplanner.core.errors import BadInput
from llmplanner.core.estimate import Bytes, Capacity, Estimate, Phase, Term, holding
from llmplanner.core.machine import Device
from llmplanner.core.model import Kind, Model
from llmplanner.core.plan import Count, Plan, Serve, computed_in
from llmplanner.core.room import share_of
from llmplanner.core.serving.vllm_blocks import Requests, kv_blocks
from llmplanner.core.serving.vllm_pass import forward_pass, sampling
from llmplanner.core.serving.vllm_process import process
from llmplanner.core.sharding import device_model
from llmplanner.core.terms.recurrent_state import recurrent_state, states
from llmplanner.core.terms.weights import weights

Terms = tuple[Term, ...]

LARGE_CARD = 70 * 2**30  # bytes from which vLLM takes its larger budgets, the A100 left out
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
    devices = plan.machine.devices[: plan.split.devices]
    model = device_model(plan.model, plan.split.tensor)
    batch = -(-workload.batch // plan.split.data)
    loaded = (
        *_weights(plan, model),
        process(plan.split.devices, graphs=engine.graphs, measured=plan.runtime),
    )
    resident = (*loaded, *_largest_pass(plan, model, engine, devices[0]))
    cache = tuple(_cache(plan, model, engine, devices[0], batch))
    phases = (Phase("load", loaded), Phase("prefill", (*resident, *cache)))
    return Estimate(holding(phases, devices), capacity=_capacity(plan, batch, resident, cache))


def budgets(engine: Vllm, device: Device, context: Count) -> tuple[int, int]:
    """Tokens of a pass and sequences at once: as stated, else as vLLM's server chooses by the card.

    The budget of tokens is never above what all sequences together can hold.
    """
    large = (device.memory_total or 0) >= LARGE_CARD and "a100" not in device.name.lower()
    tokens, sequences = BUDGETS[large]
    sequences = engine.sequences or sequences
    tokens = engine.batched_tokens or tokens
    return (min(tokens, sequences * context) if isinstance(context, int) else tokens), sequences


def _weights(plan: Plan, model: Model) -> Iterator[Term]:
    yield replace(
        weights(plan.model, model, plan.weights),
        change="--weights, or more GPUs with --tensor-parallel-size",
    )


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


def _cache(plan: Plan, model: Model, engine: Vllm, device: Device, batch: Count) -> Iterator[Term]:
    workload = _workload(plan)
    if model.kind is Kind.ENCODER:
        return
    computed = computed_in(plan.weights, plan.model)
    tokens, _ = budgets(engine, device, workload.context)
    requests = Requests(workload.context, batch, engine.block, tokens)
    yield kv_blocks(model, workload.kv_format or computed, requests)
    recurrent = states(model)
    if recurrent:
        yield recurrent_state(recurrent, computed, batch)


def _capacity(plan: Plan, batch: Count, resident: Terms, cache: Terms) -> Capacity | None:
    """What is left for keys and values on the smallest card; None where its memory is not known."""
    engine, context, asked = plan.engine, _workload(plan).context, _sum(cache)
    assert isinstance(engine, Vllm)  # noqa: S101 - checked where the engine is chosen
    if not isinstance(context, int) or not isinstance(batch, int) or not isinstance(asked, int) or not asked:
        return None
    rooms = [share_of(device, engine.share) for device in plan.machine.devices[: plan.split.devices]]
    if any(room is None for room in rooms):
        return None
    smallest, held, request = (
        min(room for room in rooms if room is not None),
        int(_sum(resident)),
        asked // batch,
    )
    left = smallest - held
    room = max(left, 0)
    return Capacity(
        bytes=left,
        tokens=room * context // request,
        requests=room // request,
        formula=(
            f"{smallest:,} B, a share of {engine.share:g} of the card, - {held:,} B of weights, "
            f"a pass and the process; {request:,} B for a request of {context:,} tokens"
        ),
    )


def _workload(plan: Plan) -> Serve:
    assert isinstance(plan.workload, Serve)  # noqa: S101 - checked where the engine is chosen
    return plan.workload


def _sum(terms: Terms) -> Bytes:
    return sum((term.bytes for term in terms), start=0)
