"""What each field of a plan takes, and which fields a task uses: for --set, plan files and the window."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from llmplanner.core.engine import AttentionKernel
from llmplanner.core.plan import Checkpointing, Loss, Offload, OffloadTo, Optimizer, Precision, Sharding
from llmplanner.core.recipes import RECIPES


@dataclass(frozen=True, slots=True)
class Field:
    """What one entry of a Draft takes."""

    label: str
    kind: str  # text, choice, count, tokens, number, gib, switch
    low: float = 1
    high: float = 1e15
    choices: tuple[str, ...] = ()
    optional: bool = False


FORMATS = ("fp32", "fp16", "bf16", "fp8-e4m3", "fp8-e5m2", "int8", "int4")
BLOCKS = ("q8_0", "q5_1", "q5_0", "q4_1", "q4_0", "iq4_nl")  # a cache of llama.cpp's
CACHES: Mapping[str, tuple[str, ...]] = MappingProxyType(  # what each engine keeps keys and values in
    {
        "transformers": FORMATS,
        "vllm": tuple(form for form in FORMATS if form != "int4"),
        "llama.cpp": ("fp32", "fp16", "bf16", *BLOCKS),
    }
)
WEIGHTS = (*FORMATS, *RECIPES)
TASKS = ("serve", "finetune", "pretrain")
ENGINES = ("transformers", "vllm", "llama.cpp")
METHODS = ("full", "lora", "dora", "qlora", "adapters")
MOST_GPUS = 1e6

FIELDS: Mapping[str, Field] = MappingProxyType(
    {
        "model": Field("Model", "text"),
        "task": Field("Task", "choice", choices=TASKS),
        "engine": Field("Engine", "choice", choices=ENGINES),
        "weights": Field("Weights", "choice", choices=WEIGHTS, optional=True),
        "kv": Field("KV cache", "choice", choices=(*FORMATS, *BLOCKS), optional=True),
        "kv_values": Field("KV cache, values", "choice", choices=(*FORMATS, *BLOCKS), optional=True),
        "context": Field("Context", "tokens", high=1e9),
        "prompt": Field("Prompt", "tokens", high=1e9, optional=True),
        "batch": Field("Sequences at once", "count", high=1e9),
        "parallel": Field("Parallel slots", "count", high=1e6),
        "ubatch": Field("Physical batch", "tokens", high=1e6),
        "flash_attention": Field("Flash attention", "switch"),
        "swa_full": Field("Full cache of sliding layers", "switch"),
        "kv_unified": Field("One cache for all slots", "switch"),
        "gpu_layers": Field("Layers on the GPU", "count", low=0, high=1e4, optional=True),
        "cpu_experts": Field("Layers with experts on the CPU", "count", low=0, high=1e4),
        "tensor_split": Field("Shares of the GPUs", "text", optional=True),
        "kv_offload": Field("KV cache on the GPU", "switch"),
        "vllm_share": Field("Share of the GPU's memory", "number", low=0.01, high=1),
        "block_size": Field("Tokens per block", "count", high=1e6),
        "cuda_graphs": Field("CUDA graphs", "switch"),
        "batched_tokens": Field("Tokens per pass", "tokens", high=1e9, optional=True),
        "max_sequences": Field("Most sequences at once", "count", high=1e6, optional=True),
        "static_cache": Field("Static cache", "switch"),
        "all_logits": Field("Logits of the whole prompt", "switch"),
        "method": Field("Method", "choice", choices=METHODS),
        "rank": Field("Rank", "count", high=1e6),
        "lora_targets": Field("Adapted matrices", "text"),
        "lora_dropout": Field("LoRA dropout", "number", low=0, high=0.99),
        "train_embeddings": Field("Train embeddings and head", "switch"),
        "adapter_width": Field("Adapter width", "count", high=1e6),
        "frozen_layers": Field("Frozen layers", "count", low=0, high=1e4),
        "precision": Field("Precision", "choice", choices=tuple(Precision), optional=True),
        "optimizer": Field("Optimizer", "choice", choices=tuple(Optimizer)),
        "attention": Field("Attention", "choice", choices=tuple(AttentionKernel)),
        "checkpointing": Field("Checkpointing", "choice", choices=tuple(Checkpointing)),
        "sequence": Field("Sequence length", "tokens", high=1e9),
        "micro_batch": Field("Micro-batch", "count", high=1e9),
        "accumulation": Field("Micro-batches per step", "count", high=1e9),
        "loss": Field("Cross-entropy", "choice", choices=tuple(Loss)),
        "padding": Field("Padding", "choice", choices=("none", "padded", "packed")),
        "dropout": Field("Dropout", "number", low=0, high=0.99, optional=True),
        "keep_logits": Field("Logits kept until the backward pass", "switch"),
        "kernels": Field("Fused kernels for recurrent layers", "switch"),
        "gpu": Field("GPU", "text"),
        "count": Field("GPUs", "count", high=MOST_GPUS, optional=True),
        "dp": Field("Data parallel", "count", high=MOST_GPUS, optional=True),
        "tp": Field("Tensor parallel", "count", high=MOST_GPUS, optional=True),
        "zero": Field("ZeRO stage", "count", low=0, high=3),
        "pp": Field("Pipeline parallel", "count", high=MOST_GPUS),
        "cp": Field("Context parallel", "count", high=MOST_GPUS),
        "ep": Field("Expert parallel", "count", high=MOST_GPUS),
        "sequence_parallel": Field("Sequence parallel", "switch"),
        "pipeline_chunks": Field("Chunks per stage", "count", high=1e4),
        "sharding": Field("Sharded by", "choice", choices=tuple(Sharding)),
        "hybrid": Field("GPUs that share one copy", "count", high=MOST_GPUS, optional=True),
        "offload": Field("Offload", "choice", choices=tuple(Offload)),
        "offload_to": Field("Offload to", "choice", choices=tuple(OffloadTo)),
        "host_memory": Field("Memory of the computer (GiB)", "gib", low=0, high=1e6, optional=True),
        "runtime": Field("Measured overhead (GiB)", "gib", low=0, high=1e3, optional=True),
        "parameters": Field("Parameters", "count", optional=True),
        "tokens": Field("Training tokens", "count", high=1e18, optional=True),
        "efficiency": Field("Efficiency (MFU)", "number", low=0.001, high=1),
        "price_per_hour": Field("Price per GPU-hour (USD)", "number", low=0, high=1e6, optional=True),
        "pue": Field("Power usage effectiveness", "number", low=1, high=10),
        "limit_devices": Field("GPUs at hand", "count", high=MOST_GPUS, optional=True),
        "limit_days": Field("Days at hand", "number", low=0.001, high=1e6, optional=True),
        "limit_cost": Field("Money at hand (USD)", "number", low=0, high=1e12, optional=True),
    }
)

CHANGES: Mapping[str, Field] = MappingProxyType(  # what a what-if may change, where the model has it
    {
        "layers": Field("Layers", "count", high=10_000),
        "hidden_size": Field("Hidden size", "count", high=1e7),
        "heads": Field("Heads", "count", high=1e7),
        "kv_heads": Field("Key/value heads", "count", high=1e7),
        "head_dim": Field("Head size", "count", high=1e7),
        "feed_forward": Field("Feed-forward width", "count", high=1e7),
        "vocab_size": Field("Vocabulary", "count", high=1e9),
        "experts": Field("Experts", "count", high=1e7),
        "experts_per_token": Field("Experts per token", "count", high=1e7),
    }
)

# The fields that a plan's memory depends on, in the order in which a person thinks of them.
EVERY = ("model", "task", "gpu", "count", "tp", "runtime")
SERVING = ("engine", "weights", "kv", "context", "batch")
OF_ENGINE: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "transformers": (
            *("prompt", "attention", "static_cache", "all_logits"),
            *("dp", "pp", "ep", "kernels"),
        ),
        "llama.cpp": (
            *("kv_values", "parallel", "flash_attention", "gpu_layers", "cpu_experts", "tensor_split"),
            *("ubatch", "swa_full", "kv_unified", "kv_offload", "host_memory"),
        ),
        "vllm": (
            *("vllm_share", "max_sequences", "batched_tokens", "cuda_graphs", "block_size"),
            *("dp", "pp", "ep"),
        ),
    }
)
TRAINING = (
    *("sequence", "micro_batch", "precision", "optimizer", "attention", "checkpointing"),
    *("loss", "accumulation", "padding", "dropout", "keep_logits"),
    *("dp", "zero", "sharding", "hybrid", "sequence_parallel", "pp", "pipeline_chunks", "cp", "ep"),
    *("offload", "offload_to", "host_memory", "kernels"),
)
LORA = ("rank", "lora_targets", "lora_dropout", "train_embeddings")
OF_METHOD: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "full": ("frozen_layers",),
        "lora": LORA,
        "dora": LORA,
        "qlora": ("weights", *LORA),
        "adapters": ("adapter_width",),
    }
)


def used(task: str, engine: str, method: str) -> tuple[str, ...]:
    """The fields that the memory of such a plan depends on. A plan keeps the others for other tasks."""
    if task == "serve":
        return (*EVERY, *SERVING, *OF_ENGINE[engine])
    if task == "pretrain":  # in full, always
        return (*EVERY, *TRAINING)
    return (*EVERY, "method", *OF_METHOD[method], *TRAINING)
