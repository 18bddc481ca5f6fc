"""Entries of a config.json that whole kinds of architectures have in common, told from a GGUF file.

Sources: what each class of convert_hf_to_gguf.py writes (ggml-org/llama.cpp, 0.5.0-dev).
"""

from collections.abc import Callable

from llmplanner.models.entries import MOST_LAYERS
from llmplanner.models.gguf.facts import Facts, Source

Entries = dict[str, Source | None]


def _mla(facts: Facts) -> int:
    """The width of a head's query, the rotated part with it. Older files state it under the plain key."""
    return facts.size("attention.key_length_mla") or facts.size("attention.key_length")


def deepseek(facts: Facts) -> str:
    """The third version scores its experts by sigmoid, with a bias that corrects the choice."""
    sigmoid = 2
    third = facts.size("expert_gating_func") == sigmoid or facts.has("exp_probs_b.bias")
    return "deepseek_v3" if third else "deepseek_v2"


MLA: Entries = {
    "head_dim": None,
    "num_key_value_heads": "attention.head_count",
    "q_lora_rank": lambda facts: facts.size("attention.q_lora_rank") or None,
    "kv_lora_rank": "attention.kv_lora_rank",
    "qk_rope_head_dim": "rope.dimension_count",
    "qk_nope_head_dim": lambda facts: _mla(facts) - facts.size("rope.dimension_count"),
    "v_head_dim": lambda facts: (
        facts.key("attention.value_length_mla") or facts.key("attention.value_length")
    ),
    "partial_rotary_factor": None,
}
EXPERT_WIDTH: Entries = {  # classes whose only feed-forward width is the experts'
    "intermediate_size": lambda facts: (
        facts.key("expert_feed_forward_length") or facts.key("feed_forward_length")
    ),
}
UNSLID: Entries = {"sliding_window": None, "layer_types": None}
T5: Entries = {
    "d_kv": "attention.key_length",
    "d_model": "embedding_length",
    "d_ff": "feed_forward_length",
    "num_layers": "block_count",
    "num_decoder_layers": lambda facts: facts.key("decoder_block_count") or facts.key("block_count"),
    "num_heads": "attention.head_count",
    "relative_attention_num_buckets": "attention.relative_buckets_count",
    "feed_forward_proj": lambda facts: (
        "gated-gelu" if "enc.blk.0.ffn_gate.weight" in facts.tensors else "relu"
    ),
    "head_dim": None,
    "n_positions": "context_length",
}
MAMBA: Entries = {
    "state_size": "ssm.state_size",
    "conv_kernel": "ssm.conv_kernel",
    "intermediate_size": "ssm.inner_size",
    "expand": lambda facts: facts.ratio("ssm.inner_size", "embedding_length"),
    "time_step_rank": "ssm.time_step_rank",
    "num_heads": "ssm.time_step_rank",
    "head_dim": lambda facts: facts.ratio("ssm.inner_size", "ssm.time_step_rank"),
    "n_groups": "ssm.group_count",
}
HYBRID: Entries = {
    "num_key_value_heads": lambda facts: facts.most("attention.head_count_kv"),
    "mamba_n_heads": "ssm.time_step_rank",
    "mamba_d_head": lambda facts: facts.ratio("ssm.inner_size", "ssm.time_step_rank"),
    "mamba_d_state": "ssm.state_size",
    "mamba_d_conv": "ssm.conv_kernel",
    "mamba_n_groups": "ssm.group_count",
    "mamba_expand": lambda facts: facts.ratio("ssm.inner_size", "embedding_length"),
    "mamba_d_ssm": "ssm.inner_size",
    "mamba_dt_rank": "ssm.time_step_rank",
    "mamba_rms_norm": lambda facts: facts.has("ssm_norm.weight"),
}
DELTA: Entries = {
    "linear_conv_kernel_dim": "ssm.conv_kernel",
    "linear_key_head_dim": "ssm.state_size",
    "linear_num_key_heads": "ssm.group_count",
    "linear_num_value_heads": "ssm.time_step_rank",
    "linear_value_head_dim": lambda facts: facts.ratio("ssm.inner_size", "ssm.time_step_rank"),
    "full_attention_interval": lambda facts: facts.size("full_attention_interval", 4),
    "layer_types": None,
}


def attending(facts: Facts) -> list[int]:
    """The layers of a hybrid that have keys and values."""
    return _having(facts, "attn_k.weight")


def mixtures(facts: Facts) -> list[int]:
    """The layers that have a router."""
    return _having(facts, "ffn_gate_inp.weight")


