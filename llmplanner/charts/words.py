"""The choices of a plan's fields in the words of people: for the subtitles of charts and for the window."""

from collections.abc import Mapping
from types import MappingProxyType

from llmplanner.plan_fields import FIELDS

CHOICES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "task": {"serve": "Serve", "finetune": "Fine-tune", "pretrain": "Pre-train"},
        "engine": {"transformers": "Transformers", "vllm": "vLLM", "llama.cpp": "llama.cpp"},
        "method": {
            "full": "Full: every weight",
            "lora": "LoRA",
            "dora": "DoRA",
            "qlora": "QLoRA: LoRA on packed weights",
            "adapters": "Adapters behind each block",
        },
        "precision": {
            "bf16-mixed": "BF16 mixed (autocast)",
            "fp16-mixed": "FP16 mixed (autocast)",
            "bf16": "BF16 throughout",
            "bf16-master": "BF16 with FP32 master",
            "fp8-mixed": "FP8 mixed",
            "fp32": "FP32",
        },
        "attention": {"sdpa": "SDPA (fused)", "flash": "FlashAttention 2", "eager": "Eager"},
        "checkpointing": {
            "none": "None: keep activations",
            "selective": "Selective: attention again",
            "selective-op": "Selective: all but every other product",
            "full": "Full: recompute layers",
        },
        "loss": {"whole": "All logits at once", "chunked": "In chunks", "fused": "Fused with the head"},
        "padding": {"none": "None: equal lengths", "padded": "Padded, with a mask", "packed": "Packed"},
        "sharding": {"fsdp": "FSDP: layer by layer", "deepspeed": "DeepSpeed: as they are used"},
        "offload": {"none": "Nothing", "optimizer": "Optimizer state", "parameters": "Weights and state"},
        "offload_to": {"cpu": "Memory of the computer", "disk": "Disk"},
    }
)

IN_A_LINE: Mapping[str, str] = MappingProxyType(  # precisions, as a subtitle says them
    {
        "fp32": "FP32",
        "bf16": "BF16 throughout",
        "bf16-mixed": "BF16 mixed precision",
        "fp16-mixed": "FP16 mixed precision",
        "bf16-master": "BF16 with FP32 master weights",
        "fp8-mixed": "FP8 mixed precision",
    }
)


def choices(name: str) -> tuple[tuple[str, str], ...]:
    """What a field offers: (value, words), as people are used to seeing it; what has no words, as it is."""
    known = _words(name)
    offered = FIELDS[name].choices
    first = [value for value in known if value in offered]
    return tuple((value, word(name, value)) for value in (*first, *(o for o in offered if o not in known)))


def word(name: str, value: str) -> str:
    """One choice in words."""
    return _words(name).get(value, value)


def name_of(name: str, value: str) -> str:
    """One choice in a word or two, without what it means: for heads and axes."""
    return word(name, value).partition(":")[0]


def optimizer(value: str) -> str:
    """An optimizer, as a subtitle says it."""
    said = {"adamw-fused": "fused AdamW", "adamw-loop": "AdamW, parameter by parameter"}
    return said.get(value) or word("optimizer", value)


def _words(name: str) -> Mapping[str, str]:
    if name != "optimizer":
        return CHOICES.get(name, {})
    from llmplanner.core.optimizers import RULES  # noqa: PLC0415 - a start that serves needs none of them

    return {key.value: rule.name for key, rule in RULES.items()}
