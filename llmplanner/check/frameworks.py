"""What the published scripts of training frameworks do where a table of their runs does not say it.

Each framework is a function from a row and its model to a run: a plan, and which figure was published. The
sources are named beside what they decide; docs/notes/training-frameworks.md tells the same to readers.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum

from llmplanner.check.answer import Row
from llmplanner.check.cells import text, whole
from llmplanner.core.engine import AttentionKernel
from llmplanner.core.errors import BadInput, quoted
from llmplanner.core.formats import BF16
from llmplanner.core.model import Activation, Attention, FeedForward, Layer, Model
from llmplanner.core.plan import (
    ALL_LINEAR,
    ATTENTION,
    FULL,
    Adapters,
    Checkpointing,
    Lora,
    Method,
    Optimizer,
    Precision,
    Sharding,
    Split,
    Train,
    Weights,
)
from llmplanner.core.recipes import stored_as

DROPOUT = 0.05  # of LoRA, in Qwen's finetune.py, ms-swift and litgpt alike
ZERO_2 = 2
QWEN_BUCKETS = (
    2 * 200_000_000 * 2
)  # bytes: two of reduce_bucket_size, as overlap_comm asks (ds_config_zero2.json)
ADAPTER_WIDTH = 128  # ms-swift's adapter_length
ADALORA_RANK = 12  # ms-swift's adalora_init_r
SAME_AS_LORA = frozenset({"lora", "lora+", "rslora", "lora+neftune", "lora+no_mix"})
STORED = (  # how a row's quantization is called here
    ("int4 (gptq)", "gptq-4bit-g128"),
    ("int8 (gptq)", "gptq-8bit-g128"),
    ("int4 gptq", "gptq-4bit-g128"),
    ("int8 gptq", "gptq-8bit-g128"),
    ("int4 (bnb)", "nf4-double"),  # ms-swift's bnb_4bit_use_double_quant
    ("bnb.nf4-dq", "nf4-double"),
    ("bnb.nf4", "nf4"),
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
    note: str = ""


def qwen(row: Row, model: Model) -> Run:
    """Qwen's finetune.py and the scripts beside it: Transformers' Trainer, PEFT, DeepSpeed.

    LoRA on one GPU runs under autocast, on weights that Qwen's own code makes BF16. All else runs under
    DeepSpeed, which casts the whole model and keeps FP32 master copies: there Qwen takes the loss in 16 bits.
    """
    method, count = text(row, "method").lower(), devices(row)
    wide = method in {"lora", "lora (emb)"}
    rank = number(row, "lora_rank")
    way: Method = FULL
    if not method.startswith("full"):
        targets = (ALL_LINEAR,)  # c_attn, c_proj, w1, w2: every matrix of a layer
        packed = method.startswith("q-lora")
        way = Lora(rank, targets, DROPOUT, embeddings="(emb)" in method, quantized=packed)
    stage = 0 if wide else 3 if method.startswith("full") or "zero3" in method.replace(" ", "") else 2
    return Run(
        fused(model if wide else replace(model, head=replace(model.head, loss_fp32=False))),
        Train(
            length(row),
            batch(row),
            Precision.BF16 if wide else Precision.BF16_MASTER,
            Optimizer.ADAMW if wide else Optimizer.ADAMW_FUSED,
            AttentionKernel.FLASH,
            checkpointing(row),
            method=way,
            accumulation=accumulation(row),
        ),
        Split(data=count, zero=stage, sharding=Sharding.DEEPSPEED),
        Figure.DRIVER,
        stored(row, model),
        talks=stage > 0,
        beside=QWEN_BUCKETS if stage == ZERO_2 else 0,
    )


def swift(row: Row, model: Model) -> Run:
    """ms-swift: Transformers' Trainer under autocast, on weights that are loaded in BF16.

    Its benchmark publishes max_memory_reserved (scripts/benchmark/test_memory_time).
    """
    held = stored(row, model)
    packed = held is not BF16
    name = text(row, "method").lower()
    galore = name.startswith("full+galore")
    return Run(
        fused(model) if "c_attn" in row["lora_targets"] else model,
        Train(
            length(row),
            batch(row),
            Precision.BF16_MIXED if packed else Precision.BF16,
            Optimizer.GALORE if galore else Optimizer.ADAMW,
            AttentionKernel.FLASH if row["flash_attn"] == "yes" else AttentionKernel.EAGER,
            checkpointing(row),
            method=_swift_method(row, name, packed=packed),
            accumulation=accumulation(row),
        ),
        Split(data=devices(row)),
        Figure.RESERVED,
        held,
        varied=True,
        upcast="bnb" in row["quant_or_dtype"],
    )


def _swift_method(row: Row, name: str, *, packed: bool) -> Method:
    plain = name.partition("+packing")[0]
    if plain in {"full", "full+no_mix"} or plain in {f"full+galore{kind}" for kind in ("32", "64", "128")}:
        return FULL
    if plain == "full+galore_perparam":
        return FULL
    if plain == "adapter":
        return Adapters(ADAPTER_WIDTH)
    stated = row["lora_rank"], row["lora_targets"]
    rank = int(found.group(1)) if (found := re.search(r"rank=(\d+)", " ".join(stated))) else 0
    everywhere = "ALL" in row["lora_targets"]
    if plain in SAME_AS_LORA or plain in {"dora", "adalora"}:
        rank = ADALORA_RANK if plain == "adalora" else rank or number(row, "lora_rank")
        targets = (ALL_LINEAR,) if everywhere else QUERY_KEY_VALUE
        return Lora(rank, targets, DROPOUT, dora=plain == "dora", quantized=packed)
    raise BadInput(f"The method {quoted(name)} is not one that the planner knows.", "method")


def litgpt(row: Row, model: Model) -> Run:
    """What litgpt's finetune_lora does: true BF16, or bitsandbytes beside it; adapters on queries and values.

    It computes the head and the loss of 128 tokens at a time and publishes max_memory_allocated
    (litgpt/finetune/lora.py, docs: tutorials/resource-tables.md).
    """
    if "adapter" in text(row, "method").lower():
        raise BadInput(
            "LLaMA-Adapter, a learned prompt for each layer, is not known to the planner.", "method"
        )
    held = stored(row, model)
    mixed = text(row, "quant_or_dtype") == "bf16-mixed"
    packed = held is not BF16
    built = _by_litgpt(model if mixed else replace(model, head=replace(model.head, loss_fp32=False)))
    return Run(
        built,
        Train(
            length(row),
            batch(row),
            Precision.BF16_MIXED if mixed or packed else Precision.BF16,
            Optimizer.ADAMW,
            AttentionKernel.SDPA,
            checkpointing(row),
            method=Lora(number(row, "lora_rank"), _query_and_value(model), DROPOUT, quantized=packed),
        ),
        Split(data=devices(row)),
        Figure.ALLOCATED,
        held,
        own_code=True,
        beside=batch(row) * length(row) * _read(model) if packed else 0,
    )


def torchtitan(row: Row, model: Model) -> Run:
    """What torchtitan does: FSDP2, parameters gathered in BF16 and kept in FP32; max_memory_reserved."""
    ways = dict(re.findall(r"(FSDP|CP)\s+(\d+)", text(row, "parallelism")))
    context = int(ways.get("CP", 1))
    if checkpointing(row) is Checkpointing.SELECTIVE:
        raise BadInput(
            "torchtitan's selective checkpointing keeps every other matrix product, which the planner "
            "does not know.",
            "grad_checkpointing",
        )
    return Run(
        model,
        Train(
            length(row) // context,
            batch(row),
            Precision.BF16_MASTER,
            Optimizer.ADAMW_FUSED,
            AttentionKernel.SDPA,
            checkpointing(row),
        ),
        Split(data=int(ways.get("FSDP", 1)) * context, zero=3),
        Figure.RESERVED,
        note="A context-parallel device is answered as one with its share of the tokens."
        if context > 1
        else "",
    )


FRAMEWORKS: Mapping[str, Callable[[Row, Model], Run]] = {
    "qwen finetune.py": qwen,
    "ms-swift": swift,
    "litgpt": litgpt,
    "torchtitan": torchtitan,
}
QUERY_KEY_VALUE = ("c_attn", "q_proj", "k_proj", "v_proj", "qkv_proj", "query_key_value", "W_pack")


# Cells of a row


def length(row: Row) -> int:
    """Tokens of the longest sequence: the first number. Raises BadInput."""
    return number(row, "seq_len")


def batch(row: Row) -> int:
    """Sequences at once: the first number of "2 (micro)" or "2 local". Raises BadInput."""
    return number(row, "batch_size")


def number(row: Row, column: str) -> int:
    """The first whole number of a cell. Raises BadInput."""
    found = re.search(r"\d+", row.get(column, ""))
    if found is None:
        raise BadInput(
            f"{column} is {quoted(row.get(column, ''))}; it must begin with a whole number.", column
        )
    return int(found.group())


def devices(row: Row) -> int:
    """GPUs of the run; one where none is stated."""
    return whole(row, "n_gpus", least=1) or 1


def accumulation(row: Row) -> int:
    """Micro-batches before a step: "grad_accum=8"."""
    found = re.search(r"grad_accum=(\d+)", row.get("other", ""))
    return int(found.group(1)) if found else 1


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


# Models as the frameworks build them


def fused(model: Model) -> Model:
    """With one matrix for query, key and value, as the first Qwen has: one adapter, not three."""

    def one(layer: Layer) -> Layer:
        inner = layer.attention
        if not isinstance(inner, Attention):
            return layer
        first, outputs = inner.inputs[0], sum(each.outputs for each in inner.inputs)
        whole_matrix = replace(first, name="attn.c_attn", outputs=outputs)
        return replace(layer, attention=replace(inner, inputs=(whole_matrix,)))

    return _each_layer(model, one)


def _by_litgpt(model: Model) -> Model:
    """With GELU as one operation (litgpt/model.py: torch.nn.functional.gelu)."""

    def one(layer: Layer) -> Layer:
        block = layer.feed_forward
        if not isinstance(block, FeedForward) or block.activation is not Activation.GELU_NEW:
            return layer
        return replace(layer, feed_forward=replace(block, activation=Activation.GELU))

    return _each_layer(model, one)


def _each_layer(model: Model, change: Callable[[Layer], Layer]) -> Model:
    stacks = (
        replace(stack, groups=tuple(replace(group, layer=change(group.layer)) for group in stack.groups))
        for stack in model.stacks
    )
    return replace(model, stacks=tuple(stacks))


def _query_and_value(model: Model) -> tuple[str, ...]:
    """The matrices that make queries and values; a fused one whole."""
    inner = model.stacks[-1].groups[0].layer.attention
    if not isinstance(inner, Attention):
        return (ATTENTION,)
    return tuple(each.name.rpartition(".")[2] for each in (inner.inputs[0], inner.inputs[-1]))


def _read(model: Model) -> int:
    """Bytes of what a token's 4-bit matrices read: bitsandbytes 0.41 keeps their inputs (MatMul4Bit)."""
    width = 0
    for stack in model.stacks:
        for group in stack.groups:
            block = group.layer.feed_forward
            if isinstance(block, FeedForward):
                width += len(group.indices) * (block.inputs[0].inputs + block.output.inputs)
            width += len(group.indices) * model.hidden_size
    return 2 * width
