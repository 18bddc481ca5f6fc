"""The programs that serve a model, with the settings of theirs that decide on memory."""

from dataclasses import dataclass
from enum import StrEnum


class AttentionKernel(StrEnum):
    """How attention is computed."""

    EAGER = "eager"
    SDPA = "sdpa"
    FLASH = "flash"


@dataclass(frozen=True, slots=True)
class Transformers:
    """Hugging Face Transformers 5.23 under PyTorch."""

    attention: AttentionKernel = AttentionKernel.SDPA
    static_cache: bool = False  # allocated at full length; else it grows by copying
    all_logits: bool = False  # prefill computes logits for every token of the prompt
    kernels: bool = False  # fused, for recurrent layers: mamba-ssm, causal-conv1d, flash-linear-attention


@dataclass(frozen=True, slots=True)
class LlamaCpp:
    """llama.cpp, by the names of its options."""

    parallel: int = 1  # slots that share the context
    ubatch: int = 512  # tokens of a physical batch
    flash_attention: bool = True
    swa_full: bool = False  # sliding layers keep the whole context
    unified: bool = False  # the slots share one cache
    gpu_layers: int | None = None  # layers on the GPU, counted from the last; None: all, and the head
    cpu_experts: int = 0  # layers, counted from the first, whose experts stay on the CPU
    tensor_split: tuple[float, ...] | None = None  # shares of the cards; None: by their memory
    kv_offload: bool = True  # the cache of layers on the GPU is there too


@dataclass(frozen=True, slots=True)
class Vllm:
    """vLLM, by the names of its arguments."""

    share: float = 0.9  # gpu_memory_utilization
    block: int = 16  # block_size, tokens
    graphs: bool = True  # CUDA graphs; False: --enforce-eager
    batched_tokens: int | None = None  # max_num_batched_tokens; None: vLLM's own choice
    sequences: int | None = None  # max_num_seqs; None: vLLM's own choice


Engine = Transformers | LlamaCpp | Vllm
