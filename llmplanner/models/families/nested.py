"""Configs that wrap a language model: vision-language, audio and omni models state it in a table of its own.

The text types and what the wrapping classes tie by default are those of Transformers 5.23.0's configurations.
"""

from collections.abc import Mapping
from dataclasses import dataclass

INNER = ("text_config", "llm_config", "language_config")
THINKER = "thinker_config"  # Qwen's omni models: around the text_config
SHARED = ("dtype", "torch_dtype", "quantization_config")  # stated outside, and true of the inside
PARTS = {
    "vision_config": "vision",
    "visual": "vision",
    "audio_config": "audio",
    "speech_config": "speech",
    "encoder_config": "audio",  # Granite's speech models
    "talker_config": "speech output",
    "perceiver_config": "perceiver",
    "qformer_config": "query transformer",
    "img_processor": "vision",  # Phi-3-vision
    "mm_vision_tower": "vision",  # LLaVA before Transformers had it
}
BESIDE = (  # where the config has no table of the rest, as of Fuyu's matrix for patches
    "The text part alone is counted: what is beside it is not; open the weights to count all."
)
TEXT_TYPES: Mapping[str, str] = {
    "aria": "aria_text", "audioflamingo3": "qwen2", "aya_vision": "cohere2", "blip-2": "opt",
    "cohere2_vision": "cohere2", "cohere_compass": "cohere_compass_text", "cosmos3_omni": "qwen3_vl_text",
    "deepseek_vl": "llama", "deepseek_vl_hybrid": "llama", "dots3_note": "dots3_note_text",
    "emu3": "emu3_text_model", "ernie4_5_vl_moe": "ernie4_5_vl_moe_text", "exaone4_5": "exaone4",
    "fast_vlm": "qwen2", "florence2": "bart", "fun_asr_nano": "qwen3", "fuyu": "persimmon",
    "gemma3": "gemma3_text", "gemma3n": "gemma3n_text", "gemma4": "gemma4_text",
    "gemma4_unified": "gemma4_unified_text", "glm46v": "glm4v_text", "glm4v": "glm4v_text",
    "glm4v_moe": "glm4v_moe_text", "glm5_next": "glm5_next_text", "glm_ocr": "glm_ocr_text",
    "glmasr": "llama", "glmga": "glm4v_text", "got_ocr2": "qwen2", "granite4_vision": "granite4_vision_text",
    "granite_docling": "granite_docling_text", "granite_speech": "granite", "granite_speech_plus": "granite",
    "hunyuan_vl": "hunyuan_vl_text", "hyperclovax_vision_v2": "hyperclovax", "idefics2": "mistral",
    "idefics3": "llama", "inkling2": "inkling2_text", "inkling_mm_model": "inkling_text",
    "instructblip": "opt", "instructblipvideo": "opt", "internvl": "qwen2", "janus": "llama",
    "kimi_k25": "deepseek_v3", "lfm2_vl": "lfm2", "lfm3_vl": "lfm3", "lighton_ocr": "qwen3",
    "llama4": "llama4_text", "llava": "llama", "llava_llama": "llama",
    "llava_mistral": "mistral", "llava_qwen": "qwen2", "llava_next": "llama", "llava_next_video": "llama",
    "llava_onevision": "qwen2", "minicpmo": "qwen2", "minicpm_ocr": "qwen3_5_text",
    "minicpmv4_6": "qwen3_5_text",
    "minicpmv4_7": "qwen3_5_text", "minimax_m3_vl": "minimax_m3_vl_text", "mistral3": "mistral",
    "mistral_large4": "mistral_large4_text", "mllama": "mllama_text_model", "molmo2": "molmo2_text",
    "moss_transcribe_diarize": "qwen3", "muse_glimmer": "muse_glimmer_text", "muse_spark": "muse_spark_text",
    "musicflamingo": "qwen2", "nemo_speechlm": "nemotron_h", "nemotron_h_omni": "nemotron_h",
    "ovis2": "qwen2", "paddleocr_vl": "paddleocr_vl_text", "paligemma": "gemma", "perception_lm": "llama",
    "phi3_v": "phi3",
    "pp_chart2table": "qwen2", "qianfan_ocr": "qwen3", "qwen2_5_omni": "qwen2_5_omni_text",
    "qwen2_5_omni_thinker": "qwen2_5_omni_text", "qwen2_5_vl": "qwen2_5_vl_text", "qwen2_audio": "qwen2",
    "qwen2_vl": "qwen2_vl_text", "qwen3_5": "qwen3_5_text", "qwen3_5_moe": "qwen3_5_moe_text",
    "qwen3_asr": "qwen3", "qwen3_omni_moe": "qwen3_omni_moe_text",
    "qwen3_omni_moe_thinker": "qwen3_omni_moe_text", "qwen3_vl": "qwen3_vl_text",
    "qwen3_vl_moe": "qwen3_vl_moe_text", "qwen4_exp": "qwen4_exp_text", "shieldgemma2": "gemma3_text",
    "smolvlm": "llama", "step3p7": "step3p5", "vibevoice_asr": "qwen2", "video_llama_3": "qwen2",
    "video_llava": "llama", "vipllava": "llama", "voxtral": "llama",
}  # fmt: skip
TIED = frozenset(
    {"aya_vision", "cohere2_vision", "deepseek_vl", "deepseek_vl_hybrid", "ernie4_5_vl_moe", "florence2"}
    | {"fun_asr_nano", "gemma3", "gemma3n", "gemma4", "gemma4_unified", "glmasr", "got_ocr2"}
    | {"granite_docling", "granite_speech", "granite_speech_plus", "hunyuan_vl", "hyperclovax_vision_v2"}
    | {"internvl", "janus", "kimi_k25", "lfm2_vl", "lfm3_vl", "lighton_ocr", "minicpm_ocr", "mistral3"}
    | {"moss_transcribe_diarize", "ovis2", "paddleocr_vl", "paligemma", "pp_chart2table", "qwen3_asr"}
    | {"shieldgemma2"}
)
FROM_TEXT = frozenset(  # which tie where the table inside says so
    {"llava", "llava_next", "qwen2_vl", "qwen2_5_vl", "glm4v", "glm46v"}
)


