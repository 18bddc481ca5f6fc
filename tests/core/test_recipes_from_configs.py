"""The type of each tensor from a config alone, against llama.cpp's record of the released models."""

import json

import pytest

from llmplanner.core.model import Model
from llmplanner.core.recipes.file_types import FILE_TYPES
from llmplanner.core.recipes.gguf_tensors import architecture_of, gguf_tensors
from llmplanner.core.recipes.llamacpp import is_quantized, quantized
from llmplanner.models.config import from_config
from tests.core.test_recipes_snapshots import SNAPSHOTS, read_record
from tests.reference import REFERENCE, needs_reference

# The record's model, the config that it has the form of, and the sizes by which it differs.
MODELS: dict[str, tuple[str, dict[str, object]]] = {
    "deepseek-v3.1": ("deepseek-v3", {}),
    "gemma-3-4b-it": ("gemma-3-4b-text", {}),
    "glm-4.6v": (
        "",
        {
            "model_type": "glm4_moe", "hidden_size": 4096, "num_hidden_layers": 46, "num_attention_heads": 96,
            "num_key_value_heads": 8, "head_dim": 128, "intermediate_size": 10944, "vocab_size": 151552,
            "moe_intermediate_size": 1408, "n_routed_experts": 128, "num_experts_per_tok": 8,
            "n_shared_experts": 1, "first_k_dense_replace": 1, "attention_bias": True,
        },
    ),
    "gpt-oss-120b": ("gpt-oss-20b", {"num_hidden_layers": 36, "num_local_experts": 128, "layer_types": None}),
    "meta-llama-3.1-70b-instruct": ("llama-3.1-70b", {}),
    "nvidia-nemotron-3-nano-30b-a3b": (
        "",
        {
            "model_type": "nemotron_h", "hidden_size": 2688, "num_hidden_layers": 52, "vocab_size": 131072,
            "hybrid_override_pattern": "MEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEMEM*EMEMEMEME",
            "num_attention_heads": 32, "num_key_value_heads": 2, "head_dim": 128, "intermediate_size": 1856,
            "moe_intermediate_size": 1856, "n_routed_experts": 128, "num_experts_per_tok": 6,
            "moe_shared_expert_intermediate_size": 3712, "mamba_num_heads": 64, "mamba_head_dim": 64,
            "n_groups": 8, "ssm_state_size": 128, "tie_word_embeddings": False,
        },
    ),
    "qwen3-0.6b": ("qwen3-0.6b", {"tie_word_embeddings": False}),  # that file holds the head by itself
    "qwen3-14b": (
        "qwen3-32b",
        {
            "hidden_size": 5120, "num_hidden_layers": 40, "num_attention_heads": 40,
            "intermediate_size": 17408, "max_window_layers": 40,
        },
    ),
    "qwen3-coder-next": ("qwen3-next-80b-a3b", {}),
    "qwen3.5-397b-a17b": (
        "qwen3.5-35b-a3b",
        {
            "hidden_size": 4096, "num_hidden_layers": 60, "num_attention_heads": 32,
            "num_key_value_heads": 2, "head_dim": 256, "vocab_size": 248320, "num_experts": 512,
            "num_experts_per_tok": 10, "moe_intermediate_size": 1024, "shared_expert_intermediate_size": 1024,
            "linear_num_value_heads": 64, "linear_num_key_heads": 16, "linear_key_head_dim": 128,
            "linear_value_head_dim": 128, "linear_conv_kernel_dim": 4,
        },
    ),
    "qwen3.6-27b": ("qwen3.5-27b", {}),
    "step-3.5-flash": ("", {"model_type": "step3p5"}),
}  # fmt: skip


def _model(name: str) -> Model:
    base, changes = MODELS[name]
    path = REFERENCE / "configs" / f"{base}.json"
    table = json.loads(path.read_text(encoding="utf-8")) if base else {}
    whole = {key: value for key, value in {**table, **changes}.items() if value is not None}
    return from_config(whole, name, name)


@needs_reference
@pytest.mark.parametrize("name", MODELS)
def test_each_tensor_takes_the_type_on_record(name: str) -> None:
    model = _model(name)
    _, sections = read_record((SNAPSHOTS / f"{name}.schema").read_text(encoding="utf-8"))
    tensors = [tensor for tensor in gguf_tensors(model) if is_quantized(tensor)]
    assert {key for overrides in sections.values() for key in overrides} <= {one.name for one in tensors}
    for key, overrides in sections.items():
        kind = FILE_TYPES[key]
        for made in quantized(tensors, architecture_of(model), kind):
            assert made.format == overrides.get(made.name, kind.base), (key, made.name)
