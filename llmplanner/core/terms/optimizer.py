"""Optimizer state and what its step makes: the rules of core/optimizers.py over the trained tensors."""

from collections.abc import Iterator

from llmplanner.core import zero
from llmplanner.core.autograd.tape import Weight
from llmplanner.core.autograd.trace import Place
from llmplanner.core.estimate import Part
from llmplanner.core.optimizer_state import FP32, Kept, Tensor
from llmplanner.core.optimizers import RULES, Rule
from llmplanner.core.plan import Precision, Sharding
from llmplanner.core.step import Step
from llmplanner.core.terms.trained import Estimated
from llmplanner.core.zero import OPTIMIZER, WEIGHTS

Tensors = list[tuple[int, Tensor]]
TENTH = 10  # the band of what nobody has measured: a judgement
SUB_GROUP = 10**9  # elements: DeepSpeed's sub_group_size


def rule_of(step: Step) -> Rule:
    """The optimizer's rule."""
    return RULES[step.train.optimizer]


def trained(step: Step) -> Tensors:
    """How many there are of each trained tensor, in their order; in FP32 where there is a master copy."""
    master = step.train.precision is Precision.BF16_MASTER
    return [
        (count, Tensor(weight.shape, FP32 if master else weight.size, hidden))
        for count, weight, hidden in _weights(step)
    ]


def mastered(step: Step) -> int:
    """Elements that have an FP32 master copy: of trained tensors that have fewer bits themselves."""
    if step.train.precision is not Precision.BF16_MASTER:
        return 0
    return sum(count * weight.elements for count, weight, _ in _weights(step) if weight.size < FP32)


def _weights(step: Step) -> Iterator[tuple[int, Weight, bool]]:
    """How many there are of each trained tensor, and whether it belongs to a layer."""
    for each in step.traced:
        hidden, count = each.place is Place.LAYERS, each.distinct(each.count)
        for weight in each.parameters:
            if weight.trained:
                yield count, weight, hidden


def state(step: Step) -> list[Part]:
    """What the optimizer keeps from step to step."""
    tensors = trained(step)
    return [part for kept in rule_of(step).kept if (part := _kept(kept, tensors, step)) is not None]


def _kept(kept: Kept, tensors: Tensors, step: Step) -> Part | None:
    """One kind of state of all tensors; None where no tensor has it."""
    sizes = [(count, one, kept.bytes(one)) for count, one in tensors]
    whole = sum(count * size for count, _, size in sizes)
    if not whole:
        return None
    having = [(count, one) for count, one, size in sizes if size]
    amount = zero.held(step, whole, OPTIMIZER)
    text = kept.words.format(
        size=_size({one.size for _, one in having}),
        elements=f"{sum(count * one.elements for count, one in having):,} parameters",
        tensors=_many(sum(count for count, _ in having)),
    )
    text += zero.told(step, OPTIMIZER)
    if kept.moves is not None:
        stays = sum(count * size for count, one, size in sizes if one.elements < kept.moves)
        return Estimated(kept.name, amount, text, zero.held(step, stays, OPTIMIZER), amount)
    if not rule_of(step).measured:
        return Estimated(kept.name, amount, text, amount - amount // TENTH, amount + amount // TENTH)
    return Part(kept.name, amount, text)


def _size(sizes: set[int]) -> str:
    return " or ".join(f"{size} B" for size in sorted(sizes))


def _many(count: int) -> str:
    return f"{count:,} tensor" + ("" if count == 1 else "s")


def temporaries(step: Step) -> list[Part]:
    """What the update makes and drops, and the gradients' FP32 copy where the weights have one."""
    if step.split.offloads(OPTIMIZER):
        return []
    rule, parts = rule_of(step), _cast_gradients(step)
    tensors = trained(step)
    if not tensors:
        return parts
    for made in rule.made(tensors):
        amount = zero.held(step, made.bytes, OPTIMIZER) if made.whole else made.bytes
        text = made.words + (zero.told(step, OPTIMIZER) if made.whole else "")
        if rule.measured:
            parts.append(Part(made.name, amount, text))
        else:
            parts.append(Estimated(made.name, amount, text, 0, 2 * amount))
    return parts


def _cast_gradients(step: Step) -> list[Part]:
    """A master copy is updated by FP32 gradients (Micikevicius et al. 2018, arXiv:1710.03740, sec. 3.1).

    DeepSpeed lays the gradients end to end first; ZeRO 3 does it for a group of parameters at a time
    (runtime/zero/stage_1_and_2.py and stage3.py, step).
    """
    elements = mastered(step)
    if not elements:
        return []
    split, size = step.split, FP32
    amount, text = zero.held(step, FP32 * elements, OPTIMIZER), zero.told(step, OPTIMIZER)
    if split.sharding is Sharding.DEEPSPEED and split.zero >= OPTIMIZER:
        size = FP32 + step.arithmetic.weight
        amount = amount // FP32 * size
        if split.zero >= WEIGHTS and amount > size * SUB_GROUP:
            amount, text = size * SUB_GROUP, f", {SUB_GROUP:,} at a time"
    return [Part("gradients cast to FP32", amount, f"{size} B × {elements:,} parameters{text}")]
