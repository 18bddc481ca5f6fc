"""What stands beside a term of a training step: its source, how it was measured, what makes it smaller."""

from typing import NamedTuple

from llmplanner.core.estimate import TermName
from llmplanner.core.optimizers import RULES
from llmplanner.core.plan import (
    Adapters,
    Checkpointing,
    Full,
    Lora,
    Loss,
    Method,
    Optimizer,
    Precision,
    Sharding,
    Train,
)
from llmplanner.core.step import Step
from llmplanner.core.zero import GRADIENTS, WEIGHTS

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
PEAK_ROWS = "with it, peaks within 1 % in 524 of 527 steps of twelve families; the worst 1.6 %"
SELECTIVE_ROWS = "within 0.01 % in 25 steps of four small models"
LOSS_ROWS = "within 0.1 % in 12 steps of a small model; in FP32, backward in chunks up to 20 % low"
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
    measured = _counted(name, step.train) if name in OF_THE_STEP else ""
    if name == "temporaries" and isinstance(method, Full) and step.train.loss is Loss.WHOLE:
        measured = PEAK_ROWS
    if step.base is not None and name != "gradients":
        measured = ""
    return Receipt(source, NOTES.get(name, ""), measured, _change(name, step))


def _counted(name: TermName, train: Train) -> str:
    """How near what was counted the term is, in steps of the plan's kind."""
    if train.precision is Precision.FP8_MIXED and name not in OF_PARAMETERS:
        return ""
    if name in OF_PARAMETERS or not isinstance(train.method, Full):
        return _measured(train.method)
    if train.loss is not Loss.WHOLE:
        return LOSS_ROWS
    selective = train.checkpointing in {Checkpointing.SELECTIVE, Checkpointing.SELECTIVE_OP}
    return SELECTIVE_ROWS if selective else _measured(train.method)


def _measured(method: Method) -> str:
    """Of which steps of such a method the bytes were counted."""
    if isinstance(method, Full):
        return FROZEN_ROWS if method.frozen_layers else FULL_ROWS
    if isinstance(method, Adapters):
        return ADAPTER_ROWS
    return DORA_ROWS if method.dora else LORA_ROWS


def _change(name: TermName, step: Step) -> str:
    """Options that make a term smaller, in a sentence after "Less by"."""
    return ", ".join(_options(name, step))


def _options(name: TermName, step: Step) -> list[str]:
    train, split = step.train, step.split
    whole, packed = isinstance(train.method, Full), step.base is not None
    if name == "communication":
        return [_fewer_talks(step)]
    if name in {"gradients", "optimizer", "weights"} and not whole:
        fewer = "a smaller --rank or fewer matrices (--set lora_targets=attention)"
        return [
            fewer if name != "weights" else "--set weights, in fewer bits" if packed else "--method qlora"
        ]
    shorter = "a smaller --micro-batch or --sequence"
    full = train.checkpointing is Checkpointing.FULL
    sliced = split.tensor == 1 or split.sequence_parallel
    layers = (group.layer for stack in step.model.stacks for group in stack.groups)
    scanned = any(each.recurrent is not None and each.recurrent.scan is not None for each in layers)
    foreach = train.optimizer is Optimizer.ADAMW
    return {
        "weights": [*_method(step, "qlora"), "--precision bf16", *_divided(step, 3)],
        "gradients": [*_method(step, "lora"), *_divided(step, 2)],
        "optimizer": [
            *([] if train.optimizer is Optimizer.ADAMW_8BIT else ["--optimizer adamw-8bit"]),
            *(*_method(step, "lora"), *_divided(step, 1)),
        ],
        "master_weights": ["--precision bf16", *_divided(step, 1)],
        "activations": [
            *([] if full else ["--checkpointing full"]),
            *([] if sliced else ["--set sequence_parallel=on"]),
            *(["--set kernels=on"] if scanned and not train.kernels else []),
            shorter,
        ],
        "logits": [*([] if train.loss is Loss.FUSED else ["--set loss=fused"]), shorter],
        "temporaries": [*(["--optimizer adamw-fused"] if foreach else []), shorter],
    }.get(name, [])


def _method(step: Step, name: str) -> list[str]:
    """Another way to train; what is trained from nothing is trained in full."""
    return [] if step.from_nothing else [f"--method {name}"]


def _divided(step: Step, stage: int) -> list[str]:
    """How to have less of what ZeRO divides from this stage on."""
    split = step.split
    if split.offloads(stage):
        return []
    if split.replicas == 1 or split.zero >= stage:
        zero = f"--dp 8 --zero {stage}" if split.zero < stage else "a larger --dp"
        return [zero, "--set offload=optimizer" if stage < WEIGHTS else _parameters(step)]
    return [f"--zero {stage}"]


def _parameters(step: Step) -> str:
    """The option that leaves parameters on the host, with the stage that it takes."""
    return ("" if step.split.zero == WEIGHTS else "--zero 3 ") + "--set offload=parameters"


def _fewer_talks(step: Step) -> str:
    """What makes buffers between devices smaller, by whose they are."""
    split = step.split
    if split.zero and split.sharding is Sharding.DEEPSPEED:
        return "a smaller reduce_bucket_size and stage3_max_live_parameters in DeepSpeed's configuration"
    if split.gathers:
        return "wrapping embedding and head as FSDP units of their own"
    if split.replicas > 1 and split.zero < GRADIENTS:
        return "gradient_as_bucket_view=True in DistributedDataParallel, or --zero 2"
    return "a smaller --micro-batch or --sequence"
