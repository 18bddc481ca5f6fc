"""What a family of config.json files states: its classes, their defaults, what they are built as."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from llmplanner.core.model import Activation, Dropout, Model
from llmplanner.models.entries import Entries, shown

DEFAULTS_SOURCE = "Transformers 5.23.0 class defaults"


class Part(StrEnum):
    """How much of the architecture a class builds."""

    LANGUAGE_MODEL = "language model"  # with its output head
    PRETRAINING = "pre-training"  # with all heads of the original training
    BODY = "body"  # hidden states only
    ENCODER = "encoder"  # of an encoder-decoder, alone


@dataclass(frozen=True, slots=True)
class Dialect:
    """One model_type: its keys, its classes and how they are read.

    `sizes` are the entries that make up the model's size: a file that states most of them and lacks one is
    damaged, a file that states few of them relies on its class's defaults.
    """

    model_type: str
    defaults: Mapping[str, object]  # by the class's own names; source: DEFAULTS_SOURCE
    sizes: tuple[str, ...]  # common names
    classes: Mapping[str, Part]  # names in `architectures`; the first counts where the file has none
    build: Callable[[Entries, Part], Model]
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


ACTIVATIONS = {
    "relu": Activation.RELU,
    "relu2": Activation.RELU_SQUARED,
    "silu": Activation.SILU,
    "swish": Activation.SILU,
    "swigluoai": Activation.SILU,  # MiniMax-M3: cut off at a limit
    "situ": Activation.SILU,  # Kimi K3
    "gegelu": Activation.GELU_NEW,  # Phi-3-small: written out, cut off at a limit
    "gelu": Activation.GELU,
    "gelu_pytorch_tanh": Activation.GELU,
    "gelu_python": Activation.GELU_NEW,
    "gelu_new": Activation.GELU_NEW,
    "gelu_fast": Activation.GELU_NEW,
    "gelu_python_tanh": Activation.GELU_NEW,
    "quick_gelu": Activation.GELU_NEW,
    "xielu": Activation.XIELU,
    "bloom_gelu": Activation.GELU_BLOOM,
}


def activation(entries: Entries, name: str) -> Activation:
    """The activation function that an entry names; null means the class's own (early Gemma files)."""
    text = entries.defaults.get(entries.own(name)) if entries.raw(name) is None else entries.text(name)
    if not isinstance(text, str) or text not in ACTIVATIONS:
        raise entries.refuse(name, f"is {shown(text)}; the known ones are {', '.join(sorted(ACTIVATIONS))}")
    return ACTIVATIONS[text]


def dropout(entries: Entries, hidden: str | None, attention: str | None, embedding: str | None) -> Dropout:
    """The probabilities under the given names; 0 where a class has none."""
    hidden_p, attention_p, embedding_p = (
        entries.fraction(name) if name else 0.0 for name in (hidden, attention, embedding)
    )
    return Dropout(hidden_p, attention_p, embedding_p)


def dtype(entries: Entries) -> str:
    """The Format in which the config states its weights; BF16 where it names none."""
    name = "dtype" if "dtype" in entries.values else "torch_dtype"
    stated = entries.values.get(name)
    if stated is None or stated == "auto":
        return "bf16"
    known = {"float32": "fp32", "float16": "fp16", "bfloat16": "bf16", "float8_e4m3fn": "fp8-e4m3"}
    if not isinstance(stated, str) or stated.removeprefix("torch.") not in known:
        raise entries.refuse(
            name, f"is {shown(stated)}, not one of {', '.join(known)}; correct it or take it out"
        )
    return known[stated.removeprefix("torch.")]
