"""Master weights: the FP32 copy that the optimizer updates where the weights themselves have 16 bits.

Source: Micikevicius et al. 2018 (arXiv:1710.03740) section 3.1; ZeRO (arXiv:1910.02054) section 3.1 counts
them with the optimizer's state: 12 bytes for each parameter of Adam.
"""

from llmplanner.core import zero
from llmplanner.core.estimate import Part
from llmplanner.core.optimizer_state import FP32
from llmplanner.core.step import Step
from llmplanner.core.terms.optimizer import mastered
from llmplanner.core.zero import OPTIMIZER


def master_weights(step: Step) -> list[Part]:
    """The copy of the trained tensors; none where they are in FP32 themselves, or have no copy."""
    elements = mastered(step)
    if not elements:
        return []
    text = f"{FP32} B × {elements:,} parameters{zero.told(step, OPTIMIZER)}"
    return [Part("FP32 copy of the weights", zero.held(step, FP32 * elements, OPTIMIZER), text)]