@dataclass(frozen=True, slots=True)
class TextPart:
    """The config of the language model inside another, and what else the outer one states."""

    config: Mapping[str, object]
    note: str  # a sentence on the parts that it leaves out


def text_part(config: Mapping[str, object]) -> TextPart | None:
    """The language model that a config wraps; None where it is one itself."""
    outer = config.get("model_type")
    wrapper = outer if isinstance(outer, str) else ""
    thinker = config.get(THINKER)
    holder = thinker if isinstance(thinker, dict) else config
    tables = (holder.get(key) for key in INNER)
    inner: Mapping[str, object] | None = next((table for table in tables if isinstance(table, dict)), None)
    if inner is None:
        if wrapper not in TEXT_TYPES or "hidden_size" not in config:
            return None
        inner = config  # before Transformers 4.52 the language model's sizes stood outside
    table = {key: config[key] for key in SHARED if config.get(key) is not None}
    table |= {key: value for key, value in inner.items() if key not in {"architectures", *PARTS}}
    if inner is config or "model_type" not in inner:
        table["model_type"] = TEXT_TYPES.get(wrapper)
    tied = _tied(config, inner, wrapper)
    if tied is not None:
        table["tie_word_embeddings"] = tied
    return TextPart(table, left_out({**config, **holder}) or BESIDE)


def _tied(config: Mapping[str, object], inner: Mapping[str, object], wrapper: str) -> object:
    """Whether the head is the embedding: the outer file says so, else its class, else the inner file."""
    stated = config.get("tie_word_embeddings")
    if stated is not None:
        return stated
    if wrapper in TIED:
        return True
    if wrapper in TEXT_TYPES and wrapper not in FROM_TEXT:
        return False
    return inner.get("tie_word_embeddings")


def left_out(config: Mapping[str, object]) -> str:
    """A sentence on the parts of a config that are not its language model; empty where there are none."""
    parts = list(
        dict.fromkeys(name for key, name in PARTS.items() if isinstance(config.get(key), dict | str))
    )
    if not parts:
        return ""
    named = " and ".join([", ".join(parts[:-1]), parts[-1]] if parts[1:] else parts)
    which = "part is" if len(parts) == 1 else "parts are"
    return f"The text part alone is counted: its config's {named} {which} not; open the weights to count all."
