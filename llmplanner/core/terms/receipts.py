"""What stands beside a term of a training step: its source, how it was measured, what makes it smaller."""

from typing import NamedTuple

from llmplanner.core.estimate import TermName
from llmplanner.core.optimizers import RULES
from llmplanner.core.plan import Adapters, Checkpointing, Full, Lora, Loss, Method, Optimizer
from llmplanner.core.step import Step

WALKED = "PyTorch 2.13 and Transformers 5.23, walked operation by operation"
PEFT = "PEFT 0.21.2: adapters in FP32 (autocast_adapter_dtype)"
SOURCES: dict[TermName, str] = {
    "weights": "every parameter at the width that the precision gives it",
    "gradients": "one per trained parameter (PyTorch's zero_grad drops them)",
    "master_weights": "Micikevicius et al. 2018 (arXiv:1710.03740) section 3.1",
    "activations": WALKED,
    "logits": WALKED,
    "temporaries": WALKED,
    "communication": "documentation of PyTorch's DDP and FSDP and of DeepSpeed's configuration",
}
NOTES: dict[TermName, str] = {
    "weights": "Buffers, some kilobytes, are left out.",
    "gradients": "Freed before the forward pass.",
    "temporaries": "Alive at this moment only.",
}
OF_PARAMETERS = frozenset({"weights", "gradients"})
OF_THE_STEP = frozenset({"weights", "gradients", "activations", "logits"})
FULL_ROWS = "equal to the byte in over a thousand steps of twelve families"
LORA_ROWS = "equal to the byte in 191 steps of eleven families"
FROZEN_ROWS = "equal to the byte in 33 steps of three small models"
DORA_ROWS = "equal to the byte in 24 steps of three small models"
ADAPTER_ROWS = "equal to the byte in 12 steps of three small models"


class Receipt(NamedTuple):
    """Source, note, measurement and remedy of a term."""

    source: str
    note: str
    measured: str
    change: str


def receipt(name: TermName, step: Step) -> Receipt:
    """The words beside one term of a step on a single device."""
    method = step.train.method
    if name == "optimizer":
        rule = RULES[step.train.optimizer]
        return Receipt(rule.source, rule.note, rule.measured, _change(name, step))
    source = SOURCES[name]
    if name in OF_PARAMETERS and isinstance(method, Lora):
        source = f"{source}; {PEFT}"
    if name == "weights" and step.base is not None:
        source = f"{step.base.source}; {PEFT}"
    measured = _measured(method) if name in OF_THE_STEP else ""
    if step.base is not None and name != "gradients":
        measured = ""
    return Receipt(source, NOTES.get(name, ""), measured, _change(name, step))


def _measured(method: Method) -> str:
    """Of which steps of such a method the bytes were counted."""
    if isinstance(method, Full):
        return FROZEN_ROWS if method.frozen_layers else FULL_ROWS
    if isinstance(method, Adapters):
        return ADAPTER_ROWS
    return DORA_ROWS if method.dora else LORA_ROWS


def _change(name: TermName, step: Step) -> str:
    """Options that make a term smaller."""
    train = step.train
    whole, packed = isinstance(train.method, Full), step.base is not None
    if name in {"gradients", "optimizer", "weights"} and not whole:
        fewer = "a smaller --rank or fewer matrices (--set lora_targets=attention)"
        return fewer if name != "weights" else "--set weights, in fewer bits" if packed else "--method qlora"
    optimizer = "--method lora, --zero 1"
    if train.optimizer is not Optimizer.ADAMW_8BIT:
        optimizer = f"--optimizer adamw-8bit, {optimizer}"
    shorter = "a smaller --micro-batch or --sequence"
    full = train.checkpointing is Checkpointing.FULL
    foreach = train.optimizer is Optimizer.ADAMW
    return {
        "weights": "--method qlora, --precision bf16, --zero 3",
        "gradients": "--method lora, --zero 2",
        "optimizer": optimizer,
        "master_weights": "--precision bf16, --zero 1",
        "activations": shorter if full else f"--checkpointing full, {shorter}",
        "logits": shorter if train.loss is Loss.FUSED else f"--set loss=fused, {shorter}",
        "temporaries": f"--optimizer adamw-fused, {shorter}" if foreach else shorter,
        "communication": "--zero 0, or fewer devices",
    }.get(name, "")
