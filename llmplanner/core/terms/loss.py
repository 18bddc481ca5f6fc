"""Logits in training: cross-entropy saves the log-softmax of every token and makes copies beside it."""

from llmplanner.core.autograd.tape import FP32, INT64, Cause
from llmplanner.core.estimate import Part
from llmplanner.core.step import Step, shown


def saved(step: Step) -> list[Part]:
    """What the loss keeps from forward to backward pass, and what its caller does."""
    kept = Part("saved by the loss", step.ends[-1].saved((Cause.LOSS,)), _text(step, loss_size(step)))
    return [kept, *held(step)]


def held(step: Step) -> list[Part]:
    """The model's output, where its caller holds it until after the backward pass."""
    if not step.train.keep_logits:
        return []
    size = step.arithmetic.operand
    return [Part("held by the caller", step.tokens * vocabulary(step) * size, _text(step, size))]


def forward(step: Step) -> list[Part]:
    """The logits and, where they are 16-bit, their FP32 copy: alive when the log-softmax is written."""
    size, operand = loss_size(step), step.arithmetic.operand
    made = 0 if step.train.keep_logits else operand  # else told above
    copies = made + (0 if operand == size else size)
    return [Part("logits and their copy", step.tokens * vocabulary(step) * copies, _text(step, copies))]


def backward(step: Step) -> list[Part]:
    """The gradients of the log-softmax's output and of the logits. The labels are gone by then."""
    size = 2 * loss_size(step)
    labels = step.tokens * (INT64 if step.model.head.loss_fp32 else 0)
    return [
        Part("gradients of the logits", step.tokens * vocabulary(step) * size - labels, _text(step, size))
    ]


def loss_size(step: Step) -> int:
    """Bytes per element in which the loss is taken."""
    if step.model.head.loss_fp32 or step.arithmetic.autocast:
        return FP32
    return step.arithmetic.operand


def vocabulary(step: Step) -> int:
    """Logits per token; none without a head."""
    return step.model.head.linear.outputs if step.model.head.linear is not None else 0


def _text(step: Step, size: int) -> str:
    return f"{size} B × {shown(step.tokens)} tokens × {vocabulary(step):,} logits"
