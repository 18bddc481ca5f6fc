"""Decoders of Llama's form that differ in a norm, a bias, a window or a parameter.

Defaults: Transformers 5.23.0 class defaults. Tensor names: the published checkpoints of each family.
"""

from dataclasses import replace

from llmplanner.core.model import Attention, FeedForward, Layer, Linear, Norm, NormKind, Parameter
from llmplanner.models.entries import Entries
from llmplanner.models.families.defaults import class_defaults, decoder
from llmplanner.models.families.llama import GEMMA2, LLAMA, MISTRAL
from llmplanner.models.families.windows import (
    alternating_window,
    leading_window,
    nope_window,
    typed_window,
    uniform_window,
)

ERNIE = replace(LLAMA, input_bias="use_bias", output_bias="use_bias", feed_forward_bias="use_bias")
SEED = replace(
    LLAMA, output_bias="attention_out_bias", dropouts=("residual_dropout", "attention_dropout", None)
)
SMOLLM = replace(LLAMA, windows=nope_window)
CWM = replace(LLAMA, input_bias=False, output_bias=False, windows=leading_window)
MINISTRAL = replace(MISTRAL, windows=typed_window)
HELIUM = replace(LLAMA, norm=NormKind.RMS_WIDE, output_bias=False)
HUNYUAN = replace(
    LLAMA, feed_forward_bias=False, query_key_norm=("self_attn.query_layernorm", "self_attn.key_layernorm")
)
UNGATED = replace(LLAMA, feed_forward_inputs=("mlp.up_proj",), gated=False)
GLM = replace(
    LLAMA,
    output_bias=False,
    feed_forward_bias=False,
    feed_forward_inputs=("mlp.gate_up_proj",),
    rotary="partial_rotary_factor",
)
GLM4 = replace(GLM, output_norms=("post_self_attn_layernorm", "post_mlp_layernorm"))
OLMO2 = replace(
    LLAMA,
    norm=NormKind.RMS_WIDE,
    feed_forward_bias=False,
    attention_norm=None,
    feed_forward_norm=None,
    output_norms=("post_attention_layernorm", "post_feedforward_layernorm"),
    query_key_norm=("self_attn.q_norm", "self_attn.k_norm"),
    query_key_whole=True,
)
EXAONE4 = replace(
    OLMO2,
    norm=NormKind.RMS,
    input_bias=False,
    output_bias=False,
    query_key_whole=False,
    windows=alternating_window,
)
VAULTGEMMA = replace(GEMMA2, output_norms=None)
NANOCHAT = replace(
    LLAMA,
    feed_forward_inputs=("mlp.fc1",),
    feed_forward_output="mlp.fc2",
    feed_forward_bias=False,
    gated=False,
    norm_affine=False,
    query_key_norm=("self_attn.q_norm", "self_attn.k_norm"),
    softcaps=("attn_logit_softcapping", "final_logit_softcapping"),
)


def _parts(layer: Layer) -> tuple[Attention, FeedForward]:
    """The two branches of a layer that has plain ones."""
    if not isinstance(layer.attention, Attention) or not isinstance(layer.feed_forward, FeedForward):
        raise TypeError("this layer has another kind of attention or feed-forward")
    return layer.attention, layer.feed_forward


def _with_sinks(_entries: Entries, layer: Layer) -> Layer:
    attention, _ = _parts(layer)
    sinks = Parameter("self_attn.sinks", (attention.heads,))
    return replace(layer, attention=replace(attention, sinks=sinks, sinks_scale=True))


def _with_inner_norms(_entries: Entries, layer: Layer) -> Layer:
    """BitNet norms what the output matrices read (arXiv:2504.12285)."""
    attention, block = _parts(layer)
    inner = Norm("self_attn.attn_sub_norm", LLAMA.norm, attention.output.outputs)
    return replace(
        layer,
        attention=replace(attention, inner_norm=inner),
        feed_forward=replace(block, inner_norm=Norm("mlp.ffn_sub_norm", LLAMA.norm, block.width)),
    )


