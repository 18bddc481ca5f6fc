"""What makes each term smaller, where the term itself does not say: the setting and its option."""

from collections.abc import Mapping
from types import MappingProxyType

from llmplanner.core.estimate import Term

MORE_GPUS = "Share the layers over more GPUs (--count)."
NARROWER = "Store the weights in fewer bits (--weights q4_k_m, or int8), or share them over GPUs (--count)."
FEWER_TOKENS = "Serve a shorter context (--context) or fewer sequences at once (--batch)."
BY_DATA = "Divide it over data-parallel GPUs: ZeRO stage"

SERVING: Mapping[str, str] = MappingProxyType(
    {
        "weights": NARROWER,
        "kv_cache": f"{FEWER_TOKENS} A cache in FP8 (--kv fp8-e4m3) takes half.",
        "recurrent_state": "Serve fewer sequences at once (--batch); the context does not matter to it.",
        "activations": "Read the prompt in shorter pieces (--set prompt=2048) with fused attention.",
        "logits": "Take those of the last token alone (--set all_logits=off), or fewer sequences (--batch).",
        "gradients": "Serving has none.",
        "optimizer": "Serving has none.",
        "master_weights": "Serving has none.",
        "temporaries": FEWER_TOKENS,
        "communication": "It comes with tensor parallelism: use fewer, larger GPUs (--count).",
        "runtime": "Measure an empty process on this card and enter it (--set runtime=0.5, in GiB).",
    }
)
LLAMA_CPP: Mapping[str, str] = MappingProxyType(
    {
        "weights": "A smaller file type (--weights q4_k_m), or layers on the host (--set gpu_layers=20).",
        "kv_cache": f"{FEWER_TOKENS} A cache in blocks (--kv q8_0) takes about half.",
        "activations": "Compute on fewer tokens at a time (--set ubatch=256), with flash attention on.",
        "logits": "Serve fewer sequences at once (--batch): each has a row of the vocabulary's size.",
    }
)
VLLM: Mapping[str, str] = MappingProxyType(
    {
        "kv_cache": "vLLM fills its share with it; a smaller share leaves some free (--set vllm_share=0.8).",
        "activations": "Allow fewer tokens per pass (--set batched_tokens=2048).",
        "temporaries": "Switch CUDA graphs off (--set cuda_graphs=off).",
    }
)
TRAINING: Mapping[str, str] = MappingProxyType(
    {
        "weights": f"{BY_DATA} 3 (--zero 3). Fine-tuning can keep them packed (--method qlora).",
        "kv_cache": "A training step keeps none.",
        "recurrent_state": "Train on fewer sequences at once (--micro-batch).",
        "activations": "Compute them again (--checkpointing full), or train on fewer tokens (--sequence).",
        "logits": "Take the loss in chunks, or fused with the head (--set loss=chunked).",
        "gradients": f"{BY_DATA} 2 (--zero 2), or train fewer parameters (--method lora).",
        "optimizer": f"{BY_DATA} 1 (--zero 1), or an optimizer that keeps less (--optimizer adamw-8bit).",
        "master_weights": f"{BY_DATA} 1 (--zero 1), or BF16 throughout (--precision bf16).",
        "temporaries": "Take an optimizer that works tensor by tensor or fused (--optimizer adamw-fused).",
        "communication": "It comes with the split: fewer data-parallel GPUs (--dp), or FSDP's smaller units.",
        "runtime": SERVING["runtime"],
    }
)
OF_ENGINE = MappingProxyType({"llama.cpp": LLAMA_CPP, "vllm": VLLM, "transformers": MappingProxyType({})})


def remedy(term: Term, task: str, engine: str) -> str:
    """What makes the term smaller: as it says itself, else what holds for such terms."""
    if term.change:
        return term.change
    if task == "serve":
        return OF_ENGINE[engine].get(term.name, SERVING[term.name])
    return TRAINING[term.name]
