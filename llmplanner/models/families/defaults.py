"""Declares a decoder's model_type: its classes, its class defaults, its data."""

from collections.abc import Mapping
from functools import partial

from llmplanner.models.families.decoder import DecoderData, build
from llmplanner.models.families.dialect import Dialect, Part

SIZES = ("num_hidden_layers", "hidden_size", "num_attention_heads", "intermediate_size", "vocab_size")


def class_defaults(
    sizes: tuple[int, int, int, int | None, int], kv_heads: int | None, context: int, **more: object
) -> Mapping[str, object]:
    """A class's defaults: the five sizes in the order of SIZES, then the rest."""
    return {
        **dict(zip(SIZES, sizes, strict=True)),
        "num_key_value_heads": kv_heads,
        "max_position_embeddings": context,
        "hidden_act": "silu",
        "hidden_activation": "gelu_pytorch_tanh",
        "tie_word_embeddings": False,
        "attention_bias": False,
        "mlp_bias": False,
        "attention_dropout": 0.0,
        **more,
    }


def decoder(
    model_type: str,
    classes: str | tuple[str, str],
    data: DecoderData,
    defaults: Mapping[str, object],
    also: tuple[str, ...] = (),
    **names: tuple[str, ...],
) -> Dialect:
    """A model_type whose `classes` build the language model and the body: "Llama" for the usual names.

    `also` are other names of the language model; `names` those of Dialect; `defaults` may go by the common
    names. The sizes that a whole file states are those which the class has a number for.
    """
    if isinstance(classes, str):
        classes = (f"{classes}ForCausalLM", f"{classes}Model")
    parts = dict(zip(classes, (Part.LANGUAGE_MODEL, Part.BODY), strict=True))
    parts |= dict.fromkeys(also, Part.LANGUAGE_MODEL)
    own = {names.get(name, (name,))[0]: value for name, value in defaults.items()}
    sizes = tuple(name for name in SIZES if defaults.get(name) is not None)
    return Dialect(model_type, own, sizes, parts, partial(build, data), names)
