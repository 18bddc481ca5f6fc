"""What the published scripts of training frameworks do where a table of their runs does not say it.

Each framework is a function from a row and its model to a run: a plan, and which figure was published. The
sources are named beside what they decide; docs/notes/training-frameworks.md tells the same to readers.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace

from llmplanner.check import llama_adapter
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
)
from llmplanner.core.tensors import parameters
from llmplanner.core.terms.communication import LIVE

DROPOUT = 0.05  # of LoRA, in Qwen's finetune.py, ms-swift and litgpt alike
ZERO_2 = 2
QWEN_BUCKETS = (
    2 * 200_000_000 * 2
)  # bytes: two of reduce_bucket_size, as overlap_comm asks (ds_config_zero2.json)
ADAPTER_WIDTH = 128  # ms-swift's adapter_length
ADALORA_RANK = 12  # ms-swift's adalora_init_r
SAME_AS_LORA = frozenset({"lora", "lora+", "rslora", "lora+neftune", "lora+no_mix"})


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
        figure(row, Figure.DRIVER),
        stored(row, model),
        talks=stage > 0,
        beside=_by_deepspeed(model, stage, count),
    )


def _by_deepspeed(model: Model, stage: int, count: int) -> int:
    """Buffers of DeepSpeed: ZeRO 2's reduce buckets; what ZeRO 3 gathers, which it copies on one GPU too."""
    if stage == ZERO_2:
        return QWEN_BUCKETS
    return 2 * min(parameters(model).total, LIVE) if stage > ZERO_2 and count == 1 else 0


def swift(row: Row, model: Model) -> Run:
    """ms-swift: Transformers' Trainer under autocast, on weights that are loaded in BF16.

    Its benchmark publishes max_memory_reserved (scripts/benchmark/test_memory_time).
    """
    held = stored(row, model)
    packed, upcast = held is not BF16, "bnb" in row.get("quant_or_dtype", "")
    name = text(row, "method").lower()
    galore = name.startswith("full+galore")
    return Run(
        fused(model) if "c_attn" in row.get("lora_targets", "") else model,
        Train(
            length(row),
            batch(row),
            Precision.BF16_MIXED if packed else Precision.BF16,
            Optimizer.GALORE if galore else Optimizer.ADAMW,
            AttentionKernel.FLASH if row.get("flash_attn", "") == "yes" else AttentionKernel.EAGER,
            checkpointing(row),
            method=_swift_method(row, name, packed=packed),
            accumulation=accumulation(row),
        ),
        Split(data=devices(row)),
        figure(row, Figure.RESERVED),
        held,
        varied=varied(row),
        upcast=upcast,
        beside=cast_again(model) if upcast else 0,
    )


def _swift_method(row: Row, name: str, *, packed: bool) -> Method:
    plain = name.partition("+packing")[0]
    if plain in {"full", "full+no_mix"} or plain in {f"full+galore{kind}" for kind in ("32", "64", "128")}:
        return FULL
    if plain == "full+galore_perparam":
        return FULL
    if plain == "adapter":
        return Adapters(ADAPTER_WIDTH)
    stated = row.get("lora_rank", ""), row.get("lora_targets", "")
    rank = int(found.group(1)) if (found := re.search(r"rank=(\d+)", " ".join(stated))) else 0
    everywhere = "ALL" in row.get("lora_targets", "")
    if plain in SAME_AS_LORA or plain in {"dora", "adalora"}:
        rank = ADALORA_RANK if plain == "adalora" else rank or number(row, "lora_rank")
        targets = (ALL_LINEAR,) if everywhere else QUERY_KEY_VALUE
        return Lora(rank, targets, DROPOUT, dora=plain == "dora", quantized=packed)
    raise BadInput(f"The method {quoted(name)} is not one that the planner knows.", "method")


def litgpt(row: Row, model: Model) -> Run:
    """What litgpt does: true BF16, or bitsandbytes beside it; LoRA on queries and values unless it says more.

    Its LoRA takes the head and the loss of 128 tokens at a time. It publishes max_memory_allocated
    (litgpt/finetune/lora.py, tutorials/resource-tables.md).
    """
    method = text(row, "method").lower()
    held = stored(row, model)
    mixed, packed = text(row, "quant_or_dtype") == "bf16-mixed", held is not BF16
    built = _by_litgpt(model if mixed else replace(model, head=replace(model.head, loss_fp32=False)))
    way: Method = FULL
    if "lora" in method:
        way = Lora(number(row, "lora_rank"), _litgpt_targets(row, model), DROPOUT, quantized=packed)
    elif "adapter" in method:
        way = llama_adapter.method(model, packed=packed)
    read = _read(model) if packed else 0
    if "adapter" in method and llama_adapter.is_second(row, model):
        read += llama_adapter.kept(model)
    return Run(
        built,
        Train(
            length(row),
            batch(row),
            Precision.BF16_MIXED if mixed or packed else Precision.BF16,
            Optimizer.ADAMW,
            AttentionKernel.SDPA,
            checkpointing(row),
            method=way,
        ),
        Split(data=devices(row), zero=3 if "fsdp" in row.get("parallelism", "").lower() else 0),
        figure(row, Figure.ALLOCATED),
        held,
        own_code=True,
        beside=batch(row) * length(row) * read,
    )


def torchtitan(row: Row, model: Model) -> Run:
    """What torchtitan does: FSDP2, parameters gathered in BF16 and kept in FP32; max_memory_reserved.

    Its selective checkpointing keeps every other matrix product (selective_ac_option "op").
    """
    ways = dict(re.findall(r"(FSDP|CP)\s+(\d+)", text(row, "parallelism")))
    again = checkpointing(row)
    return Run(
        model,
        Train(
            length(row),
            batch(row),
            Precision.BF16_MASTER,
            Optimizer.ADAMW_FUSED,
            AttentionKernel.SDPA,
            Checkpointing.SELECTIVE_OP if again is Checkpointing.SELECTIVE else again,
        ),
        Split(data=int(ways.get("FSDP", 1)), zero=3, context=int(ways.get("CP", 1))),
        figure(row, Figure.RESERVED),
    )


FRAMEWORKS: Mapping[str, Callable[[Row, Model], Run]] = {
    "qwen finetune.py": qwen,
    "ms-swift": swift,
    "litgpt": litgpt,
    "torchtitan": torchtitan,
}
QUERY_KEY_VALUE = ("c_attn", "q_proj", "k_proj", "v_proj", "qkv_proj", "query_key_value", "W_pack")


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


def _litgpt_targets(row: Row, model: Model) -> tuple[str, ...]:
    """The matrices that litgpt's names stand for: q, k, v, proj of attention, mlp; a fused one whole."""
    names = set(re.findall(r"[a-z]+", row.get("lora_targets", "").lower()))
    if "mlp" in names:
        return (ALL_LINEAR,)
    inner = model.stacks[-1].groups[0].layer.attention
    if names & {"k", "key", "proj"} or not isinstance(inner, Attention):
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
