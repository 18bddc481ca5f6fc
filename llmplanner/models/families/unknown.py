"""Configs of an architecture that is not known: read by the names that most families use, as an estimate."""

from collections.abc import Mapping

from llmplanner.models.entries import MOST_FACTOR

NAMES: Mapping[str, tuple[str, ...]] = {
    "num_hidden_layers": ("num_hidden_layers", "n_layer", "n_layers", "num_layers", "num_decoder_layers"),
    "hidden_size": ("hidden_size", "n_embd", "d_model", "dim", "model_dim"),
    "num_attention_heads": ("num_attention_heads", "n_head", "n_heads", "num_heads"),
    "num_key_value_heads": (
        "num_key_value_heads", "num_kv_heads", "n_kv_heads", "n_head_kv", "multi_query_group_num",
    ),
    "head_dim": ("head_dim", "kv_channels", "attention_head_dim"),
    "intermediate_size": (
        "intermediate_size", "ffn_hidden_size", "ffn_dim", "n_inner", "d_ff", "hidden_dim",
        "ff_intermediate_size", "inter_dim",
    ),
    "vocab_size": ("vocab_size", "padded_vocab_size", "n_vocab"),
    "max_position_embeddings": (
        "max_position_embeddings", "n_positions", "max_seq_len", "max_sequence_length", "seq_length",
        "context_length", "n_ctx",
    ),
    "sliding_window": ("sliding_window",),
    "tie_word_embeddings": ("tie_word_embeddings",),
    "attention_bias": ("attention_bias", "qkv_bias", "add_qkv_bias"),
    "dtype": ("dtype", "torch_dtype"),
    "quantization_config": ("quantization_config",),
}  # fmt: skip
MIXTURE: Mapping[str, tuple[str, ...]] = {
    "n_routed_experts": ("n_routed_experts", "num_local_experts", "num_experts", "moe_num_experts"),
    "num_experts_per_tok": ("num_experts_per_tok", "num_experts_per_token", "moe_topk", "moe_k", "top_k"),
    "moe_intermediate_size": (
        "moe_intermediate_size", "expert_ffn_hidden_size", "moe_ffn_hidden_size", "expert_hidden_dim",
        "intermediate_size", "hidden_dim",
    ),
    "n_shared_experts": ("n_shared_experts", "num_shared_experts", "moe_num_shared_experts"),
    "first_k_dense_replace": ("first_k_dense_replace", "num_dense_layers", "moe_layer_start_index"),
}  # fmt: skip
LATENT = ("kv_lora_rank", "q_lora_rank", "qk_rope_head_dim", "qk_nope_head_dim", "v_head_dim")
NEEDED = ("num_hidden_layers", "hidden_size", "num_attention_heads", "vocab_size")
NO_LANGUAGE = frozenset(  # words in the types of models of images and sounds, whose keys are a decoder's
    {"clip", "siglip", "siglip2", "clap", "vit", "deit", "beit", "dinov2", "dinov3", "vision", "image"}
    | {"wav2vec2", "hubert", "wavlm", "unispeech", "sew", "speecht5", "audio"}
)
GATED_WIDTH = 4  # times the hidden size, where no width is stated


def no_language(model_type: str) -> bool:
    """Whether a type that is not known is by its name one of images or sounds."""
    return not NO_LANGUAGE.isdisjoint(model_type.lower().replace("-", "_").split("_"))


def recognised(config: Mapping[str, object]) -> dict[str, object] | None:
    """The config as one of a known family: Llama's form, with experts or a latent where it states them.

    None where the sizes that make up a decoder are not all there, or where it is no decoder.
    """
    if config.get("is_encoder_decoder") is True or any(
        _first(config, NAMES[name]) is None for name in NEEDED
    ):
        return None
    table = _taken(config, NAMES)
    hidden = table["hidden_size"]
    if table.get("intermediate_size") is None and isinstance(hidden, int):
        table["intermediate_size"] = _width(config, hidden)
    nested = config.get("moe")  # in Mistral's params.json
    experts = _taken({**config, **nested} if isinstance(nested, dict) else config, MIXTURE)
    if config.get("kv_lora_rank") is not None:
        return _latent(config, table, experts)
    if experts.get("n_routed_experts") is None:
        return {"model_type": "llama", **table}
    return {"model_type": "glm4_moe", "n_shared_experts": 0, "first_k_dense_replace": 0, **table, **experts}


def _width(config: Mapping[str, object], hidden: int) -> int:
    """Of a feed-forward whose width the file does not state; Meta's params.json leads to it by factors."""
    multiple, factor = config.get("multiple_of"), config.get("ffn_dim_multiplier")
    if not isinstance(multiple, int) or not 0 < multiple <= hidden:
        return GATED_WIDTH * hidden
    width = 2 * GATED_WIDTH * hidden // 3
    if isinstance(factor, int | float) and 0 < factor <= MOST_FACTOR:
        width = int(factor * width)
    return -(-width // multiple) * multiple


def _latent(
    config: Mapping[str, object], table: dict[str, object], experts: dict[str, object]
) -> dict[str, object]:
    """Of DeepSeek's form; without experts, all of its layers are dense."""
    latent = {name: config.get(name) for name in LATENT if name in config}
    if experts.get("n_routed_experts") is None:
        experts = {"n_routed_experts": 1, "num_experts_per_tok": 1, "first_k_dense_replace": 10_000}
    return {"model_type": "deepseek_v3", "n_shared_experts": 0, **table, **experts, **latent}


def _taken(config: Mapping[str, object], names: Mapping[str, tuple[str, ...]]) -> dict[str, object]:
    found = {name: _first(config, others) for name, others in names.items()}
    return {name: value for name, value in found.items() if value is not None}


def _first(config: Mapping[str, object], names: tuple[str, ...]) -> object:
    return next((config[name] for name in names if config.get(name) is not None), None)
