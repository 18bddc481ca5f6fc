"""The families of models that a config.json can name. A new one is data here, not a branch elsewhere."""

from collections.abc import Mapping

from llmplanner.models.families import llama
from llmplanner.models.families.dialect import Dialect

DIALECTS: Mapping[str, Dialect] = {
    dialect.model_type: dialect for family in (llama,) for dialect in family.DIALECTS
}