def _with_lambdas(_entries: Entries, layer: Layer) -> Layer:
    """The Differential Transformer's four vectors (arXiv:2410.05258)."""
    attention, _ = _parts(layer)
    vectors = tuple(
        Parameter(f"self_attn.lambda_{name}", (attention.key_dim,)) for name in ("q1", "k1", "q2", "k2")
    )
    return replace(layer, attention=replace(attention, differential=True, extras=vectors))


def _with_xielu(entries: Entries, layer: Layer) -> Layer:
    if entries.raw("hidden_act") != "xielu":
        return layer
    return replace(layer, extras=tuple(Parameter(f"mlp.act_fn.alpha_{name}", (1,)) for name in "pn"))


def _as_doge(entries: Entries, layer: Layer) -> Layer:
    """Doge's attention has a dynamic mask, its residual streams have scales (arXiv:2412.11834)."""
    attention, _ = _parts(layer)
    hidden, kv_heads = entries.size("hidden_size"), attention.kv_heads
    step = Linear(
        "self_attn.dt_proj", kv_heads * attention.value_dim, kv_heads, entries.flag("attention_bias")
    )
    return replace(
        layer,
        attention=replace(attention, extras=(Parameter("self_attn.A", (kv_heads,)), step)),
        extras=(Parameter("input_residual", (hidden,)), Parameter("post_attention_residual", (hidden,))),
    )


def _as_hyperclovax(entries: Entries, layer: Layer) -> Layer:
    if entries.flag("use_post_norm"):
        return layer
    return replace(layer, attention_output_norm=None, feed_forward_output_norm=None)


GRANITE_SWA = replace(LLAMA, windows=leading_window, finish=_with_sinks)
BITNET = replace(LLAMA, feed_forward_bias=False, finish=_with_inner_norms)
DIFFLLAMA = replace(LLAMA, feed_forward_bias=False, finish=_with_lambdas)
APERTUS = replace(
    UNGATED,
    feed_forward_bias=False,
    attention_norm="attention_layernorm",
    feed_forward_norm="feedforward_layernorm",
    query_key_norm=("self_attn.q_norm", "self_attn.k_norm"),
    finish=_with_xielu,
)
DOGE = replace(
    LLAMA,
    query_key_norm=("self_attn.q_norm", "self_attn.k_norm"),
    windows=uniform_window,
    finish=_as_doge,
    dropouts=("hidden_dropout", "attention_dropout", None),
    refused=(("is_moe", "with product-key experts"),),
)
HYPERCLOVAX = replace(LLAMA, output_norms=("post_norm1", "post_norm2"), finish=_as_hyperclovax)

