"""The page of the optimizers, from the table that the planner itself goes by."""

from llmplanner.core.optimizer_state import Tensor
from llmplanner.core.optimizers import RULES

SHAPE = (4096, 4096)
MATRICES = ((1, Tensor(SHAPE, 4)), (1, Tensor(SHAPE, 2)))
HEAD = f"""# Optimizers

Written by `python -m docs.generate` from `llmplanner/core/optimizers.py`. What an optimizer keeps depends on
the shape of every tensor that is trained and on the format of its values. The columns in the middle show a
matrix of {SHAPE[0]:,} x {SHAPE[1]:,} inside a layer, in bytes for each of its values, with FP32 and with BF16
weights. "Step" is what the update makes beside that and drops. With an FP32 master copy
(`--precision bf16-master`) the FP32 columns count.

| `--optimizer` | name | state FP32 | state BF16 | step FP32 | step BF16 | source | measured |
|---|---|---|---|---|---|---|---|
"""


def optimizer_page() -> str:
    """One line for each optimizer."""
    lines = []
    for key, rule in RULES.items():
        state = [sum(kept.bytes(one) for kept in rule.kept) / one.elements for _, one in MATRICES]
        step = [sum(made.bytes for made in rule.made([pair])) / pair[1].elements for pair in MATRICES]
        cells = (
            f"`{key}`",
            rule.name,
            *(f"{size:.2f}".rstrip("0").rstrip(".") for size in (*state, *step)),
            rule.source,
            rule.measured or "not measured",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return HEAD + "\n".join(lines) + "\n"
