"""Which of a model's linears LoRA can adapt, and what is said to names that a model has not.

Routed experts lie in one tensor for all, and routers are no linears (Transformers 5.23): neither is adapted.
Source: PEFT 0.21.2, tuners/tuners_utils.py.
"""

from collections.abc import Iterator

from llmplanner.core.errors import BadInput, quoted
from llmplanner.core.model import Experts, Linear, Model
from llmplanner.core.plan import ALL_LINEAR, ATTENTION
from llmplanner.core.tensors import layer_pieces, outer_pieces

TOLD = 8  # names that a refusal tells
MAMBAS = frozenset({"falcon_h1", "falcon_mamba", "mamba", "mamba2", "nemotron_h"})
FUSED = "out_proj"  # read by Mamba's kernels as a weight, so that PEFT cannot stand in for the linear


def refuse_lacked(model: Model, targets: tuple[str, ...]) -> None:
    """Refuses targets that match no linear, or one that cannot be adapted. Raises BadInput."""
    names = list(dict.fromkeys(adaptable(model)))
    lacked = [target for target in targets if target not in _choices(model) and not _matched(target, names)]
    short = list(dict.fromkeys(one.rpartition(".")[2] for one in names))
    if not targets or lacked:
        told = ", ".join(short[:TOLD]) + (", and more" if len(short) > TOLD else "")
        what = f"{model.name} has no linear named {quoted(lacked[0])}" if lacked else "No linears are named"
        raise BadInput(f"{what}; it has {told}. Take some of these, or all-linear.", "lora_targets")
    if model.model_type in MAMBAS and (ALL_LINEAR in targets or _matched(FUSED, targets)):
        rest = ",".join(name for name in short[:TOLD] if name != FUSED)
        raise BadInput(
            f"PEFT cannot adapt {FUSED} of {model.name}, which its kernels read by themselves; "
            f"name other linears, such as {rest}.",
            "lora_targets",
        )


def _choices(model: Model) -> tuple[str, ...]:
    """The words that stand for several linears of this model."""
    layers = (group.layer for stack in model.stacks for group in stack.groups)
    attends = any(layer.attention is not None for layer in layers)
    return (ALL_LINEAR, ATTENTION) if attends else (ALL_LINEAR,)


def _matched(target: str, names: list[str] | tuple[str, ...]) -> bool:
    """Whether a target is the end of a name, as PEFT matches."""
    return any(f".{name}".endswith(f".{target}") for name in names)


def adaptable(model: Model) -> Iterator[str]:
    """Whole names of the linears, those inside layers with {layer} in them."""
    for stack in model.stacks:
        for group in stack.groups:
            block = group.layer.feed_forward
            router = block.router if isinstance(block, Experts) else None
            for piece in layer_pieces(group.layer):
                module = piece.module
                if isinstance(module, Linear) and piece.role != "expert" and module is not router:
                    yield stack.prefix + module.name
    for piece in outer_pieces(model):
        if isinstance(piece.module, Linear):
            yield piece.module.name
    if model.head.linear is not None and model.head.tied:
        yield model.head.linear.name
