"""Terms of a training step from their parts: sums, bounds and sources; and the weights, its first term."""

from collections.abc import Sequence
from dataclasses import dataclass

from llmplanner.core import zero
from llmplanner.core.autograd.tape import FP32
from llmplanner.core.estimate import Bytes, Part, Term, TermName, largest
from llmplanner.core.measured import EXACT, training, written_out
from llmplanner.core.plan import Lora, Split, Train
from llmplanner.core.step import Base, Step
from llmplanner.core.terms.receipts import receipt
from llmplanner.core.zero import WEIGHTS

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
    size, divided = step.arithmetic.weight, zero.told(step, WEIGHTS)
    if step.base is not None:
        parts: list[Part] = [_stored(step.base, step, divided)]
    else:
        amount = zero.held(step, size * step.weights, WEIGHTS)
        parts = [Part("parameters", amount, f"{size} B × {step.weights:,} parameters{divided}")]
    amount = step.model.buffers + size * step.model.cast_buffers
    if amount:
        parts.append(Part("buffers", amount, f"{amount:,} B of masks or tables of sines"))
    elements, size = step.added
    if elements:
        text = f"{size:,} B of {elements:,} parameters{divided}"
        parts.append(Part(_added(step.train), zero.held(step, size, WEIGHTS), text))
    return parts


def _stored(base: Base, step: Step, divided: str) -> "Estimated":
    """A quantized base; at most with its rest in FP32, and with routed experts in 16 bits."""
    whole = base.bytes + (FP32 - SIXTEEN) * base.wide + base.unpacked
    amount, most = (zero.held(step, size, WEIGHTS) for size in (base.bytes, whole))
    text = f"{base.bytes:,} B of {step.weights:,} parameters as {base.name}{divided}"
    return Estimated("quantized base", amount, text, amount, most)


def _added(train: Train) -> str:
    """What the method adds, for people."""
    copies = isinstance(train.method, Lora) and train.method.embeddings
    return "adapters and trained copies" if copies else "adapters"


def term(name: TermName, parts: Sequence[Part], step: Step) -> Term:
    """The sum of the parts. A formula with more than one part names each."""
    amount, split = _sum([part.bytes for part in parts]), step.split
    low, high, said = amount, amount, receipt(name, step)
    if any(isinstance(part, Estimated) for part in parts):
        low = _sum([part.low if isinstance(part, Estimated) else part.bytes for part in parts])
        high = _sum([part.high if isinstance(part, Estimated) else part.bytes for part in parts])
    more = name == "activations" and len(parts) > 1  # than token numbers, which are counted
    fp8 = step.arithmetic.fp8
    kernels, packed = step.train.kernels, step.base is not None
    known = training(step.model, kernels=kernels, packed=packed, fp8=fp8) if more else EXACT
    note, source, measured = said.note, said.source, said.measured
    if known is not EXACT:
        low, high = low - amount * (100 - known.low) // 100, high + amount * (known.high - 100) // 100
        high, note, measured = high + _without_kernels(step), known.note, ""
    if len(parts) == 1:
        formula = parts[0].formula
    else:
        formula = " + ".join(f"{part.name} ({part.formula})" for part in parts)
    if _unmeasured(name, split):
        low, high = largest(low - amount // TENTH, 0 * low), high + amount // TENTH
        source += OVER_DEVICES.format(paper=_paper(name, split))
        note = note if name in COUNTED or known is not EXACT else ""
        measured = ""
    return Term(name, amount, low, high, formula, source, note, tuple(parts), measured, said.change)


def _without_kernels(step: Step) -> Bytes:
    """What recurrent layers keep on top where no kernel is installed, in FP32, if it is not told already."""
    groups = (group for stack in step.model.stacks for group in stack.groups)
    mixers = ((group.layer.recurrent, len(group.indices)) for group in groups)
    token = sum(
        count * written_out(mixer)
        for mixer, count in mixers
        if mixer is not None and mixer.state and (step.train.kernels or mixer.scan is None)
    )
    return step.tokens * (FP32 * token)


def _unmeasured(name: TermName, split: Split) -> bool:
    """Whether the papers' rules stand in for a measurement: for all terms but exact counts of a whole."""
    whole = split.devices == split.data and split.zero == 0  # copies of the model side by side
    return split.devices > 1 and not (whole and name in COUNTED)


def _paper(name: TermName, split: Split) -> str:
    """Whose rules divide the term, or say what it is between devices."""
    sharded = "ZeRO (arXiv:1910.02054)" if split.zero else "PyTorch's DistributedDataParallel"
    of_tokens = name in {"activations", "logits", "communication"}
    papers = (
        (split.tensor, "Megatron-LM (arXiv:1909.08053)"),
        (split.tensor * split.sequence_parallel * of_tokens, "Korthikanti et al. 2022 (arXiv:2205.05198)"),
        (split.pipeline, "Narayanan et al. 2021 (arXiv:2104.04473)"),
        (split.context * of_tokens, "Ring Attention (arXiv:2310.01889)"),
        (split.expert, "GShard (arXiv:2006.16668)"),
        (split.replicas * (name not in {"activations", "logits"}), sharded),
    )
    used = [paper for size, paper in papers if size > 1]
    return ", ".join(used) or sharded


def _sum(amounts: Sequence[Bytes]) -> Bytes:
    total: Bytes = 0
    for amount in amounts:
        total = total + amount
    return total
