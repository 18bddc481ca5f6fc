"""Terms of a training step from their parts: sums, bounds and sources; and the weights, its first term."""

from collections.abc import Sequence
from dataclasses import dataclass

from llmplanner.core.estimate import Bytes, Part, Term, TermName
from llmplanner.core.plan import Split
from llmplanner.core.step import Step
from llmplanner.core.zero import WEIGHTS, share

WALKED = "PyTorch 2.13 and Transformers 5.23, walked operation by operation"
SOURCES: dict[TermName, str] = {
    "weights": "every parameter at the width that the precision gives it",
    "gradients": "one per trainable parameter (PyTorch's zero_grad drops them)",
    "optimizer": "state of PyTorch 2.13's optimizers",
    "activations": WALKED,
    "logits": WALKED,
    "temporaries": WALKED,
    "communication": "documentation of PyTorch's DDP and FSDP; NVIDIA/nccl issues 864 and 964",
}
NOTES: dict[TermName, str] = {
    "weights": "Buffers, some kilobytes, are left out.",
    "gradients": "Freed before the forward pass.",
    "activations": "Equal to the byte to what was measured in over a thousand steps of twelve families.",
    "temporaries": "Alive at this moment only.",
}
DIVIDED = (
    "; divided as in ZeRO (arXiv:1910.02054) or Megatron-LM (arXiv:1909.08053): not measured, "
    "shown as a tenth more or less"
)
BY_ZERO = {"weights", "gradients", "optimizer", "temporaries"}
TENTH = 10  # the band of what is divided: a judgement, for want of measurements


@dataclass(frozen=True, slots=True)
class Estimated(Part):
    """A part that is known within bounds only."""

    low: Bytes
    high: Bytes


def weights(step: Step) -> list[Part]:
    """The parameters."""
    size, split = step.arithmetic.weight, step.split
    divided = f" / {split.data} devices" if split.zero >= WEIGHTS and split.data > 1 else ""
    amount = share(size * step.parameters, split.data, split.zero, WEIGHTS)
    return [Part("parameters", amount, f"{size} B × {step.parameters:,} parameters{divided}")]


def term(name: TermName, parts: Sequence[Part], split: Split) -> Term:
    """The sum of the parts. A formula with more than one part names each."""
    amount = _sum([part.bytes for part in parts])
    low = high = amount
    if any(isinstance(part, Estimated) for part in parts):
        low = _sum([part.low if isinstance(part, Estimated) else part.bytes for part in parts])
        high = _sum([part.high if isinstance(part, Estimated) else part.bytes for part in parts])
    if len(parts) == 1:
        formula = parts[0].formula
    else:
        formula = " + ".join(f"{part.name} ({part.formula})" for part in parts)
    source = SOURCES[name]
    if split.tensor > 1 or (split.data > 1 and split.zero > 0 and name in BY_ZERO):
        low, high, source = low - amount // TENTH, high + amount // TENTH, source + DIVIDED
    return Term(name, amount, low, high, formula, source, NOTES.get(name, ""), tuple(parts))


def _sum(amounts: Sequence[Bytes]) -> Bytes:
    total: Bytes = 0
    for amount in amounts:
        total = total + amount
    return total
