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
    classes: tuple[str, str],
    data: DecoderData,
    defaults: Mapping[str, object],
    **names: tuple[str, ...],
) -> Dialect:
    """`classes` builds the language model and the body; `names` are those of Dialect."""
    parts = dict(zip(classes, (Part.LANGUAGE_MODEL, Part.BODY), strict=True))
    return Dialect(model_type, defaults, SIZES, parts, partial(build, data), names)
