"""What is measured: each column of each table under its heading, and why its worst rows are off."""

from dataclasses import dataclass
from typing import Literal

Heading = Literal[
    "Parameters",
    "Weights",
    "Keys and values",
    "Compute buffers",
    "Tensors of a training step",
    "Training on GPUs",
    "Serving totals",
]


@dataclass(frozen=True, slots=True)
class Topic:
    """One measured column. `label` names the columns of its table that tell a row from others."""

    table: str
    column: str
    heading: Heading
    title: str
    label: tuple[str, ...]
    why: str = ""  # of the worst rows

    @property
    def anchor(self) -> str:
        """Where the page has its worst rows."""
        words = "".join(letter if letter.isalnum() else " " for letter in f"{self.table} {self.column}")
        return "-".join(words.lower().split())


_STEP = ("id", "attention", "precision", "checkpointing", "optimizer")
_LLAMA_CPP = ("model", "n_ctx", "flash_attn", "n_ubatch", "kv_type", "n_parallel", "swa_full")
_LOGGED = ("id", "engine", "model", "n_ctx", "kv_type_k", "flash_attn")
_RUN = ("id", "framework", "model", "method", "quant_or_dtype", "batch_size", "seq_len", "n_gpus")

TOPICS = (
    Topic("params", "total", "Parameters", "parameters", ("name",)),
    Topic("params", "active", "Parameters", "active parameters", ("name",)),
    Topic("params", "embedding", "Parameters", "embedding parameters", ("name",)),
    Topic("counted", "total", "Parameters", "parameters of configs counted here", ("name",)),
    Topic(
        "llamacpp_quant_sizes",
        "size_MiB",
        "Weights",
        "llama.cpp's file types",
        ("model", "ftype", "imatrix"),
        "The table states two decimals of a MiB.",
    ),
    Topic(
        "published_quant_sizes",
        "published_GiB",
        "Weights",
        "published GGUF files",
        ("id", "model", "ftype", "recipe_era"),
        "Makers published them at some time; the estimate is today's llama.cpp. Its recipes of 2023 and its "
        "first TQ2_0 were others, some pages round to whole gigabytes, and some files keep the head in more "
        "bits than their type says.",
    ),
    Topic("kv", "bytes", "Keys and values", "Transformers' cache", ("name", "batch", "tokens")),
    Topic(
        "llamacpp_memory_cpu",
        "context_MiB",
        "Keys and values",
        "llama.cpp's cache",
        _LLAMA_CPP,
        "The column is cut to whole MiB.",
    ),
    Topic(
        "measured_inference",
        "kv_total_MiB",
        "Keys and values",
        "caches that engines logged",
        _LOGGED,
        "Logs of forks and of older releases, whose options the row does not all state.",
    ),
    Topic(
        "llamacpp_memory_cpu",
        "compute_MiB(CPU)",
        "Compute buffers",
        "llama.cpp on the CPU",
        _LLAMA_CPP,
        "An estimate of what a graph's tensors take at its fullest; the allocator's gaps are not followed.",
    ),
    Topic(
        "llamacpp_memory_cpu",
        "output_MiB",
        "Compute buffers",
        "llama.cpp's output buffer",
        _LLAMA_CPP,
        "The table states two decimals of a MiB, of buffers as small as 0.12 MiB.",
    ),
    Topic(
        "measured_inference",
        "compute_buffers_MiB",
        "Compute buffers",
        "llama.cpp on CUDA",
        _LOGGED,
        "Logs of several releases and of the fork ik_llama.cpp, whose latent attention and experts are "
        "walked as its options have them; what rows do not state of those was read in the threads that they "
        "name (`tests/data/ik_llama_options.csv`). What -ot puts on other cards by name cannot be told.",
    ),
    Topic(
        "llamacpp_gpu_buffers",
        "buffer_MiB",
        "Compute buffers",
        "llama.cpp's own scheduler, for GPUs",
        ("model", "n_ctx", "flash_attn", "n_ubatch", "kv_type", "gpus", "gpu_layers", "cpu_experts"),
        "An estimate of what a graph's tensors take at its fullest; the allocator's gaps are not followed.",
    ),
    Topic(
        "vllm_activation_peaks",
        "peak_GiB",
        "Compute buffers",
        "vLLM's profiled pass",
        ("model", "tokens", "sequences", "tensor", "sampler"),
        "Logs of several releases.",
    ),
    Topic(
        "serving_activations",
        "activations_bytes",
        "Compute buffers",
        "Transformers' activations",
        ("model", "phase", "batch", "context_tokens"),
        "Live tensors of the real classes; kernels' own workspaces are not among them.",
    ),
    Topic(
        "serving_eager",
        "activations_bytes",
        "Compute buffers",
        "the same, attention written out",
        ("model", "phase", "batch", "context_tokens"),
        "Live tensors of the real classes.",
    ),
    Topic(
        "serving_static",
        "activations_bytes",
        "Compute buffers",
        "the same, with a static cache",
        ("model", "phase", "batch", "context_tokens"),
        "Live tensors of the real classes.",
    ),
    Topic("training", "gradients_bytes", "Tensors of a training step", "gradients", _STEP),
    Topic("training", "optimizer_bytes", "Tensors of a training step", "optimizer state", _STEP),
    Topic(
        "training",
        "activations_live_bytes",
        "Tensors of a training step",
        "activations",
        _STEP,
        "Counted operation by operation.",
    ),
    Topic(
        "training",
        "total_peak_bytes",
        "Tensors of a training step",
        "peak of all tensors",
        _STEP,
        "Where the peak lies inside one layer's backward pass, the order in which gradients come and go is "
        "an estimate.",
    ),
    Topic(
        "training_kept",
        "kept_bytes",
        "Tensors of a training step",
        "activations of further families",
        ("model", "attention", "sequence", "batch"),
        "What autograd saves in the forward pass.",
    ),
    Topic(
        "measured_training",
        "peak_mem_per_gpu",
        "Training on GPUs",
        "peaks that frameworks published",
        _RUN,
        "Whole processes on real cards: lengths that vary up to the stated one, the allocator's reserve and "
        "the driver's share differ from run to run.",
    ),
    Topic(
        "measured_inference",
        "measured_total",
        "Serving totals",
        "totals of serving in PyTorch",
        ("id", "engine", "model", "quant", "n_ctx", "n_seq"),
        "Qwen's own code of 2023 under Transformers; what its pages do not tell, such as the state of a GPTQ "
        "kernel, is not in the estimate.",
    ),
)


def topic_of(table: str, column: str) -> Topic | None:
    """The topic of a column."""
    return next((one for one in TOPICS if (one.table, one.column) == (table, column)), None)
