"""The families of models that a config.json can name. A new one is data here, not a branch elsewhere.

A family's file is loaded when a config first names one of its types: all of them together would be a large
part of the program's start.
"""

from collections.abc import Iterator, Mapping
from importlib import import_module

from llmplanner.models.families.dialect import Dialect

FILES: Mapping[str, str] = {  # the types that each file describes
    "llama": "llama mistral qwen2 qwen3 gemma gemma2 gemma3_text phi3",
    "llama_kin": (
        "granite granite_swa ministral ministral3 smollm3 helium arcee apertus seed_oss internlm3 "
        "iquestcoder cwm ernie4_5 hunyuan_v1_dense hyperclovax glm glm4 olmo2 olmo3 exaone4 "
        "vaultgemma nanochat bitnet diffllama doge"
    ),
    "layer_norm": "olmo cohere cohere2 cohere_compass_text phi persimmon stablelm starcoder2 nemotron jais2",
    "gpt": "gpt2 gpt_neox opt bloom",
    "gpt_kin": ("gpt-sw3 gpt_neo gptj codegen gpt_bigcode openai-gpt ctrl xglm biogpt mpt gpt_neox_japanese"),
    "enlarged": "cpmant moshi",
    "xlnet": "xlnet",
    "phi4": "phi4_multimodal phi4mm",
    "uneven": "deci nemotron-nas openelm",
    "remote": (
        "qwen phi3small internlm internlm2 baichuan chatglm aquila xverse orion Yi mimo solar minicpm "
        "exaone stablelm_epoch"
    ),
    "modernbert_decoder": "modernbert-decoder",
    "falcon": "falcon RefinedWebModel RefinedWeb",
    "mixture_types": (
        "mixtral qwen3_moe qwen3_vl_moe_text qwen2_moe phimoe olmoe flex_olmo minimax_m2 gpt_oss "
        "granitemoe granitemoeshared granitemoe_swa glm4_moe solar_open dots1 hy_v3 exaone_moe "
        "afmoe aria_text ernie4_5_moe hunyuan_v1_moe llama4_text glm4v_moe_text "
        "deepseek_ocr2_text unlimited_ocr_text"
    ),
    "layered_types": "mimo_v2_flash laguna mellum flint kolibri1 beam cohere2_moe step3p5 minimax_m3_vl_text",
    "deepseek": (
        "deepseek_v2 deepseek_v3 deepseek_v32 glm_moe_dsa glm4_moe_lite mistral4 axk1 axk2 minicpm3 youtu"
    ),
    "hyper": "deepseek_v4 hy_v4",
    "latent_kin": "mistral_large4_text dots3_note_text",
    "odd_mixtures": "dbrx longcat_flash ernie4_5_vl_moe_text",
    "remote_mixtures": "kimi_k2 deepseek bailing_moe bailing_moe_v2",
    "mamba": "mamba falcon_mamba mamba2",
    "hybrid": "bamba jamba falcon_h1 granitemoehybrid",
    "vision_text": (
        "qwen2_vl_text qwen2_5_vl_text qwen2_5_omni_text qwen3_vl_text qwen3_omni_moe_text "
        "glm4v_text glm_ocr_text paddleocr_vl_text emu3_text_model granite4_vision_text "
        "granite_docling_text hunyuan_vl_text"
    ),
    "mllama": "mllama_text_model",
    "zamba": "zamba zamba2",
    "delta": "qwen3_next qwen3_5_text qwen3_5_moe_text olmo_hybrid",
    "qwen4": "qwen4_exp_text",
    "kimi": "kimi_linear bailing_hybrid",
    "glm_next": "glm5_next_text",
    "nemotron": "nemotron_h",
    "convolutions": "lfm2 lfm2_moe lfm3",
    "recurrences": "recurrent_gemma minimax minimax_text_01 minimax_m1 xlstm",
    "rwkv": "rwkv",
    "zaya": "zaya",
    "gemma_n": "gemma3n_text gemma4_text gemma4_unified_text",
    "bert": (
        "bert ernie roberta xlm-roberta camembert data2vec-text roberta-prelayernorm xlm-roberta-xl "
        "electra albert distilbert megatron-bert mpnet"
    ),
    "encoder_kin": (
        "nomic_bert gte new jina_embeddings_v3 layoutlm roformer rembert big_bird longformer nystromformer "
        "mra yoso ibert roc_bert convbert esm"
    ),
    "deberta": "deberta-v2 deberta",
    "modernbert": "modernbert eurobert",
    "t5": "t5 mt5 umt5 longt5 switch_transformers",
    "bart": (
        "bart mbart plbart mvp pegasus pegasus_x bigbird_pegasus blenderbot blenderbot-small marian led "
        "m2m_100 nllb-moe"
    ),
    "t5gemma": "t5gemma",
    "whisper": "whisper",
    "by_tensors": "gguf",
}


class _Dialects(Mapping[str, Dialect]):
    """Every known model_type, and what its family says of it."""

    def __init__(self) -> None:
        self._files = {model_type: file for file, types in FILES.items() for model_type in types.split()}

    def __getitem__(self, model_type: str) -> Dialect:
        found: tuple[Dialect, ...] = import_module(f"{__name__}.{self._files[model_type]}").DIALECTS
        return next(dialect for dialect in found if dialect.model_type == model_type)

    def __contains__(self, model_type: object) -> bool:
        return model_type in self._files

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)


DIALECTS: Mapping[str, Dialect] = _Dialects()
