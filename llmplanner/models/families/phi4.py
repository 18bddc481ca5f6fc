"""The text part of Phi-4-multimodal, under Transformers' name for it and under that of its own files.

Defaults: Transformers 5.23.0 class defaults. Tensor names: its classes.
"""

from dataclasses import replace

from llmplanner.core.model import Model
from llmplanner.models.entries import Entries
from llmplanner.models.families.decoder import build
from llmplanner.models.families.defaults import class_defaults, decoder
from llmplanner.models.families.dialect import Dialect, Part
from llmplanner.models.families.llama import PHI3


def _build(entries: Entries, part: Part) -> Model:
    note = (
        "The text part alone is counted: vision, audio and their adapters are not; "
        "open the weights to count all."
    )
    return replace(build(PHI3, entries, part), note=note)


def _dialect(model_type: str, classes: tuple[str, str], **entries: object) -> Dialect:
    sizes = (32, 3072, 32, 8192, 200064)
    defaults = class_defaults(sizes, 8, 131072, partial_rotary_factor=1.0, **entries)
    return replace(decoder(model_type, classes, PHI3, defaults), build=_build)


DIALECTS = (
    _dialect("phi4_multimodal", ("Phi4MultimodalForCausalLM", "Phi4MultimodalModel")),
    _dialect("phi4mm", ("Phi4MMForCausalLM", "Phi4MMModel")),
)
