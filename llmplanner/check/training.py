"""training.csv: one training step a row, whose model is built from the row's own sizes."""

from dataclasses import replace

from llmplanner.check.answer import Answer, Answers, Kind, Row
from llmplanner.check.cells import chosen, count, fraction, switched, text, whole
from llmplanner.check.lookup import Lookup
from llmplanner.check.row_model import model
from llmplanner.core import training
from llmplanner.core.engine import AttentionKernel
from llmplanner.core.errors import BadInput, quoted
from llmplanner.core.estimate import Phase
from llmplanner.core.plan import FULL, Checkpointing, Lora, Method, Optimizer, Precision, Split, Train
from llmplanner.core.step import Step, one_step
from llmplanner.core.terms import activations, loss

PRECISIONS = {"fp32": "fp32", "bf16": "bf16", "amp": "bf16-mixed"}
KERNELS = {"eager": "eager", "sdpa": "sdpa", "fa2": "flash", "flash": "flash"}
OPTIMIZERS = {
    "none": "sgd",
    "adamw": "adamw",
    "adamw_fused": "adamw-fused",
    "adamw_loop": "adamw-loop",
    "sgd": "sgd",
    "sgdm": "sgd-momentum",
    "adafactor_hf": "adafactor",
}
MEASURED = 500  # a part: 19 of 20 peaks lie within it (tests/core/test_training.py)
CHECKPOINTINGS = {"none": "none", "selective": "selective", "full": "full"}


def train(row: Row) -> Train:
    """The step of a row. Raises BadInput."""
    name = chosen(row, "optimizer", OPTIMIZERS)
    if name not in {one.value for one in Optimizer}:
        raise BadInput(f"The optimizer {quoted(name)} is not one that the planner knows.", "optimizer")
    return Train(
        sequence=count(row, "seq"),
        micro_batch=count(row, "batch"),
        precision=Precision(chosen(row, "precision", PRECISIONS)),
        optimizer=Optimizer(name),
        attention=AttentionKernel(chosen(row, "attention", KERNELS)),
        checkpointing=Checkpointing(chosen(row, "checkpointing", CHECKPOINTINGS)),
        target=whole(row, "seq_decoder", least=1),
        method=_method(row),
        padded=switched(row, "padding_mask"),
        keep_logits=switched(row, "keep_logits"),
    )


def kept(step: Step) -> int:
    """What the table calls activations: all that is kept for the backward pass, but token ids and labels."""
    parts = [*activations.activations(step), *loss.saved(step)]
    return int(sum(part.bytes for part in parts) - activations.inputs(step).bytes)


def answer(row: Row, models: Lookup) -> Answers:
    """Gradients, optimizer state, activations and the peak of a step. Raises BadInput."""
    del models  # the row states its sizes
    built, asked = model(row), train(row)
    buffers = whole(row, "buffers_bytes")
    if buffers is not None:  # stated: those that the model is known to hold are among them
        built = replace(built, buffers=0, cast_buffers=0)
    step = one_step(built, asked, Split())
    phases = training.tensors(step)
    peak = max(phases, key=lambda phase: phase.bytes)
    buffers = buffers or 0
    low, high = _bounds(peak)
    return {
        "gradients_bytes": Answer(_bytes(phases[-1], "gradients")),
        "optimizer_bytes": Answer(_bytes(phases[-1], "optimizer")),
        "activations_live_bytes": Answer(kept(step), note=built.note),
        "total_peak_bytes": Answer(int(peak.bytes) + buffers, low + buffers, high + buffers),
    }


def _method(row: Row) -> Method:
    rank = whole(row, "lora_r", least=1)
    if rank is None:
        return FULL
    return Lora(rank, tuple(text(row, "lora_targets").split()), fraction(row, "lora_dropout"))


def _bytes(phase: Phase, name: str) -> int:
    return int(sum(term.bytes for term in phase.terms if term.name == name))


def _bounds(phase: Phase) -> tuple[int, int]:
    """The sums of the terms' bounds, and no nearer than peaks were measured to lie."""
    whole = int(phase.bytes)
    low, high = (int(sum(getattr(term, end) for term in phase.terms)) for end in ("low", "high"))
    return min(low, whole - whole // MEASURED), max(high, whole + whole // MEASURED)


KIND = Kind(
    "training",
    (
        *("family", "attention", "precision", "checkpointing", "optimizer", "batch", "seq"),
        *("layers", "hidden", "heads", "ffn", "vocab"),
    ),
    ("gradients_bytes", "optimizer_bytes", "activations_live_bytes", "total_peak_bytes"),
    answer,
    True,
)