DIALECTS = (
    decoder("granite", "Granite", LLAMA, class_defaults((32, 4096, 32, 11008, 32000), None, 2048)),
    decoder(
        "granite_swa",
        "GraniteSWA",
        GRANITE_SWA,
        class_defaults(
            (24, 2560, 20, 8192, 100352),
            4,
            8192,
            tie_word_embeddings=True,
            sliding_window=128,
            sliding_window_pattern=4,
        ),
    ),
    decoder(
        "ministral",
        "Ministral",
        MINISTRAL,
        class_defaults((32, 4096, 32, 14336, 32000), 8, 131072, sliding_window=4096),
    ),
    decoder(
        "ministral3",
        "Ministral3",
        MISTRAL,
        class_defaults((34, 4096, 32, 14336, 131072), 8, 262144, head_dim=128),
    ),
    decoder(
        "smollm3",
        "SmolLM3",
        SMOLLM,
        class_defaults(
            (36, 2048, 16, 11008, 128256), 4, 32768, tie_word_embeddings=True, no_rope_layer_interval=4
        ),
    ),
    decoder("helium", "Helium", HELIUM, class_defaults((24, 2560, 20, 7040, 48000), 20, 4096, head_dim=128)),
    decoder(
        "arcee",
        "Arcee",
        UNGATED,
        class_defaults((32, 2560, 32, 18432, 32000), None, 4096, hidden_act="relu2"),
    ),
    decoder(
        "apertus",
        "Apertus",
        APERTUS,
        class_defaults((32, 4096, 32, 14336, 131072), None, 65536, hidden_act="xielu"),
    ),
    decoder(
        "seed_oss",
        "SeedOss",
        SEED,
        class_defaults(
            (64, 4096, 80, 27648, 155136),
            8,
            524288,
            head_dim=128,
            attention_bias=True,
            attention_dropout=0.1,
            residual_dropout=0.1,
        ),
    ),
    decoder(
        "internlm3",
        "InternLM3",
        LLAMA,
        class_defaults((48, 4096, 32, 10240, 128512), 2, 32768, head_dim=128),
        also=("LlamaForCausalLM",),
        attention_bias=("attention_bias", "qkv_bias"),
        mlp_bias=("mlp_bias", "bias"),
    ),
    decoder(
        "iquestcoder",
        "IQuestCoder",
        LLAMA,
        class_defaults((80, 5120, 40, 27648, 76800), 8, 131072, head_dim=128),
        also=("LlamaForCausalLM",),
    ),
    decoder(
        "cwm",
        "Cwm",
        CWM,
        class_defaults(
            (64, 6144, 48, 21504, 128256),
            8,
            131072,
            head_dim=128,
            sliding_window=8192,
            sliding_window_pattern=4,
        ),
    ),
    decoder(
        "ernie4_5",
        "Ernie4_5",
        ERNIE,
        class_defaults((18, 1024, 16, 3072, 103424), 2, 131072, head_dim=128, tie_word_embeddings=True),
    ),
    decoder(
        "hunyuan_v1_dense",
        "HunYuanDenseV1",
        HUNYUAN,
        class_defaults((32, 4096, 32, 11008, 290943), None, 2048),
    ),
    decoder(
        "hyperclovax",
        "HyperCLOVAX",
        HYPERCLOVAX,
        class_defaults((32, 4096, 32, 11008, 32000), None, 2048, use_post_norm=True),
    ),
    decoder(
        "glm",
        "Glm",
        GLM,
        class_defaults(
            (40, 4096, 32, 13696, 151552),
            2,
            131072,
            head_dim=128,
            attention_bias=True,
            partial_rotary_factor=0.5,
        ),
    ),
    decoder(
        "glm4",
        "Glm4",
        GLM4,
        class_defaults(
            (40, 4096, 32, 13696, 151552),
            2,
            131072,
            head_dim=128,
            attention_bias=True,
            partial_rotary_factor=0.5,
        ),
    ),
    decoder("olmo2", "Olmo2", OLMO2, class_defaults((32, 4096, 32, 11008, 50304), None, 2048)),
    decoder(
        "olmo3",
        "Olmo3",
        replace(OLMO2, windows=alternating_window),
        class_defaults(
            (32, 4096, 32, 11008, 50304), None, 2048, sliding_window=4096, sliding_window_pattern=4
        ),
    ),
    decoder(
        "exaone4",
        "Exaone4",
        EXAONE4,
        class_defaults(
            (32, 4096, 32, 16384, 102400), 32, 2048, sliding_window=4096, sliding_window_pattern=4
        ),
    ),
    decoder(
        "vaultgemma",
        "VaultGemma",
        VAULTGEMMA,
        class_defaults(
            (26, 2304, 8, 9216, 256000),
            4,
            8192,
            head_dim=256,
            tie_word_embeddings=True,
            sliding_window=4096,
            sliding_window_pattern=2,
            attn_logit_softcapping=50.0,
            final_logit_softcapping=30.0,
        ),
    ),
    decoder(
        "nanochat",
        "NanoChat",
        NANOCHAT,
        class_defaults((12, 768, 6, 8192, 50304), 6, 2048, hidden_act="relu2", final_logit_softcapping=15.0),
    ),
    decoder(
        "bitnet", "BitNet", BITNET, class_defaults((30, 2560, 20, 6912, 128256), 5, 2048, hidden_act="relu2")
    ),
    decoder("diffllama", "DiffLlama", DIFFLLAMA, class_defaults((16, 2048, 32, 8192, 32000), None, 2048)),
    decoder("doge", "Doge", DOGE, class_defaults((32, 1024, 8, 2048, 32768), None, 2048, is_moe=False)),
)
