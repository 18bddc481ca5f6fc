"""The language model of Llama 3.2 Vision, some of whose layers read the image alone.

Defaults and tensor names: Transformers 5.23.0, MllamaTextConfig and MllamaForCausalLM. Without an image the
class passes over those layers; what they cache is of the image's tokens, not of the text's.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from llmplanner.core.model import Attention, Layer, Model, Norm, NormKind, Parameter
from llmplanner.models.entries import Entries
from llmplanner.models.families.decoder import DecoderData, build
from llmplanner.models.families.defaults import class_defaults, decoder
from llmplanner.models.families.dialect import Part
from llmplanner.models.families.llama import LLAMA

SPECIAL = 8  # rows of the embedding beyond the vocabulary, for the image's marks
CROSSED = (3, 8, 13, 18, 23, 28, 33, 38)


def _kind(entries: Entries, index: int) -> Mapping[str, object]:
    crossed = (
        entries.indices("cross_attention_layers") if entries.stated("cross_attention_layers") else CROSSED
    )
    return {"reads the image": index in crossed}


def _crossed(entries: Entries, layer: Layer) -> Layer:
    """Of a layer that reads the image: its attention as bare parameters, with norms and two gates."""
    attention = layer.attention
    if not entries.flag("reads the image") or not isinstance(attention, Attention):
        return layer
    parts = tuple(
        replace(linear, name=linear.name.replace("self_attn", "cross_attn"))
        for linear in (*attention.inputs, attention.output)
    )
    norms = tuple(Norm(f"cross_attn.{name}_norm", NormKind.RMS, attention.key_dim) for name in "qk")
    gates = tuple(Parameter(f"cross_attn_{name}_gate", (1,)) for name in ("attn", "mlp"))
    before = (layer.attention_norm,) if layer.attention_norm is not None else ()
    return replace(layer, attention=None, attention_norm=None, extras=(*parts, *norms, *gates, *before))


def _with_marks(data: DecoderData, entries: Entries, part: Part) -> Model:
    """The decoder, whose embedding has rows that its head has not. Raises BadInput."""
    model = build(data, entries.with_values({"tie_word_embeddings": False}), part)
    table = model.token_embedding
    return replace(model, token_embedding=replace(table, rows=table.rows + SPECIAL))


MLLAMA = replace(
    LLAMA,
    input_bias=False,
    output_bias=False,
    feed_forward_bias=False,
    head_dim=False,
    per_layer=_kind,
    finish=_crossed,
)

DIALECTS = (
    replace(
        decoder(
            "mllama_text_model",
            ("MllamaForCausalLM", "MllamaTextModel"),
            MLLAMA,
            class_defaults((40, 4096, 32, 14336, 128256), 8, 131072),
            also=("MllamaForConditionalGeneration",),
        ),
        build=partial(_with_marks, MLLAMA),
    ),
)
