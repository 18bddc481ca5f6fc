"""Terms of a training step from their parts: sums, bounds and sources; and the weights, its first term."""

from collections.abc import Sequence
from dataclasses import dataclass

from llmplanner.core.autograd.tape import FP32
from llmplanner.core.estimate import Bytes, Part, Term, TermName, largest
from llmplanner.core.measured import EXACT, training, written_out
from llmplanner.core.optimizers import RULES
from llmplanner.core.plan import Lora, Split, Train
from llmplanner.core.step import Base, Step
from llmplanner.core.zero import WEIGHTS, share

WALKED = "PyTorch 2.13 and Transformers 5.23, walked operation by operation"
SOURCES: dict[TermName, str] = {
    "weights": "every parameter at the width that the precision gives it",
    "gradients": "one per trainable parameter (PyTorch's zero_grad drops them)",
    "master_weights": "Micikevicius et al. 2018 (arXiv:1710.03740) section 3.1",
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
OVER_DEVICES = "; over several devices as in {paper}: not measured, shown as a tenth more or less"
COUNTED = {"weights", "gradients", "optimizer", "master_weights"}  # the same where nothing is divided
SIXTEEN = 2  # bytes
TENTH = 10  # the band over several devices: a judgement, for want of measurements


@dataclass(frozen=True, slots=True)
class Estimated(Part):
    """A part that is known within bounds only."""

    low: Bytes
    high: Bytes


def weights(step: Step) -> list[Part]:
    """The parameters."""
    size, split = step.arithmetic.weight, step.split
    divided = f" / {split.data} devices" if split.zero >= WEIGHTS and split.data > 1 else ""
    if step.base is not None:
        parts: list[Part] = [_stored(step.base, step, divided)]
    else:
        amount = share(size * step.weights, split.data, split.zero, WEIGHTS)
        parts = [Part("parameters", amount, f"{size} B × {step.weights:,} parameters{divided}")]
    elements, size = step.added
    if elements:
        text = f"{size:,} B of {elements:,} parameters{divided}"
        parts.append(Part(_added(step.train), share(size, split.data, split.zero, WEIGHTS), text))
    return parts


def _stored(base: Base, step: Step, divided: str) -> "Estimated":
    """A quantized base; at most with its rest in FP32, as PEFT's prepare_model_for_kbit_training casts it."""
    amount, most = (
        share(size, step.split.data, step.split.zero, WEIGHTS)
        for size in (base.bytes, base.bytes + (FP32 - SIXTEEN) * base.wide)
    )
    text = f"{base.bytes:,} B of {step.weights:,} parameters as {base.name}{divided}"
    return Estimated("quantized base", amount, text, amount, most)


def _added(train: Train) -> str:
    """What the method adds, for people."""
    copies = isinstance(train.method, Lora) and train.method.embeddings
    return "adapters and trained copies" if copies else "adapters"


def term(name: TermName, parts: Sequence[Part], step: Step) -> Term:
    """The sum of the parts. A formula with more than one part names each."""
    amount, split = _sum([part.bytes for part in parts]), step.split
    low, high, note, measured = amount, amount, NOTES.get(name, ""), ""
    if name == "optimizer":
        rule = RULES[step.train.optimizer]
        source, note, measured = rule.source, rule.note, rule.measured
    else:
        source = SOURCES[name]
    if any(isinstance(part, Estimated) for part in parts):
        low = _sum([part.low if isinstance(part, Estimated) else part.bytes for part in parts])
        high = _sum([part.high if isinstance(part, Estimated) else part.bytes for part in parts])
    more = name == "activations" and len(parts) > 1  # than token numbers, which are counted
    known = training(step.model) if more else EXACT
    note = "" if name == "activations" and not more else note
    if known is not EXACT:
        low, high = low - amount * (100 - known.low) // 100, high + amount * (known.high - 100) // 100
        high, note = high + _without_kernels(step), known.note
    if len(parts) == 1:
        formula = parts[0].formula
    else:
        formula = " + ".join(f"{part.name} ({part.formula})" for part in parts)
    if _unmeasured(name, split):
        low, high = largest(low - amount // TENTH, 0 * low), high + amount // TENTH
        source += OVER_DEVICES.format(paper=_paper(split))
        note = note if name in COUNTED or known is not EXACT else ""
    return Term(name, amount, low, high, formula, source, note, tuple(parts), measured)


def _without_kernels(step: Step) -> Bytes:
    """What recurrent layers keep on top where no kernel is installed, in FP32."""
    groups = (group for stack in step.model.stacks for group in stack.groups)
    mixers = ((group.layer.recurrent, len(group.indices)) for group in groups)
    token = sum(count * written_out(mixer) for mixer, count in mixers if mixer is not None)
    return step.tokens * (FP32 * token)


def _unmeasured(name: TermName, split: Split) -> bool:
    """Whether the papers' rules stand in for a measurement: for all terms but exact counts of a whole."""
    divided = split.tensor > 1 or (split.data > 1 and split.zero > 0)
    return divided or (split.devices > 1 and name not in COUNTED)


def _paper(split: Split) -> str:
    papers = ["Megatron-LM (arXiv:1909.08053)"] if split.tensor > 1 else []
    if split.data > 1:
        papers.append("ZeRO (arXiv:1910.02054)" if split.zero else "PyTorch's DistributedDataParallel")
    return " and ".join(papers)


def _sum(amounts: Sequence[Bytes]) -> Bytes:
    total: Bytes = 0
    for amount in amounts:
        total = total + amount
    return total
