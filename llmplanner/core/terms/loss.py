"""Logits in training: cross-entropy saves the log-softmax of every token and makes copies beside it.

In chunks, as torchtune's CEWithChunkedOutputLoss takes it, the copies are of one chunk at a time. Fused with
the head's product, as Liger-Kernel takes it (arXiv:2410.10989 section 3.2), logits are there of one chunk,
and gradients in place of the log-softmax.
"""

from llmplanner.core.autograd.tape import FP32, INT64, Cause, Unit
from llmplanner.core.estimate import Part, largest, smallest
from llmplanner.core.plan import Count, Loss
from llmplanner.core.step import Step, shown

CHUNKS = 8  # torchtune's default


def saved(step: Step) -> list[Part]:
    """What the loss keeps from forward to backward pass, and what its caller does."""
    amount = step.ends[-1].saved((Cause.LOSS,))
    if step.train.loss is Loss.FUSED:
        width = step.model.hidden_size
        text = (
            f"of {shown(step.tokens)} tokens × {width:,} and, if trained, of {vocabulary(step):,} × {width:,}"
        )
        return [Part("gradients made by the loss", amount, text)]
    return [Part("saved by the loss", amount, _saved_text(step)), *held(step)]


def held(step: Step) -> list[Part]:
    """The model's output, where its caller holds it until after the backward pass."""
    if not step.train.keep_logits or step.train.loss is Loss.FUSED:
        return []
    size = step.arithmetic.operand
    return [Part("held by the caller", step.tokens * vocabulary(step) * size, _text(step, size))]


def forward(step: Step) -> list[Part]:
    """The logits and, where they are 16-bit, their FP32 copy: alive when the log-softmax is written."""
    if step.train.loss is Loss.FUSED:
        return _of_a_chunk(step)
    size, operand = loss_size(step), step.arithmetic.operand
    made = 0 if step.train.keep_logits else operand  # else told above
    copy = 0 if operand == size else size
    tokens, logits = step.tokens, vocabulary(step)
    if step.train.loss is Loss.WHOLE:
        return [Part("logits and their copy", tokens * logits * (made + copy), _text(step, made + copy))]
    some = chunk(step)
    text = f"{_text(step, made)} + {copy} B × {shown(some)} tokens of a chunk × {logits:,} logits"
    return [Part("logits and a chunk's copy", (tokens * made + some * copy) * logits, text)]


def _of_a_chunk(step: Step) -> list[Part]:
    """The logits of a chunk, which become their gradients, and a product as large as the head's matrix.

    Autocast keeps its copy of the matrix beside it.
    """
    size, some, width, logits = step.arithmetic.operand, chunk(step), step.model.hidden_size, vocabulary(step)
    copies = 2 if step.arithmetic.autocast else 1
    text = f"{copies} × {size} B × {logits:,} × {width:,}"
    return [
        Part(
            "a chunk's logits", size * some * logits, f"{size} B × {shown(some)} tokens × {logits:,} logits"
        ),
        Part("a product of the head", copies * size * width * logits, text),
    ]


def backward(step: Step) -> list[Part]:
    """The gradients of the log-softmax's output and of the logits. The labels are gone by then."""
    if step.train.loss is Loss.FUSED:
        return []
    size, logits = 2 * loss_size(step), vocabulary(step)
    if step.train.loss is Loss.CHUNKED:
        some, operand = chunk(step), step.arithmetic.operand
        text = f"{size} B × {shown(some)} tokens of a chunk × {logits:,} logits"
        # Then the log-softmax of all is gone, and to the head's gradient another chunk's is added.
        tokens = step.tokens - 2 * some
        done = (
            operand * logits * (tokens + 2 * step.model.hidden_size) - loss_size(step) * logits * step.tokens
        )
        most = largest(some * logits * size, done)
        return [Part("gradients of a chunk's logits, or of the head", most, text)]
    labels = step.tokens * (INT64 if step.model.head.loss_fp32 else 0)
    gone = f" − {INT64} B × {shown(step.tokens)} labels, gone by then" if step.model.head.loss_fp32 else ""
    return [Part("gradients of the logits", step.tokens * logits * size - labels, _text(step, size) + gone)]


def in_the_head(step: Step) -> list[Part]:
    """The gradients of the logits as the head's product made them, and of what it read."""
    size, tokens = step.arithmetic.operand, step.tokens
    width = vocabulary(step) + step.model.hidden_size
    text = f"{size} B × {shown(tokens)} tokens × {width:,} logits and elements that the head read"
    return [Part("gradients of the logits and the hidden states", tokens * width * size, text), *held(step)]


def chunk(step: Step) -> Count:
    """Tokens whose logits are taken at once.

    Liger-Kernel takes so many that their logits are about as large as the hidden states of all.
    """
    tokens = step.tokens
    if step.train.loss is Loss.CHUNKED:
        return -(-tokens // CHUNKS)
    ratio = max(-(-vocabulary(step) // step.model.hidden_size), 1)
    return smallest(_power_of_two(-(-tokens // ratio)), tokens)


def _power_of_two(count: Count) -> Count:
    """The next power of two."""
    if isinstance(count, int):
        return 1 << max(count - 1, 0).bit_length()
    import numpy as np  # noqa: PLC0415 - of maps alone

    return np.asarray(2 ** np.ceil(np.log2(np.maximum(count, 1))), np.int64)


def loss_size(step: Step) -> int:
    """Bytes per element in which the loss is taken."""
    if step.model.head.loss_fp32 or step.arithmetic.autocast:
        return FP32
    return step.arithmetic.operand


def vocabulary(step: Step) -> int:
    """Logits per token; none without a head."""
    return step.model.head.linear.outputs if step.model.head.linear is not None else 0


def _saved_text(step: Step) -> str:
    """The log-softmax and what is saved beside it: the labels; the loss and the weight of its mean."""
    amounts, logits = step.ends[-1].amounts, vocabulary(step)
    labels = INT64 if step.model.head.loss_fp32 else 0
    size = (amounts.get((Cause.LOSS, Unit.TOKEN), labels) - labels) // max(logits, 1)
    beside = f" + {labels} B × {shown(step.tokens)} labels" if labels else ""
    return f"{_text(step, size)}{beside} + {amounts.get((Cause.LOSS, Unit.ONCE), 0)} B of the loss"


def _text(step: Step, size: int) -> str:
    return f"{size} B × {shown(step.tokens)} tokens × {vocabulary(step):,} logits"
