"""The families of models that a config.json can name. A new one is data here, not a branch elsewhere."""

from collections.abc import Mapping

from llmplanner.models.families import (
    bart,
    bert,
    by_tensors,
    convolutions,
    deepseek,
    delta,
    falcon,
    gemma_n,
    gpt,
    gpt_kin,
    hybrid,
    hyper,
    layer_norm,
    llama,
    llama_kin,
    mamba,
    mixture_types,
    modernbert_decoder,
    odd_mixtures,
    phi4,
    recurrences,
    remote,
    remote_mixtures,
    rwkv,
    t5,
    uneven,
    vision_text,
    xlnet,
    zamba,
    zaya,
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
        xlnet,
        phi4,
        uneven,
        remote,
        modernbert_decoder,
        falcon,
        mixture_types,
        deepseek,
        hyper,
        odd_mixtures,
        remote_mixtures,
        mamba,
        hybrid,
        vision_text,
        zamba,
        delta,
        convolutions,
        recurrences,
        rwkv,
        zaya,
        gemma_n,
        bert,
        t5,
        bart,
        by_tensors,
    )
    for dialect in family.DIALECTS
}
