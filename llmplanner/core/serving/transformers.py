"""What Transformers needs on each device: to load the weights, to read a prompt, to answer."""

from collections.abc import Iterator
from dataclasses import replace

from llmplanner.core.checkpoint import Checkpoint
from llmplanner.core.engine import AttentionKernel, Transformers
from llmplanner.core.estimate import Estimate, Phase, Term, placed
from llmplanner.core.fullest import fullest
from llmplanner.core.model import Kind, Model
from llmplanner.core.plan import Count, Plan, Serve, computed_in
from llmplanner.core.recipes.ggml import in_blocks
from llmplanner.core.sharding import device_models
from llmplanner.core.terms.activations_serving import Pass, activations, head_input
from llmplanner.core.terms.kv_cache import WINDOW_LESS, kept, kv_cache
from llmplanner.core.terms.logits import next_token_logits, token_logits
from llmplanner.core.terms.recurrent_state import recurrent_state, states
from llmplanner.core.terms.runtime import runtime
from llmplanner.core.terms.weights import weights

UNPACKED = (
    "Transformers unpacks such weights to 16 bits or more when it loads them; "
    "--engine llama.cpp computes on them as they are."
)


def serve(plan: Plan) -> Estimate:
    """Every device's phases. Data-parallel copies share the sequences, stages the layers. Raises BadInput."""
    shares = device_models(plan.model, plan.split)
    blocks = ((share.role, tuple(_phases(plan, share.model)), share.devices) for share in shares)
    return Estimate(placed(blocks, plan.machine.devices))


def _phases(plan: Plan, model: Model) -> Iterator[Phase]:
    split = plan.split
    resident = (
        _weights(plan, model),
        runtime(split.devices // split.data, plan.machine.devices[0].vendor, measured=plan.runtime),
    )
    yield Phase("load", resident)
    workload = _workload(plan)
    batch = -(-workload.batch // split.replicas)
    if model.kind is Kind.ENCODER:
        yield Phase("forward", (*resident, *_encoded(plan, model, batch)))
        return
    prompt = workload.context if workload.prompt is None else workload.prompt
    yield Phase("prefill", (*resident, *_read(plan, model, prompt, batch)))
    yield Phase("decode", (*resident, *_answered(plan, model, prompt, batch)))


def _weights(plan: Plan, model: Model) -> Term:
    """The weights as they are stored, with a word on those that this engine does not compute on."""
    found, stored = weights(plan.model, model, plan.weights), plan.weights
    if isinstance(stored, Checkpoint) and in_blocks(amount.format for amount in stored.amounts):
        return replace(found, note=f"{UNPACKED} {found.note}".strip())
    return found


def _encoded(plan: Plan, model: Model, batch: Count) -> Iterator[Term]:
    """One forward pass of an encoder over the whole context."""
    tokens, operand = _workload(plan).context, _operand(plan)
    run = replace(_pass(plan, tokens, tokens, batch), cached=False)
    layers = activations(model, model.stacks[0], run)
    logits = token_logits(plan.model.vocab_size, operand, batch * tokens)
    yield from _layers_or_head(model, run, layers, logits)


def _read(plan: Plan, model: Model, prompt: Count, batch: Count) -> Iterator[Term]:
    """The prompt in one pass: of a decoder, or of an encoder-decoder's encoder, which caches nothing."""
    operand, engine = _operand(plan), _engine(plan)
    decoder = model.kind is Kind.DECODER
    seen = _workload(plan).context if decoder and engine.static_cache else prompt
    if decoder:
        yield from _memory(plan, model, seen, prompt, batch)
    run = replace(_pass(plan, prompt, seen, batch), cached=decoder)
    layers = activations(model, model.stacks[0], run)
    if decoder:
        vocabulary = plan.model.vocab_size
        last = next_token_logits(vocabulary, operand, batch)
        logits = token_logits(vocabulary, operand, batch * prompt) if engine.all_logits else last
        yield from _layers_or_head(model, run, layers, logits)
    else:
        yield layers


def _answered(plan: Plan, model: Model, prompt: Count, batch: Count) -> Iterator[Term]:
    """The last token of the longest answers: the cache holds the whole context."""
    operand, context = _operand(plan), _workload(plan).context
    yield from _memory(plan, model, context, prompt, batch)
    encoder = prompt if model.kind is Kind.ENCODER_DECODER else 0
    run = replace(_pass(plan, 1, context, batch), encoder=encoder)
    layers = activations(model, model.stacks[-1], run)
    logits = next_token_logits(plan.model.vocab_size, operand, batch)
    yield from _layers_or_head(model, run, layers, logits)


def _layers_or_head(model: Model, run: Pass, layers: Term, logits: Term) -> tuple[Term, ...]:
    """The fuller of two moments: inside the layers, or at the head, when what the layers held is gone."""
    if model.head.linear is None:
        return (layers,)
    return fullest([(layers, _not_yet(logits)), (head_input(model, run), logits)])


def _not_yet(logits: Term) -> Term:
    """The logits while the layers run: none, so that what the layers hold is not counted beside them."""
    note = f"They come when the layers are done and what these held is gone: {logits.formula}."
    return replace(logits, bytes=0, low=0, high=0, formula="0 B while the layers run", note=note)


def _memory(plan: Plan, model: Model, context: Count, encoder: Count, batch: Count) -> Iterator[Term]:
    """What the layers keep of the tokens seen: keys and values, and states of a fixed size."""
    computed = computed_in(plan.weights, plan.model)
    form = _workload(plan).kv_format or computed
    groups = kept(model, 0 if _engine(plan).static_cache else WINDOW_LESS)
    yield kv_cache(groups, form, context, encoder, batch)
    recurrent = states(model)
    if recurrent:
        yield recurrent_state(recurrent, computed, batch)


def _pass(plan: Plan, new: Count, seen: Count, batch: Count) -> Pass:
    """A forward pass as the engine is set."""
    engine = _engine(plan)
    eager = engine.attention is AttentionKernel.EAGER
    growing, kernels = not engine.static_cache, engine.kernels
    return Pass(new, seen, batch, _operand(plan), growing=growing, eager=eager, kernels=kernels)


def _operand(plan: Plan) -> int:
    """Bytes of an operand of the matrix products."""
    return computed_in(plan.weights, plan.model).bits // 8


def _workload(plan: Plan) -> Serve:
    assert isinstance(plan.workload, Serve)  # noqa: S101 - checked where the engine is chosen
    return plan.workload


def _engine(plan: Plan) -> Transformers:
    assert isinstance(plan.engine, Transformers)  # noqa: S101 - checked where the engine is chosen
    return plan.engine
