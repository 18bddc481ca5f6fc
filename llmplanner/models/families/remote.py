"""Decoders whose code came with their files and is not in Transformers: Qwen 1, Baichuan, ChatGLM, InternLM.

Defaults: the configuration_*.py beside each model's files. Tensor names: those files.
"""

from collections.abc import Mapping
from dataclasses import replace

from llmplanner.core.model import NormKind
from llmplanner.models.entries import Entries
from llmplanner.models.families.defaults import class_defaults, decoder
from llmplanner.models.families.dialect import Dialect, Part
from llmplanner.models.families.layer_norm import STABLELM
from llmplanner.models.families.llama import LLAMA, QWEN2
from llmplanner.models.families.predictors import with_predictors

PLAIN = replace(LLAMA, input_bias=False, output_bias=False, feed_forward_bias=False)


def _qwen_width(entries: Entries) -> Mapping[str, object]:
    """Qwen 1: intermediate_size counts gate and up together."""
    return {"intermediate_size": entries.size("intermediate_size") // 2}


QWEN = replace(
    PLAIN,
    body="transformer.",
    embedding="wte",
    layer="h.{layer}.",
    attention_inputs=("attn.c_attn",),
    attention_output="attn.c_proj",
    feed_forward_inputs=("mlp.w2", "mlp.w1"),
    feed_forward_output="mlp.c_proj",
    attention_norm="ln_1",
    feed_forward_norm="ln_2",
    final_norm="ln_f",
    input_bias=True,
    grouped=False,
    derived=_qwen_width,
    dropouts=(None, "attn_dropout_prob", "emb_dropout_prob"),
)
INTERNLM2 = replace(
    PLAIN,
    embedding="tok_embeddings",
    attention_inputs=("attention.wqkv",),
    attention_output="attention.wo",
    feed_forward_inputs=("feed_forward.w1", "feed_forward.w3"),
    feed_forward_output="feed_forward.w2",
    attention_norm="attention_norm",
    feed_forward_norm="ffn_norm",
    input_bias="bias",
    output_bias="bias",
    head="output",
)
PHI3_SMALL = replace(  # its block-sparse layers cache all tokens too
    LLAMA,
    attention_inputs=("self_attn.query_key_value",),
    attention_output="self_attn.dense",
    feed_forward_inputs=("mlp.up_proj",),
    final_norm="final_layernorm",
    norm=NormKind.LAYER,
    input_bias=True,
    output_bias=True,
    feed_forward_bias=True,
    head_dim=False,
    dropouts=("ffn_dropout_prob", "attention_dropout_prob", "embedding_dropout_prob"),
)
INTERNLM = replace(PLAIN, input_bias="bias", output_bias="bias")


def _baichuan_positions(entries: Entries) -> Mapping[str, object]:
    """The 7B is rotary and states max_position_embeddings, the 13B has ALiBi and states model_max_length."""
    return {"alibi": not entries.stated("max_position_embeddings") and entries.stated("model_max_length")}


BAICHUAN = replace(
    PLAIN, attention_inputs=("self_attn.W_pack",), grouped=False, alibi="alibi", derived=_baichuan_positions
)


def _chatglm_heads(entries: Entries) -> Mapping[str, object]:
    groups = entries.size("multi_query_group_num") if entries.flag("multi_query_attention") else None
    return {"num_key_value_heads": groups}


CHATGLM = replace(
    LLAMA,
    body="transformer.",
    embedding="embedding.word_embeddings",
    layer="encoder.layers.{layer}.",
    attention_inputs=("self_attention.query_key_value",),
    attention_output="self_attention.dense",
    feed_forward_inputs=("mlp.dense_h_to_4h",),
    feed_forward_output="mlp.dense_4h_to_h",
    final_norm="encoder.final_layernorm",
    head="transformer.output_layer",
    input_bias="add_qkv_bias",
    output_bias="add_bias_linear",
    feed_forward_bias="add_bias_linear",
    rotary="partial_rotary_factor",
    derived=_chatglm_heads,
    dropouts=("hidden_dropout", "attention_dropout", None),
)
ORION = replace(LLAMA, feed_forward_bias=False, norm=NormKind.LAYER)
YI = replace(PLAIN, attention_norm="ln1", feed_forward_norm="ln2")
EXAONE = replace(
    PLAIN,
    body="transformer.",
    embedding="wte",
    layer="h.{layer}.",
    attention_inputs=tuple(f"attn.attention.{name}_proj" for name in "qkv"),
    attention_output="attn.attention.out_proj",
    feed_forward_inputs=("mlp.c_fc_0", "mlp.c_fc_1"),
    feed_forward_output="mlp.c_proj",
    attention_norm="ln_1",
    feed_forward_norm="ln_2",
    final_norm="ln_f",
    activation="activation_function",
    dropouts=(None, "attention_dropout", "embed_dropout"),
)


def _no_experts(entries: Entries) -> Mapping[str, object]:
    """MiniCPM-MoE goes by MiniCPM's name."""
    if entries.stated("num_experts") and entries.size("num_experts", least=0) > 0:
        raise entries.refuse("num_experts", "is above 0; MiniCPM with experts is not supported")
    return {}


_SEVEN = (32, 4096, 32, 11008)


def _chatglm() -> Dialect:
    """Its files name the body where they mean the language model: both classes are that."""
    dialect = decoder(
        "chatglm",
        ("ChatGLMForConditionalGeneration", "ChatGLMModel"),
        CHATGLM,
        class_defaults(
            (28, 4096, 32, 13696, 65024),
            None,
            2048,
            head_dim=128,
            partial_rotary_factor=0.5,
            multi_query_group_num=1,
        ),
        num_hidden_layers=("num_layers",),
        intermediate_size=("ffn_hidden_size",),
        head_dim=("kv_channels",),
        vocab_size=("vocab_size", "padded_vocab_size"),
        max_position_embeddings=("seq_length",),
    )
    return replace(dialect, classes=dict.fromkeys(dialect.classes, Part.LANGUAGE_MODEL))


DIALECTS = (
    decoder(
        "qwen",
        ("QWenLMHeadModel", "QWenModel"),
        QWEN,
        class_defaults((*_SEVEN[:3], 22016, 151936), None, 8192, head_dim=128),
        head_dim=("kv_channels",),
        max_position_embeddings=("max_position_embeddings", "seq_length"),
    ),
    decoder(
        "phi3small",
        "Phi3Small",
        PHI3_SMALL,
        class_defaults((32, 4096, 32, 14336, 100352), 8, 8192, hidden_act="gegelu", tie_word_embeddings=True),
        intermediate_size=("ff_intermediate_size",),
    ),
    decoder(
        "internlm",
        "InternLM",
        INTERNLM,
        class_defaults((*_SEVEN, 103168), None, 2048, bias=True),
    ),
    decoder(
        "internlm2",
        "InternLM2",
        INTERNLM2,
        class_defaults((*_SEVEN, 103168), None, 2048, bias=True),
    ),
    decoder(
        "baichuan",
        ("BaichuanForCausalLM", "BaichuanModel"),
        BAICHUAN,
        class_defaults((*_SEVEN, 125696), None, 4096),
        also=("BaiChuanForCausalLM",),
    ),
    _chatglm(),
    decoder("aquila", "Aquila", PLAIN, class_defaults((*_SEVEN, 100008), None, 2048)),
    decoder("xverse", "Xverse", PLAIN, class_defaults((*_SEVEN, 100278), None, 8192)),
    decoder("orion", "Orion", ORION, class_defaults((40, 5120, 40, 15360, 84608), 40, 4096)),
    decoder("Yi", "Yi", YI, class_defaults((*_SEVEN, 64000), 4, 4096)),
    *with_predictors(
        (decoder("mimo", "MiMo", QWEN2, class_defaults((32, 4096, 32, 22016, 151936), 32, 32768)),)
    ),
    decoder("solar", "Solar", LLAMA, class_defaults((*_SEVEN, 32000), None, 2048)),
    decoder(
        "minicpm",
        "MiniCPM",
        replace(LLAMA, feed_forward_bias=False, derived=_no_experts),
        class_defaults((*_SEVEN, 32000), None, 2048, tie_word_embeddings=True),
    ),
    decoder(
        "exaone",
        "Exaone",
        EXAONE,
        class_defaults((32, 4096, 32, 16384, 102400), None, 2048, activation_function="silu"),
        num_hidden_layers=("num_layers", "num_hidden_layers"),
    ),
    decoder(
        "stablelm_epoch",
        ("StableLMEpochForCausalLM", "StableLMEpochModel"),
        STABLELM,
        class_defaults((32, 2560, 32, 6912, 50304), 32, 4096, partial_rotary_factor=0.25),
        partial_rotary_factor=("rope_pct",),
    ),
)
