"""Steps of small models that PyTorch ran on the CPU (tests/data/trained_on_cpu.csv) beside their estimate."""

import csv

import pytest

from llmplanner.core.engine import AttentionKernel
from llmplanner.core.plan import Checkpointing, Optimizer, Precision, Split, Train
from llmplanner.core.step import one_step
from llmplanner.core.training import tensors
from llmplanner.models.config import from_config
from tests.reference import ROOT

SIZES = {"hidden_size": 128, "num_hidden_layers": 3, "num_attention_heads": 8, "vocab_size": 1024}
WIDE = {"intermediate_size": 352, "num_key_value_heads": 4, "head_dim": 16}
FEW = {"moe_intermediate_size": 96, "num_experts": 8, "num_experts_per_tok": 3}
LATENT = {
    "q_lora_rank": 48,
    "kv_lora_rank": 32,
    "qk_nope_head_dim": 16,
    "qk_rope_head_dim": 8,
    "v_head_dim": 16,
}
LATENT |= {"moe_intermediate_size": 96, "n_routed_experts": 8, "n_group": 2, "topk_group": 1}
LATENT |= {"num_experts_per_tok": 3, "first_k_dense_replace": 1, "num_key_value_heads": 8}
CONFIGS: dict[str, dict[str, object]] = {
    "llama": SIZES | WIDE,
    "qwen3": SIZES | WIDE,
    "olmo2": SIZES | {"intermediate_size": 352, "num_key_value_heads": 4},
    "phi3": SIZES | {"intermediate_size": 352, "num_key_value_heads": 4, "pad_token_id": 0},
    "granite": SIZES | {"intermediate_size": 352, "num_key_value_heads": 4},
    "starcoder2": SIZES | {"intermediate_size": 512, "num_key_value_heads": 2, "sliding_window": None},
    "gpt2": {"n_embd": 128, "n_layer": 3, "n_head": 8, "vocab_size": 1024}
    | dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.0),
    "gpt_neox": SIZES | {"intermediate_size": 512},
    "stablelm": SIZES | {"intermediate_size": 352, "num_key_value_heads": 8},
    "gemma2": SIZES | WIDE | {"sliding_window": 4096},
    "mixtral": SIZES | WIDE | {"num_local_experts": 8, "sliding_window": None},
    "qwen3_moe": SIZES | WIDE | FEW,
    "olmoe": SIZES | {"intermediate_size": 96, "num_experts": 8, "num_experts_per_tok": 3},
    "granitemoe": SIZES | {"intermediate_size": 96, "num_local_experts": 8, "num_experts_per_tok": 3},
    "deepseek_v3": SIZES | {"intermediate_size": 352} | LATENT,
    "llama4_text": SIZES
    | WIDE
    | {"intermediate_size_mlp": 352, "num_local_experts": 4, "attention_chunk_size": 4096},
}
with (ROOT / "tests" / "data" / "trained_on_cpu.csv").open(newline="", encoding="utf-8") as file:
    ROWS = list(csv.DictReader(file))


@pytest.mark.parametrize("kind", CONFIGS)
def test_steps_of_small_models(kind: str) -> None:
    model = from_config({"model_type": kind, **CONFIGS[kind]}, kind, "small")
    rows = [row for row in ROWS if row["model"] == kind]
    assert rows
    for row in rows:
        step = Train(
            int(row["tokens"]),
            int(row["sequences"]),
            Precision(row["precision"]),
            Optimizer(row["optimizer"]),
            AttentionKernel.EAGER,
            Checkpointing(row["checkpointing"]),
        )
        peak = max(int(phase.bytes) for phase in tensors(one_step(model, step, Split())))
        exact = row["checkpointing"] == "none"
        assert peak == pytest.approx(int(row["counted"]), rel=0.002 if exact else 0.007), row
