"""The families of models that a config.json can name. A new one is data here, not a branch elsewhere."""

from collections.abc import Mapping

from llmplanner.models.families import (
    bart,
    bert,
    deepseek,
    falcon,
    gpt,
    gpt_kin,
    layer_norm,
    llama,
    llama_kin,
    mixture_types,
    modernbert_decoder,
    t5,
)
from llmplanner.models.families.dialect import Dialect

DIALECTS: Mapping[str, Dialect] = {
    dialect.model_type: dialect
    for family in (
        llama,
        llama_kin,
        layer_norm,
        gpt,
        gpt_kin,
        modernbert_decoder,
        falcon,
        mixture_types,
        deepseek,
        bert,
        t5,
        bart,
    )
    for dialect in family.DIALECTS
}
