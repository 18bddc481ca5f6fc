"""Config files as people have them on disk: released ones, and the files beside them."""

import pytest

from llmplanner.core.errors import BadInput
from llmplanner.core.tensors import parameters
from llmplanner.models.config import from_config

DEEPSEEK_VL2_TINY = {
    "model_type": "deepseek_vl_v2",
    "language_config": {
        "model_type": "deepseek_v2", "use_mla": False, "kv_lora_rank": None, "q_lora_rank": None,
        "qk_nope_head_dim": 0, "qk_rope_head_dim": 0, "v_head_dim": 0, "hidden_size": 1280,
        "intermediate_size": 6848, "moe_intermediate_size": 896, "num_hidden_layers": 12,
        "num_attention_heads": 10, "num_key_value_heads": 10, "n_routed_experts": 64, "n_shared_experts": 2,
        "num_experts_per_tok": 6, "first_k_dense_replace": 1, "vocab_size": 129280,
    },
    "vision_config": {"width": 1152},
}  # fmt: skip
META_8B = {  # the params.json of Llama 3.1 8B
    "dim": 4096, "n_layers": 32, "n_heads": 32, "n_kv_heads": 8, "vocab_size": 128256,
    "ffn_dim_multiplier": 1.3, "multiple_of": 1024, "norm_eps": 1e-05, "rope_theta": 500000.0,
}  # fmt: skip
MIXTRAL = {  # the params.json of Mixtral 8x7B
    "dim": 4096, "n_layers": 32, "head_dim": 128, "hidden_dim": 14336, "n_heads": 32, "n_kv_heads": 8,
    "vocab_size": 32000, "moe": {"num_experts_per_tok": 2, "num_experts": 8},
}  # fmt: skip
MINICPM_O = {  # MiniCPM-o 2.6, on Qwen2.5 7B
    "model_type": "minicpmo", "architectures": ["MiniCPMO"], "hidden_size": 3584, "vocab_size": 151700,
    "intermediate_size": 18944, "num_hidden_layers": 28, "num_attention_heads": 28, "num_key_value_heads": 4,
    "tie_word_embeddings": False, "vision_config": {"hidden_size": 1152}, "audio_config": {"d_model": 1024},
}  # fmt: skip
MINIMAX_M3 = {
    "architectures": ["MiniMaxM3ForCausalLM"], "model_type": "minimax_m3", "hidden_act": "swigluoai",
    "hidden_size": 6144, "intermediate_size": 3072, "dense_intermediate_size": 12288, "head_dim": 128,
    "num_attention_heads": 64, "num_key_value_heads": 4, "num_hidden_layers": 60, "num_local_experts": 128,
    "num_experts_per_tok": 4, "shared_intermediate_size": 3072, "n_shared_experts": 1, "vocab_size": 200064,
    "moe_layer_freq": [0] * 3 + [1] * 57, "tie_word_embeddings": False,
}  # fmt: skip
KIMI_K3 = {
    "model_type": "kimi_k3",
    "text_config": {
        "model_type": "kimi_linear", "hidden_act": "situ", "hidden_size": 7168, "intermediate_size": 33792,
        "first_k_dense_replace": 1, "kv_lora_rank": 512, "q_lora_rank": 1536, "qk_nope_head_dim": 128,
        "qk_rope_head_dim": 64, "v_head_dim": 128, "mla_use_output_gate": True, "moe_intermediate_size": 3072,
        "num_attention_heads": 96, "num_key_value_heads": 96, "num_hidden_layers": 93, "num_experts": 896,
        "num_experts_per_token": 16, "num_shared_experts": 2, "routed_expert_hidden_size": 3584,
        "vocab_size": 163840, "linear_attn_config": {
            "full_attn_layers": [*range(4, 93, 4), 93], "kda_layers": [n for n in range(1, 93) if n % 4],
            "head_dim": 128, "num_heads": 96, "short_conv_kernel_size": 4, "use_full_rank_gate": True,
        },
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("config", "published"),
    [
        pytest.param(DEEPSEEK_VL2_TINY, 3.37e9 - 0.42e9, id="DeepSeek-VL2-Tiny without its vision part"),
        pytest.param(META_8B, 8_030_261_248, id="Llama-3.1-8B by Meta's own file"),
        pytest.param(MIXTRAL, 46_702_792_704, id="Mixtral by Mistral's own file"),
        pytest.param(MINICPM_O, 7.61e9, id="MiniCPM-o without its vision and audio"),
        pytest.param(MINIMAX_M3, 426e9, id="MiniMax-M3"),
        pytest.param(KIMI_K3, 2.78e12, id="Kimi-K3"),
    ],
)
def test_agrees_with_the_published_size(config: dict[str, object], published: float) -> None:
    counted = parameters(from_config(config, "a", "a.json")).total
    assert counted == pytest.approx(published, rel=0.01)


def test_says_what_of_a_config_is_guessed() -> None:
    assert from_config(KIMI_K3, "a", "a.json").note.startswith("An estimate:")
    assert "is read as minimax_m3_vl_text, whose class it names" in from_config(MINIMAX_M3, "a", "").note


@pytest.mark.parametrize("wrapper", ["minicpmo", "of my own"])
def test_says_what_is_left_out_of_a_flat_config(wrapper: str) -> None:
    note = from_config({**MINICPM_O, "model_type": wrapper}, "a", "a.json").note
    assert "its config's vision and audio parts are not" in note


@pytest.mark.parametrize("model_type", ["clip", "siglip_vision_model", "wav2vec2", "vit"])
def test_takes_no_encoder_of_images_or_sounds_for_a_decoder(model_type: str) -> None:
    config = {"model_type": model_type, "hidden_size": 512, "num_attention_heads": 8, "vocab_size": 49408}
    with pytest.raises(BadInput, match=f'"{model_type}" is no language model; only those are read'):
        from_config({**config, "num_hidden_layers": 12}, "a", "a.json")


def test_takes_no_class_whose_sizes_are_not_there() -> None:
    short = {"architectures": ["LlamaForCausalLM"], "model_type": "of my own", "hidden_size": 64}
    with pytest.raises(BadInput, match="lacks the sizes of a decoder"):
        from_config(short, "a", "a.json")


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>"}, "describes a tokenizer; open the config"),
        ({"eos_token_id": 2, "temperature": 0.6}, "says how text is generated; open the config.json beside"),
        ({"image_processor_type": "CLIPImageProcessor"}, "how images or sounds are prepared"),
        ({"producer": {}, "quantization": {"quant_algo": "FP8"}}, "how the weights are quantized"),
        ({"weight_map": {}}, "lists where tensors lie"),
        ({"_class_name": "StableDiffusionPipeline"}, "only language models are read"),
        (
            {"peft_type": "LORA", "base_model_name_or_path": "meta-llama/Llama-2-7b-hf", "r": 8},
            'open the config.json of its base model, "meta-llama/Llama-2-7b-hf"',
        ),
        ({"anything": 1}, "model_type is missing"),
    ],
)
def test_tells_the_other_files_of_a_folder(config: dict[str, object], sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        from_config(config, "a", "a.json")
