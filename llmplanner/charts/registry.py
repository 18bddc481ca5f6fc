"""The charts by name, as `llmplanner chart --list` tells them. Whoever has the data calls the builder."""

from collections.abc import Mapping
from types import MappingProxyType

CHARTS: Mapping[str, str] = MappingProxyType(
    {
        "memory": "Memory on each device, against the card's limit",
        "phases": "Memory of one device, phase by phase",
        "bits": "One number in every format, bit by bit",
        "ranges": "Where the values of each format lie",
        "formats": "The model's memory at each format",
        "budget": "Training compute of the plan among published runs",
        "limits": "Which limit binds: hardware, time or money",
        "scaling": "Parameters and tokens, with the compute-optimal lines",
        "loss": "Predicted loss against compute, data and parameters",
    }
)
