"""The families of models that a config.json can name. A new one is data here, not a branch elsewhere."""

from collections.abc import Mapping

from llmplanner.models.families import bart, bert, deepseek, gpt, llama, mixtures, t5
from llmplanner.models.families.dialect import Dialect

DIALECTS: Mapping[str, Dialect] = {
    dialect.model_type: dialect
    for family in (llama, gpt, mixtures, deepseek, bert, t5, bart)
    for dialect in family.DIALECTS
}
