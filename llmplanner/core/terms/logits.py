"""Memory of the output logits while answering."""

from llmplanner.core.estimate import Term
from llmplanner.core.plan import Count
from llmplanner.core.terms.kv_cache import counted, said

FP32_BYTES = 4
SAMPLING_BYTES = 26  # measured in Transformers 5.23, temperature, top-k and top-p: 32 B in all, greedy 6 B


def next_token_logits(vocabulary: int, operand: int, batch: Count) -> Term:
    """Logits of each sequence's last token, `operand` bytes each, and the FP32 copy that is sampled from."""
    copy = 0 if operand == FP32_BYTES else FP32_BYTES
    return Term(
        "logits",
        batch * (vocabulary * (operand + copy)),
        batch * (vocabulary * operand),
        batch * (vocabulary * (operand + FP32_BYTES + SAMPLING_BYTES)),
        f"{said(batch)} × {vocabulary:,} × ({operand} + {copy}) B",
        "Transformers 5.23 generate: logits of the last position, copied to FP32",
        note="Sampling with top-k and top-p sorts and sums in copies: up to the upper bound.",
    )


def token_logits(vocabulary: int, operand: int, tokens: Count) -> Term:
    """Logits of every token, as a masked language model returns them."""
    amount = tokens * (vocabulary * operand)
    return Term(
        "logits",
        amount,
        amount,
        amount + tokens * (vocabulary * FP32_BYTES),
        f"{counted(tokens, 'tokens')} × {vocabulary:,} × {operand} B",
        "Transformers 5.23: one forward pass returns the logits of all tokens",
        note="A caller that copies them to FP32 reaches the upper bound.",
    )
