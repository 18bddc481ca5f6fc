"""The decoders of Llama's form: RMSNorm before each branch, rotary positions, a gated feed-forward.

Defaults: Transformers 5.23.0 class defaults. Tensor names: the published checkpoints of each family.
"""

from dataclasses import replace

from llmplanner.core.model import NormKind
from llmplanner.models.families.decoder import DecoderData
from llmplanner.models.families.defaults import class_defaults, decoder
from llmplanner.models.families.windows import (
    alternating_window,
    switched_window,
    uniform_window,
)

LLAMA = DecoderData(
    body="model.",
    embedding="embed_tokens",
    layer="layers.{layer}.",
    attention_inputs=("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    attention_output="self_attn.o_proj",
    feed_forward_inputs=("mlp.gate_proj", "mlp.up_proj"),
    feed_forward_output="mlp.down_proj",
    attention_norm="input_layernorm",
    feed_forward_norm="post_attention_layernorm",
    final_norm="norm",
    norm=NormKind.RMS,
    activation="hidden_act",
    gated=True,
    input_bias="attention_bias",
    output_bias="attention_bias",
    feed_forward_bias="mlp_bias",
    rotary="",
    head_dim=True,
    grouped=True,
)
MISTRAL = replace(LLAMA, input_bias=False, output_bias=False, feed_forward_bias=False, windows=uniform_window)
QWEN2 = replace(LLAMA, input_bias=True, output_bias=False, feed_forward_bias=False, windows=switched_window)
QWEN3 = replace(
    LLAMA,
    feed_forward_bias=False,
    query_key_norm=("self_attn.q_norm", "self_attn.k_norm"),
    windows=switched_window,
)


GEMMA = replace(LLAMA, feed_forward_bias=False, norm=NormKind.RMS_PLUS_ONE, activation="hidden_activation")
GEMMA2 = replace(
    GEMMA,
    feed_forward_norm="pre_feedforward_layernorm",
    output_norms=("post_attention_layernorm", "post_feedforward_layernorm"),
    softcaps=("attn_logit_softcapping", "final_logit_softcapping"),
    windows=alternating_window,
)
GEMMA3 = replace(
    GEMMA2,
    query_key_norm=("self_attn.q_norm", "self_attn.k_norm"),
    refused=(("use_bidirectional_attention", "that attends both ways"),),
)
PHI3 = replace(
    MISTRAL,
    attention_inputs=("self_attn.qkv_proj",),
    feed_forward_inputs=("mlp.gate_up_proj",),
    rotary="partial_rotary_factor",
    dropouts=("resid_pdrop", "attention_dropout", "embd_pdrop"),
)


QWEN_WINDOW = {"use_sliding_window": False, "sliding_window": 4096, "max_window_layers": 28}
_GEMMA_WINDOW = {"tie_word_embeddings": True, "head_dim": 256, "sliding_window": 4096}

DIALECTS = (
    decoder(
        "llama",
        ("LlamaForCausalLM", "LlamaModel"),
        LLAMA,
        class_defaults((32, 4096, 32, 11008, 32000), None, 2048),
        also=("LLaMAForCausalLM",),  # its name in files of March 2023
    ),
    decoder(
        "mistral",
        ("MistralForCausalLM", "MistralModel"),
        MISTRAL,
        class_defaults((32, 4096, 32, 14336, 32000), 8, 131072, sliding_window=4096),
    ),
    decoder(
        "qwen2",
        ("Qwen2ForCausalLM", "Qwen2Model"),
        QWEN2,
        class_defaults((32, 4096, 32, 22016, 151936), 32, 32768, **QWEN_WINDOW),
    ),
    decoder(
        "qwen3",
        ("Qwen3ForCausalLM", "Qwen3Model"),
        QWEN3,
        class_defaults((32, 4096, 32, 22016, 151936), 32, 32768, head_dim=128, **QWEN_WINDOW),
    ),
    decoder(
        "gemma",
        ("GemmaForCausalLM", "GemmaModel"),
        GEMMA,
        class_defaults((28, 3072, 16, 24576, 256000), 16, 8192, tie_word_embeddings=True, head_dim=256),
    ),
    decoder(
        "gemma2",
        ("Gemma2ForCausalLM", "Gemma2Model"),
        GEMMA2,
        class_defaults(
            (26, 2304, 8, 9216, 256000),
            4,
            8192,
            sliding_window_pattern=2,
            attn_logit_softcapping=50.0,
            final_logit_softcapping=30.0,
            **_GEMMA_WINDOW,
        ),
    ),
    replace(
        decoder(
            "gemma3_text",
            ("Gemma3ForCausalLM", "Gemma3TextModel"),
            GEMMA3,
            class_defaults((26, 2304, 8, 9216, 262208), 4, 131072, sliding_window_pattern=6, **_GEMMA_WINDOW),
        ),
        # The text_config in Gemma 3's published files leaves out heads and vocabulary equal to the class's.
        sizes=("num_hidden_layers", "hidden_size", "intermediate_size"),
    ),
    decoder(
        "phi3",
        ("Phi3ForCausalLM", "Phi3Model"),
        PHI3,
        class_defaults(
            (32, 3072, 32, 8192, 32064),
            None,
            4096,
            partial_rotary_factor=1.0,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
        ),
    ),
)
