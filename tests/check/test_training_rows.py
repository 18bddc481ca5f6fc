"""Rows of training steps of families that the reference tables have none of.

Counted with Transformers 5.23.0 and PyTorch 2.13.0: real module code on the meta device, two steps, every
storage from its creation to its release.
"""

from pathlib import Path

import pytest

from llmplanner.check.lookup import Lookup
from llmplanner.check.row_model import model
from llmplanner.check.training import answer
from llmplanner.core.tensors import parameters

COMMON = {
    **dict.fromkeys(("lora_r", "lora_targets", "lora_dropout", "experts", "top_k", "expert_ffn"), ""),
    **dict.fromkeys(("window", "extra_dims", "seq_decoder", "padding_mask", "keep_logits"), ""),
    "attention": "eager",
    "precision": "bf16",
    "checkpointing": "none",
    "optimizer": "adamw",
    "batch": "2",
    "seq": "256",
    "layers": "2",
    "hidden": "512",
    "heads": "8",
    "kv_heads": "8",
    "vocab": "8000",
    "dropout_hidden": "0.0",
    "dropout_attention": "0.0",
}
MASKS = [  # families whose modules hold their causal masks, megabytes of them
    {"family": "gpt_neo", "params": "11447296", "buffers_bytes": "8388608", "total_peak_bytes": "171343880"},
    {
        "family": "gpt_bigcode",
        "kv_heads": "1",
        "params": "",
        "buffers_bytes": "1048576",
        "total_peak_bytes": "140680712",
    },
]


@pytest.mark.parametrize("row", MASKS, ids=lambda row: row["family"])
def test_buffers_that_a_row_states_count_once(row: dict[str, str]) -> None:
    """Some models hold masks of their own, which the row's column holds too."""
    kind = "gelu_tanh" if row["family"] == "gpt_bigcode" else "gelu_new"
    whole = COMMON | {"head_dim": "64", "ffn": "2048", "ffn_kind": kind, "tied": "1", "trainable": ""} | row
    found = answer(whole, Lookup(Path()))["total_peak_bytes"]
    assert found.predicted == pytest.approx(int(row["total_peak_bytes"]), rel=1e-4)


def test_a_size_that_a_model_does_without_is_stated_as_none() -> None:
    """DeepSeek-V2-Lite has no low-rank queries: "q_lora_rank=None"."""
    row = COMMON | {
        "family": "deepseek_v2",
        "head_dim": "48",
        "ffn": "1408",
        "ffn_kind": "gated_silu",
        "experts": "8",
        "top_k": "2",
        "expert_ffn": "512",
        "tied": "0",
        "params": "18373376",
        "trainable": "18373376",
        "extra_dims": "q_lora_rank=None kv_lora_rank=128 qk_nope_head_dim=32 qk_rope_head_dim=16 "
        "v_head_dim=32 n_shared_experts=1 first_k_dense_replace=1 n_group=1 topk_group=1",
    }
    assert parameters(model(row)).total == int(row["params"])
