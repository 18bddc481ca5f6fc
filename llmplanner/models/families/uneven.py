"""Decoders whose layers differ in width: OpenELM by depth, DeciLM and Nemotron-NAS by search.

Their code came with their files: defaults by configuration_*.py there, tensor names as in the files.
"""

from collections.abc import Mapping
from dataclasses import replace

from llmplanner.core.model import Layer, Linear
from llmplanner.models.entries import Entries, shown
from llmplanner.models.families.defaults import class_defaults, decoder
from llmplanner.models.families.llama import LLAMA

MOST_TIMES = 1000  # a feed-forward's width over the hidden size
NONE, LINEAR, WHOLE = "none", "linear", "whole"  # what is left of a branch


def _listed(entries: Entries, name: str, index: int) -> object:
    """One layer's value in a list that must have one for each layer; a number alone is that of all layers."""
    values, count = entries.raw(name), entries.size("num_hidden_layers")
    if isinstance(values, int | float):
        return values
    if not isinstance(values, list) or len(values) != count:
        raise entries.refuse(
            name, f"must be a list with a value for each of the {count:,} layers; correct it"
        )
    return values[index]


def _listed_size(entries: Entries, name: str, index: int) -> int:
    value = _listed(entries, name, index)
    if type(value) is not int:
        raise entries.refuse(name, f"holds {shown(value)}; it must hold whole numbers")
    return value


def _times(entries: Entries, name: str, value: object) -> float:
    """How many times the hidden size a feed-forward is wide."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= MOST_TIMES:
        raise entries.refuse(name, f"has {shown(value)}; it must be above 0 and at most {MOST_TIMES:,}")
    return value


def _deci_heads(entries: Entries, index: int) -> Mapping[str, object]:
    name = "num_key_value_heads_per_layer"
    return {"num_key_value_heads": _listed_size(entries, name, index)} if entries.stated(name) else {}


DECI = replace(LLAMA, feed_forward_bias=False, per_layer=_deci_heads)


def _rounded(width: float, multiple: int) -> int:
    """The nearest multiple, or the next where that is more than a tenth too small."""
    nearest = max(multiple, int(width + multiple / 2) // multiple * multiple)
    return nearest + multiple if nearest < 0.9 * width else nearest


def _openelm_layer(entries: Entries, index: int) -> Mapping[str, object]:
    """Heads and widths grow with depth (arXiv:2404.14619, section 2.1)."""
    times = _times(entries, "ffn_multipliers", _listed(entries, "ffn_multipliers", index))
    width = _rounded(times * entries.size("hidden_size"), entries.size("ffn_dim_divisor"))
    heads = [name for name in ("num_attention_heads", "num_key_value_heads") if entries.raw(name) is not None]
    return {"intermediate_size": width, **{name: _listed_size(entries, name, index) for name in heads}}


OPENELM = replace(
    LLAMA,
    body="transformer.",
    embedding="token_embeddings",
    attention_inputs=("attn.qkv_proj",),
    attention_output="attn.out_proj",
    feed_forward_inputs=("ffn.proj_1",),
    feed_forward_output="ffn.proj_2",
    attention_norm="attn_norm",
    feed_forward_norm="ffn_norm",
    activation="activation_fn_name",
    query_key_norm=("attn.q_norm", "attn.k_norm"),
    query_key_normed="normalize_qk_projections",
    per_layer=_openelm_layer,
    dropouts=(None, None, None),
)


def _block(entries: Entries, index: int, name: str) -> tuple[Entries, str]:
    """One branch of a layer that a search shaped: its entries, and what is left of it."""
    block = _listed(entries, "block_configs", index)
    inner = block.get(name) if isinstance(block, dict) else None
    if not isinstance(inner, dict):
        raise entries.refuse(
            "block_configs", f'has a layer without "{name}"; take the model\'s own config.json'
        )
    branch = Entries(f"{entries.where}: block_configs", inner, {}, {})
    if branch.flag("no_op"):
        return branch, NONE
    return branch, LINEAR if branch.flag("replace_with_linear") else WHOLE


def _nas_layer(entries: Entries, index: int) -> Mapping[str, object]:
    """Puzzle's choice for one layer (arXiv:2411.19146): fewer keys, a narrower feed-forward, or neither."""
    if not entries.stated("block_configs"):
        return {"attention_left": WHOLE, "block_left": WHOLE}
    attention, attention_left = _block(entries, index, "attention")
    block, block_left = _block(entries, index, "ffn")
    found: dict[str, object] = {"attention_left": attention_left, "block_left": block_left}
    if attention_left == WHOLE:
        heads = entries.size("num_attention_heads")
        found["num_key_value_heads"] = heads // attention.size("n_heads_in_group", most=heads)
    if block_left == WHOLE:
        times = _times(block, "ffn_mult", block.raw("ffn_mult"))
        found["intermediate_size"] = -(-int(2 * times * entries.size("hidden_size") / 3) // 256) * 256
    return found


def _as_nas(entries: Entries, layer: Layer) -> Layer:
    """Takes away what the search took: a branch with its norm, or all of it but one matrix."""
    hidden, matrices = entries.size("hidden_size"), []
    attention_left, block_left = entries.text("attention_left"), entries.text("block_left")
    if attention_left == LINEAR:
        matrices.append(Linear("self_attn.linear_attn", hidden, hidden))
    if block_left == LINEAR:
        matrices.append(Linear("mlp.linear_mlp", hidden, hidden))
    return replace(
        layer,
        attention=layer.attention if attention_left == WHOLE else None,
        feed_forward=layer.feed_forward if block_left == WHOLE else None,
        attention_norm=None if attention_left == NONE else layer.attention_norm,
        feed_forward_norm=None if block_left == NONE else layer.feed_forward_norm,
        extras=tuple(matrices),
    )


NEMOTRON_NAS = replace(LLAMA, per_layer=_nas_layer, finish=_as_nas)

DIALECTS = (
    decoder(
        "deci",
        ("DeciLMForCausalLM", "DeciLMModel"),
        DECI,
        class_defaults((32, 4096, 32, 11008, 32000), None, 2048),
    ),
    decoder(
        "nemotron-nas",
        ("DeciLMForCausalLM", "DeciLMModel"),
        NEMOTRON_NAS,
        class_defaults((80, 8192, 64, None, 128256), None, 131072),
    ),
    decoder(
        "openelm",
        ("OpenELMForCausalLM", "OpenELMModel"),
        OPENELM,
        class_defaults(
            (12, 768, 12, None, 32000),
            None,
            2048,
            tie_word_embeddings=True,
            head_dim=64,
            activation_fn_name="swish",
            ffn_dim_divisor=256,
            ffn_multipliers=4.0,
        ),
        hidden_size=("model_dim",),
        num_hidden_layers=("num_transformer_layers",),
        num_attention_heads=("num_query_heads",),
        num_key_value_heads=("num_kv_heads",),
        tie_word_embeddings=("share_input_output_layers",),
        max_position_embeddings=("max_context_length",),
    ),
)
