"""What one pass of vLLM holds at its fullest: tensors of the layers, or of the sampling.

Sources: vLLM 0.10, vllm/model_executor/models/llama.py (a layer's tensors), layers/fused_moe/fused_moe.py
(the experts' buffers), v1/attention/backends/mla/common.py (the room for cached context), v1/sample.
"""

from collections.abc import Iterator

from llmplanner.core.estimate import Part, Term, exact
from llmplanner.core.model import Experts, FeedForward, LatentAttention, Layer, Model, Recurrent
from llmplanner.core.plan import Count, Serve

FP32_BYTES = 4
EXPERT_CHUNK = 32_768  # tokens that the experts take at once (VLLM_FUSED_MOE_CHUNK_SIZE)
CONTEXT_CHUNK = 65_536  # tokens of cached context that latent attention expands at most at once
STREAM = 4  # residual sum, what was embedded, the layer's input, its output
SAMPLED = 37  # bytes a logit beside the 16-bit ones: four logged peaks say 36 to 39
SAMPLED_LOW = 12  # with FlashInfer's sampler, one logged peak
LOW, HIGH = 90, 130  # percent of a pass: logged peaks lie between 97 and 101; 4-bit weights are unpacked


def forward_pass(model: Model, workload: Serve, tokens: int, sequences: int, operand: int) -> Term:
    """The fullest piece of a layer over `tokens` tokens, beside the residual stream. An estimate."""
    pieces = [
        piece
        for stack in model.stacks
        for group in stack.groups
        for piece in _pieces(group.layer, model.hidden_size, tokens, operand)
    ]
    fullest = max(pieces, key=lambda piece: int(piece.bytes), default=Part("no layer", 0, "0 B"))
    stream = tokens * STREAM * model.hidden_size * operand
    words = f"{tokens:,} tokens × {STREAM} × {model.hidden_size:,} × {operand} B"
    parts = [Part("residual stream", stream, words), fullest]
    parts += list(_expanded(model, workload.context, sequences, operand))
    total = sum(int(part.bytes) for part in parts)
    return Term(
        "activations",
        total,
        total * LOW // 100,
        total * HIGH // 100,
        " + ".join(part.formula for part in parts),
        "vLLM 0.10: the tensors that a layer refers to in the profiled pass",
        note="The pass with which vLLM measures itself at the start; it comes again in every full prefill.",
        parts=tuple(parts),
        measured="Two logged peaks of passes, Llama 3.1 8B and Qwen2.5 1.5B: within 3 %",
        change="--set batched_tokens=N (vLLM: --max-num-batched-tokens)",
    )


def _pieces(layer: Layer, hidden: int, tokens: int, operand: int) -> Iterator[Part]:
    attention, block = layer.attention, layer.feed_forward
    if isinstance(attention, LatentAttention):
        key = attention.nope_dim + attention.rope_dim
        wide = attention.heads * (2 * key + attention.nope_dim + 2 * attention.value_dim)
        yield _piece("attention", wide, tokens, operand)
    elif attention is not None:
        query = attention.heads * attention.key_dim
        kept = attention.kv_heads * (attention.key_dim + attention.value_dim)
        yield _piece("attention", 2 * query + kept + attention.heads * attention.value_dim, tokens, operand)
    if isinstance(layer.recurrent, Recurrent):
        made = sum(each.outputs for each in layer.recurrent.inputs)
        yield _piece("recurrence", made + 2 * layer.recurrent.output.inputs, tokens, operand)
    if isinstance(block, Experts):
        yield _experts(block, hidden, tokens, operand)
        if block.shared is not None:
            yield _feed_forward("shared experts", block.shared, tokens, operand)
    elif block is not None:
        yield _feed_forward("feed-forward", block, tokens, operand)


def _piece(name: str, width: int, tokens: int, operand: int) -> Part:
    return Part(name, tokens * width * operand, f"{tokens:,} tokens × {width:,} × {operand} B ({name})")


def _feed_forward(name: str, block: FeedForward, tokens: int, operand: int) -> Part:
    """What the input matrices make, and the activation's output."""
    return _piece(name, (3 if block.gated else 2) * block.width, tokens, operand)


def _experts(block: Experts, hidden: int, tokens: int, operand: int) -> Part:
    """For each expert taken: gate and up, which the outputs then overwrite, and their product."""
    inputs = (2 if block.expert.gated else 1) * block.expert.width
    taken = min(tokens, EXPERT_CHUNK) * block.run
    buffers = taken * (max(inputs, hidden) + block.expert.width) * operand
    router = tokens * block.count * (operand + FP32_BYTES)
    words = (
        f"{taken:,} tokens' experts × ({max(inputs, hidden):,} + {block.expert.width:,}) × {operand} B"
        f" + {tokens:,} tokens × {block.count} scores × {operand + FP32_BYTES} B (experts)"
    )
    return Part("experts", buffers + router, words)


def _expanded(model: Model, context: Count, sequences: int, operand: int) -> Iterator[Part]:
    """Latent attention: room for cached context, as it lies in the cache and expanded for all heads."""
    latent = next(
        (
            group.layer.attention
            for stack in model.stacks
            for group in stack.groups
            if isinstance(group.layer.attention, LatentAttention)
        ),
        None,
    )
    if latent is None or not isinstance(context, int):
        return
    tokens = max(min(8 * context, CONTEXT_CHUNK), sequences)
    width = latent.kv_rank + latent.rope_dim + latent.heads * (latent.nope_dim + latent.value_dim)
    yield _piece("cached context, expanded", width, tokens, operand)


def sampling(model: Model, vocabulary: int, tokens: int, rows: int, operand: int) -> tuple[Term, Term]:
    """The sampling of `rows` sequences with top-k and top-p, as vLLM warms it up: its two terms."""
    hidden = tokens * model.hidden_size * operand
    states = exact(
        "activations",
        hidden,
        f"{tokens:,} tokens × {model.hidden_size:,} × {operand} B",
        "vLLM 0.10: the hidden states of the profiled pass, while its tokens are sampled",
        note="The layers' own tensors are gone by then, and were less.",
    )
    amount = rows * vocabulary
    logits = Term(
        "logits",
        amount * (operand + SAMPLED),
        amount * (operand + SAMPLED_LOW),
        amount * (operand + SAMPLED) * 11 // 10,
        f"{rows:,} sequences × {vocabulary:,} × ({operand} + {SAMPLED}) B",
        "vLLM 0.10, v1/sample: FP32 logits, sorted with their places, summed; bytes by logged peaks",
        note="For the most sequences at once. FlashInfer's sampler, where it is installed: the lower bound.",
        measured="Four logged peaks of Llama 3 and Qwen 3: within 4 %; one with FlashInfer: the lower bound",
        change="--set max_sequences=N (vLLM: --max-num-seqs)",
    )
    return states, logits
