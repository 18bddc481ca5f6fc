"""A published run: a plan, which figure was published of it, and what its row's cells say."""

import re
from dataclasses import dataclass
from enum import Enum

from llmplanner.check.answer import Row
from llmplanner.check.cells import text, whole
from llmplanner.core.errors import BadInput, quoted
from llmplanner.core.formats import BF16
from llmplanner.core.model import Model
from llmplanner.core.plan import Checkpointing, Split, Train, Weights
from llmplanner.core.recipes import stored_as

STORED = (  # how a row's quantization is called here
    ("int4 (gptq)", "gptq-4bit-g128"),
    ("int8 (gptq)", "gptq-8bit-g128"),
    ("int4 gptq", "gptq-4bit-g128"),
    ("int8 gptq", "gptq-8bit-g128"),
    ("int4 (bnb)", "nf4-double"),  # ms-swift's bnb_4bit_use_double_quant
    ("bnb.nf4-dq", "nf4-double"),
    ("bnb.nf4", "nf4"),
)


MOST = (
    10_000_000  # tokens, sequences or rank of any run: ten times the longest context that models are sold for
)


class Figure(Enum):
    """Which figure a framework publishes."""

    ALLOCATED = "tensors and workspaces (max_memory_allocated)"
    RESERVED = "what the allocator reserved (max_memory_reserved)"
    DRIVER = "what the driver says of the process, or either of the two"


@dataclass(frozen=True, slots=True)
class Run:
    """One published run."""

    model: Model
    train: Train
    split: Split
    figure: Figure
    weights: Weights = BF16
    varied: bool = False  # steps of different lengths
    talks: bool = False  # a communicator is there, on one GPU too
    upcast: bool = False  # what is not quantized is cast to FP32 (PEFT's prepare_model_for_kbit_training)
    own_code: bool = False  # the framework's own layers, not Transformers'
    beside: int = 0  # bytes that this framework's version and settings take on top
    perhaps: int = 0  # bytes that it may take beyond those
    note: str = ""


def length(row: Row) -> int:
    """Tokens of the longest sequence: the first number. Raises BadInput."""
    return number(row, "seq_len")


def batch(row: Row) -> int:
    """Sequences at once: the first number of "2 (micro)" or "2 local". Raises BadInput."""
    return number(row, "batch_size")


def number(row: Row, column: str) -> int:
    """The first number of a cell, which must be whole, above 0 and of some sense. Raises BadInput."""
    found = re.search(r"-?(\d{1,3}(,\d{3})+\b|\d[\w.]*)", row.get(column, ""))
    digits = re.sub(r"\.0*$|,", "", found.group()) if found is not None else ""
    if not digits.isdecimal() or not digits.isascii() or len(digits) > len(str(MOST)):
        digits = "0"
    if not 0 < int(digits) <= MOST:
        cell = quoted(row.get(column, ""))
        raise BadInput(f"{column} is {cell}; it must begin with a whole number from 1 to {MOST:,}.", column)
    return int(digits)


def devices(row: Row) -> int:
    """GPUs of the run; one where none is stated."""
    return whole(row, "n_gpus", least=1) or 1


def accumulation(row: Row) -> int:
    """Micro-batches before a step: "grad_accum=8". Raises BadInput."""
    found = re.search(r"grad_accum=([^\s;,]+)", row.get("other", ""))
    return number({"other": found.group(1)}, "other") if found else 1


def checkpointing(row: Row) -> Checkpointing:
    """yes, no, full or selective, with a remark behind it. Raises BadInput."""
    word = text(row, "grad_checkpointing").split()[0].lower()
    known = {"yes": "full", "no": "none", "full": "full", "none": "none", "selective": "selective"}
    if word not in known:
        raise BadInput(f"grad_checkpointing is {quoted(word)}; it is yes, no, full or selective.")
    return Checkpointing(known[word])


def stored(row: Row, model: Model) -> Weights:
    """How the base's weights are stored: BF16 unless the row names a quantization."""
    stated = row.get("quant_or_dtype", "").lower()
    for name, key in STORED:
        if stated.startswith(name):
            return stored_as(model, key)
    return BF16


def cast_again(model: Model) -> int:
    """Bytes of the head that was cast to FP32, as autocast casts it back and keeps it."""
    linear = model.head.linear
    return 2 * linear.inputs * linear.outputs if linear is not None else 0


def figure(row: Row, otherwise: Figure) -> Figure:
    """Which figure the row says that it is; `otherwise` where it does not say."""
    said = row.get("metric_meaning", "").lower()
    if "not stated" in said:
        return otherwise
    for word, found in (
        ("allocated", Figure.ALLOCATED),
        ("reserved", Figure.RESERVED),
        ("smi", Figure.DRIVER),
    ):
        if word in said:
            return found
    return otherwise


def varied(row: Row) -> bool:
    """Whether steps have different lengths: "2048 max", "lengths vary"."""
    return "max" in row.get("seq_len", "") or "vary" in row.get("remark", "")
