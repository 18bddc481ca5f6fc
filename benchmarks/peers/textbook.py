"""The formulas that textbooks and blogs give, for the same questions. `formula(question)` gives an amount.

Sources: Korthikanti et al. 2022 (arXiv:2205.05198) equation 2; Rajbhandari et al. 2019 (arXiv:1910.02054)
section 3.1: 16 bytes for each parameter trained by Adam in mixed precision; Pope et al. 2022
(arXiv:2211.05102) section 2.1: keys and values of multi-head attention; Kaplan et al. 2020
(arXiv:2001.08361) table 1: 12 L d^2 parameters.
"""

from collections.abc import Mapping

Question = Mapping[str, object]

NAME = "textbook"
STATE = 16  # bytes for each trained parameter
BITS = {  # of a file type's name, as calculators divide it: the digit after Q
    "F32": 32, "F16": 16, "BF16": 16, "MXFP4_MOE": 4,
}  # fmt: skip


def answer(question: Question) -> float | None:
    """The formula's answer in the unit of the column; None where it has none."""
    column = str(question["column"])
    unit = question.get("unit") or 1
    assert isinstance(unit, int | float)  # noqa: S101 - as questions.py writes it
    if column == "total":
        amount = _parameters(question)
    elif column in {"bytes", "kv_total_MiB", "context_MiB"}:
        amount = _keys_and_values(question)
    elif column in {"size_MiB", "published_GiB"}:
        amount = _file(question)
    else:
        amount = _training(question, column)
    return None if amount is None else amount / unit


def _parameters(question: Question) -> float | None:
    """12 L d^2, and the embedding."""
    layers, hidden = _size(question, "layers"), _size(question, "hidden_size")
    return 12 * layers * hidden**2 + hidden * _size(question, "vocab_size") if layers and hidden else None


def _keys_and_values(question: Question) -> float | None:
    """2 L d s in 16 bits: every head has keys and values of its own, and every layer sees everything."""
    layers, hidden = _size(question, "layers"), _size(question, "hidden_size")
    tokens = _size(question, "tokens") * _size(question, "batch")
    return 2 * 2 * layers * hidden * tokens if layers and hidden else None


def _file(question: Question) -> float | None:
    """Parameters times the bits in the name of the file type."""
    name = str(question["file_type"])
    digits = "".join(letter for letter in name.partition("_")[0] if letter.isdecimal())
    bits = BITS.get(name) or (int(digits) if digits else 0)
    return _size(question, "parameters") * bits / 8 if bits else None


def _training(question: Question, column: str) -> float | None:
    """16 bytes for each parameter, and s b h L (34 + 5 a s / h); 2 s b h L where layers are checkpointed."""
    layers, hidden = _size(question, "layers"), _size(question, "hidden_size")
    heads, sequence = _size(question, "heads"), _size(question, "sequence")
    if not layers or not hidden or not heads or question.get("rank") is not None:
        return None
    tokens = sequence * _size(question, "batch")
    scores = 0.0 if question.get("fused") else 5 * heads * sequence / hidden
    each = 2.0 if question.get("checkpointing") == "full" else 34 + scores
    kept = tokens * hidden * layers * each
    return kept if column == "activations_live_bytes" else STATE * _size(question, "parameters") + kept


def _size(question: Question, name: str) -> int:
    value = question.get(name)
    return value if isinstance(value, int) else 0
