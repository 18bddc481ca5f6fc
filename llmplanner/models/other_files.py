"""The other JSON files of a model's folder, which people open in place of its config.json."""

from collections.abc import Mapping

from llmplanner.models.entries import shown

BESIDE = "open the config.json beside it"
KINDS: tuple[tuple[tuple[str, ...], str], ...] = (  # the keys that give a file away, and what it is
    (
        ("tokenizer_class", "added_tokens_decoder", "model_max_length", "add_bos_token", "chat_template"),
        f"it describes a tokenizer; {BESIDE}",
    ),
    (
        ("image_processor_type", "feature_extractor_type", "processor_class", "image_mean"),
        f"it describes how images or sounds are prepared; {BESIDE}",
    ),
    (("_class_name", "_diffusers_version"), "it describes a diffusion model; only language models are read"),
    (("producer", "quantization"), f"it says how the weights are quantized; {BESIDE}"),
    (("weight_map",), "it lists where tensors lie; name it model.safetensors.index.json, or " + BESIDE),
    (
        ("temperature", "top_p", "max_new_tokens", "do_sample", "max_length", "eos_token_id"),
        f"it says how text is generated; {BESIDE}",
    ),
)


def what_it_is(config: Mapping[str, object]) -> str | None:
    """What a file without a model_type is instead, and what to open; None where that is not known."""
    if "peft_type" in config:
        base = config.get("base_model_name_or_path")
        named = f", {shown(base)}" if isinstance(base, str) and base else ""
        kind = f"it describes an adapter ({shown(config['peft_type'])})"
        return f"{kind}; open the config.json of its base model{named}"
    return next((kind for keys, kind in KINDS if any(key in config for key in keys)), None)
