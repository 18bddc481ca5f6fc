"""The language models inside vision-language and omni models: the forms of their text-only kin.

Defaults: Transformers 5.23.0 class defaults. Tensor names: relative to the language model.
"""

from dataclasses import replace

from llmplanner.models.families.defaults import class_defaults, decoder
from llmplanner.models.families.llama import LLAMA, MISTRAL, QWEN2, QWEN3
from llmplanner.models.families.llama_kin import GLM4, HUNYUAN
from llmplanner.models.families.mixtures import QWEN3_MOE

QWEN_VL = class_defaults(
    (80, 8192, 64, 29568, 152064),
    8,
    32768,
    use_sliding_window=False,
    sliding_window=None,
    max_window_layers=80,
)
NO_WINDOW = {"use_sliding_window": False, "sliding_window": None, "max_window_layers": 28}

DIALECTS = (
    decoder("qwen2_vl_text", "Qwen2VLText", QWEN2, QWEN_VL),
    decoder("qwen2_5_vl_text", "Qwen2_5_VLText", QWEN2, QWEN_VL),
    decoder(
        "qwen2_5_omni_text",
        "Qwen2_5OmniText",
        QWEN2,
        class_defaults((28, 3584, 28, 18944, 152064), 4, 32768, tie_word_embeddings=True, **NO_WINDOW),
    ),
    decoder(
        "qwen3_vl_text",
        "Qwen3VLText",
        replace(QWEN3, windows=None),
        class_defaults((32, 4096, 32, 22016, 151936), 32, 128000, head_dim=128),
    ),
    decoder(
        "qwen3_omni_moe_text",
        "Qwen3OmniMoeText",
        QWEN3_MOE,
        class_defaults(
            (28, 2048, 28, 18944, 3584),
            4,
            32768,
            decoder_sparse_step=1,
            moe_intermediate_size=768,
            num_experts_per_tok=8,
            num_experts=128,
            **NO_WINDOW,
        ),
        num_experts=("num_experts", "num_local_experts"),
    ),
    decoder(
        "glm4v_text",
        "Glm4vText",
        replace(GLM4, input_bias=True),
        class_defaults((40, 4096, 32, 13696, 151552), 2, 32768, partial_rotary_factor=0.5),
    ),
    decoder(
        "glm_ocr_text",
        "GlmOcrText",
        replace(GLM4, input_bias=False),
        class_defaults((16, 1024, 16, 4096, 59392), 8, 131072, partial_rotary_factor=1.0),
    ),
    decoder(
        "paddleocr_vl_text",
        "PaddleOCRText",
        replace(LLAMA, input_bias="use_bias", output_bias="use_bias", feed_forward_bias="use_bias"),
        class_defaults(
            (18, 1024, 16, 3072, 103424), 2, 131072, head_dim=128, tie_word_embeddings=True, use_bias=False
        ),
    ),
    decoder(
        "emu3_text_model",
        ("Emu3ForCausalLM", "Emu3TextModel"),
        replace(MISTRAL, windows=None),
        class_defaults((32, 4096, 32, 14336, 184622), 8, 9216),
    ),
    decoder(
        "granite4_vision_text",
        "Granite4VisionText",
        LLAMA,
        class_defaults((32, 4096, 32, 11008, 32000), None, 2048),
    ),
    decoder(
        "granite_docling_text",
        "GraniteDoclingText",
        LLAMA,
        class_defaults((28, 1024, 16, 2048, 133800), 4, 32768, tie_word_embeddings=True),
    ),
    decoder(
        "hunyuan_vl_text",
        "HunYuanVLText",
        HUNYUAN,
        class_defaults((32, 4096, 32, 11008, 290943), None, 2048, tie_word_embeddings=True),
    ),
)
