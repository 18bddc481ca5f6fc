"""A run of a framework whose scripts the planner does not know: what its row states, and nothing else."""

import re
from collections.abc import Mapping
from typing import TypeVar

from llmplanner.check.answer import Row
from llmplanner.check.cells import text
from llmplanner.check.published_run import (
    Figure,
    Run,
    accumulation,
    batch,
    cast_again,
    checkpointing,
    devices,
    figure,
    length,
    number,
    stored,
    varied,
)
from llmplanner.core.engine import AttentionKernel
from llmplanner.core.errors import BadInput, quoted
from llmplanner.core.formats import BF16
from llmplanner.core.lora_targets import refuse_lacked
from llmplanner.core.model import Model
from llmplanner.core.plan import (
    ALL_LINEAR,
    FULL,
    Lora,
    Method,
    Optimizer,
    Precision,
    Sharding,
    Split,
    Train,
)

Value = TypeVar("Value")
PRECISIONS: Mapping[str, Precision] = {  # by what a cell begins with, the longer first
    "bf16 compute, fp32 master": Precision.BF16_MASTER,
    "bf16-mixed": Precision.BF16_MIXED,
    "fp16-mixed": Precision.FP16_MIXED,
    "amp": Precision.BF16_MIXED,
    "bf16": Precision.BF16,
    "bfloat16": Precision.BF16,
    "fp16": Precision.FP16_MIXED,
    "float16": Precision.FP16_MIXED,
    "fp32": Precision.FP32,
    "float32": Precision.FP32,
}
OPTIMIZERS: Mapping[str, Optimizer] = {  # the same
    "pagedadamw8bit": Optimizer.PAGED_ADAMW_8BIT,
    "adamw8bit": Optimizer.ADAMW_8BIT,
    "8bitadamw": Optimizer.ADAMW_8BIT,
    "adamwfused": Optimizer.ADAMW_FUSED,
    "adam": Optimizer.ADAMW,
    "adafactor": Optimizer.ADAFACTOR,
    "lion": Optimizer.LION,
    "galore": Optimizer.GALORE,
    "muon": Optimizer.MUON,
    "sgd": Optimizer.SGD,
}
KERNELS: Mapping[str, AttentionKernel] = {
    "yes": AttentionKernel.FLASH,
    "fa2": AttentionKernel.FLASH,
    "flash": AttentionKernel.FLASH,
    "eager": AttentionKernel.EAGER,
    "sdpa": AttentionKernel.SDPA,
    "no": AttentionKernel.SDPA,
    "": AttentionKernel.SDPA,
}


def stated_run(row: Row, model: Model) -> Run:
    """The run as the row's cells say it. Raises BadInput for what they leave out."""
    held = stored(row, model)
    packed = held is not BF16
    way = _method(row, packed=packed)
    if isinstance(way, Lora):
        refuse_lacked(model, way.targets)
    precision = Precision.BF16_MIXED if packed else _first(row, "quant_or_dtype", PRECISIONS)
    return Run(
        model,
        Train(
            length(row),
            batch(row),
            precision,
            _first(row, "optimizer", OPTIMIZERS),
            _first(row, "flash_attn", KERNELS, optional=True),
            checkpointing(row),
            method=way,
            accumulation=accumulation(row),
        ),
        _split(row),
        figure(row, Figure.DRIVER),
        held,
        varied=varied(row),
        own_code=True,
        perhaps=cast_again(model) if packed else 0,  # PEFT's prepare_model_for_kbit_training
        note="Its framework's scripts are not known to the planner: as the row states it.",
    )


def _method(row: Row, *, packed: bool) -> Method:
    name = re.sub(r"[\s_-]", "", text(row, "method").lower())
    if name.startswith(("full", "pretrain", "sft")):
        return FULL
    if name.startswith(("lora", "qlora", "rslora", "dora", "qdora")):
        names = tuple(re.findall(r"[A-Za-z_][A-Za-z_0-9]*", row.get("lora_targets", "")))
        everywhere = not names or "all" in row.get("lora_targets", "").lower()
        targets = (ALL_LINEAR,) if everywhere else names
        return Lora(number(row, "lora_rank"), targets, dora="dora" in name, quantized=packed)
    raise BadInput(f"The method {quoted(row['method'])} is not one that the planner knows.", "method")


def _split(row: Row) -> Split:
    """ZeRO-3, FSDP, DDP, and sizes such as TP=4 PP=2; what is left of the GPUs is data parallel."""
    said = row.get("parallelism", "")
    sizes = {
        name.upper(): int(size)
        for name, size in re.findall(r"\b(TP|PP|CP|EP)\s*=?\s*(\d+)", said, re.IGNORECASE)
    }
    count, inner = devices(row), 1
    for size in sizes.values():
        inner *= size
    if count % inner:
        raise BadInput(f"{count} GPUs cannot be split as {quoted(said)}; check n_gpus.", "n_gpus")
    stage = re.search(r"zero\s*-?\s*([0-3])", said, re.IGNORECASE)
    zero = int(stage.group(1)) if stage else 3 if "fsdp" in said.lower() else 0
    return Split(
        data=count // inner,
        tensor=sizes.get("TP", 1),
        zero=zero,
        pipeline=sizes.get("PP", 1),
        context=sizes.get("CP", 1),
        expert=sizes.get("EP", 1),
        sharding=Sharding.DEEPSPEED if stage else Sharding.FSDP,
    )


def _first(row: Row, column: str, choices: Mapping[str, Value], *, optional: bool = False) -> Value:
    """What the beginning of a cell stands for. Raises BadInput."""
    said = row.get(column, "").strip().lower() if optional else text(row, column).lower()
    plain = said.replace(" ", "").replace("-", "").replace("_", "")
    for word, value in choices.items():
        if (word == "" and not said) or (word and (said.startswith(word) or plain.startswith(word))):
            return value
    raise BadInput(
        f"{column} is {quoted(said)}; it begins with one of {', '.join(filter(None, choices))}.", column
    )