def _having(facts: Facts, part: str) -> list[int]:
    layers = range(min(facts.size("block_count"), MOST_LAYERS))
    return [index for index in layers if f"blk.{index}.{part}" in facts.tensors]


def period(indices: list[int]) -> int | None:
    """Every how many layers."""
    return indices[1] - indices[0] if len(indices) > 1 else None


def first(indices: list[int]) -> int | None:
    """The first of the layers."""
    return indices[0] if indices else None


def _nemotron_pattern(facts: Facts) -> str:
    """A letter a layer: attention, mixture, feed-forward or Mamba-2."""
    with_cache, routed = set(attending(facts)), set(mixtures(facts))
    dense = set(_having(facts, "ffn_down.weight"))
    return "".join(
        "*" if index in with_cache else "E" if index in routed else "-" if index in dense else "M"
        for index in range(min(facts.size("block_count"), MOST_LAYERS))
    )


def granite_types(facts: Facts) -> list[str]:
    """Granite 4: the layers that attend, among those of Mamba-2."""
    with_cache = set(attending(facts))
    layers = range(min(facts.size("block_count"), MOST_LAYERS))
    return ["attention" if index in with_cache else "mamba" for index in layers]


def _lfm_types(facts: Facts) -> list[str]:
    with_cache = set(attending(facts))
    layers = range(min(facts.size("block_count"), MOST_LAYERS))
    return ["full_attention" if index in with_cache else "conv" for index in layers]


LFM: Entries = {
    "num_key_value_heads": lambda facts: facts.most("attention.head_count_kv"),
    "conv_L_cache": "shortconv.l_cache",
    "layer_types": _lfm_types,
    "block_auto_adjust_ff_dim": lambda _facts: False,  # the width is stated as it is
    "num_dense_layers": "leading_dense_block_count",
}
GEMMA_3N: Entries = {
    "intermediate_size": lambda facts: facts.most("feed_forward_length"),
    "hidden_size_per_layer_input": "embedding_length_per_layer_input",
    "vocab_size_per_layer_input": lambda facts: facts.rows("per_layer_token_embd.weight"),
    "altup_num_inputs": "altup.num_inputs",
    "num_kv_shared_layers": "attention.shared_kv_layers",
    "laurel_rank": lambda facts: facts.rows("blk.0.laurel_l.weight"),
}


def _of_layers(name: str, *, sliding: bool) -> Callable[[Facts], object]:
    """A number of the first layer that slides, or of the first that does not."""

    def one(facts: Facts) -> object:
        slides = facts.list("attention.sliding_window_pattern")
        numbers = facts.list(name)
        pairs = zip(slides, numbers, strict=False)
        return next((number for slid, number in pairs if bool(slid) == sliding), None)

    return one


GEMMA_4: Entries = {
    "head_dim": lambda facts: facts.key("attention.key_length_swa") or facts.head_dim,
    "global_head_dim": "attention.key_length",
    "num_key_value_heads": _of_layers("attention.head_count_kv", sliding=True),
    "num_global_key_value_heads": _of_layers("attention.head_count_kv", sliding=False),
    "attention_k_eq_v": lambda facts: len(_having(facts, "attn_v.weight")) < len(attending(facts)),
    "intermediate_size": lambda facts: min(facts.list("feed_forward_length"), default=None),
    "use_double_wide_mlp": lambda facts: len(set(facts.list("feed_forward_length"))) > 1,
    "hidden_size_per_layer_input": "embedding_length_per_layer_input",
    "vocab_size_per_layer_input": lambda facts: facts.rows("per_layer_token_embd.weight"),
    "num_kv_shared_layers": lambda facts: facts.size("attention.shared_kv_layers"),
    "enable_moe_block": lambda facts: facts.size("expert_count") > 0,
}
NEMOTRON_H: Entries = {
    "num_key_value_heads": lambda facts: facts.most("attention.head_count_kv"),
    "num_attention_heads": lambda facts: facts.most("attention.head_count"),
    "intermediate_size": lambda facts: (
        facts.most("feed_forward_length") or facts.most("expert_feed_forward_length")
    ),
    "hybrid_override_pattern": _nemotron_pattern,
    "mamba_num_heads": "ssm.time_step_rank",
    "mamba_head_dim": lambda facts: facts.ratio("ssm.inner_size", "ssm.time_step_rank"),
    "n_groups": "ssm.group_count",
    "ssm_state_size": "ssm.state_size",
    "conv_kernel": "ssm.conv_kernel",
    "num_hidden_layers": None,
    "n_routed_experts": "expert_count",
    "moe_shared_expert_intermediate_size": "expert_shared_feed_forward_length",
}
