"""Rows of the table of measured training steps (training.csv), by what was trained and how.

Measured with Transformers 5.23.0 and PyTorch 2.13.0: real module code under fake tensors, every storage
counted from creation to release. Rows that this version does not answer are left out, see `answered`.
"""

from llmplanner.check.answer import Row
from llmplanner.check.row_model import model
from llmplanner.check.training import OPTIMIZERS
from llmplanner.check.training import train as step
from llmplanner.core.plan import Optimizer
from llmplanner.models.config import model_types
from tests.reference import rows

__all__ = ["DECODERS", "MASKED", "OPTIMIZERS", "ROWS", "Row", "answered", "model", "step"]


def answered(row: Row) -> bool:
    """Full training of a family and by an optimizer that the planner knows."""
    known = OPTIMIZERS[row["optimizer"]] in {one.value for one in Optimizer}
    return row["family"] in model_types() and not row["lora_r"] and known


ROWS = [row for row in rows("training.csv") if answered(row)]
MASKED = [row for row in ROWS if row["padding_mask"] == "1"]
DECODERS = [row for row in ROWS if row["family"] not in {"bert", "t5"}]
