"""Which of a model's linears LoRA can adapt, and what is said to names that a model has not.

Routed experts lie in one tensor for all, and routers are no linears (Transformers 5.23): PEFT adapts neither.
"""

from collections.abc import Iterator

from llmplanner.core.errors import BadInput, quoted
from llmplanner.core.model import Experts, Linear, Model
from llmplanner.core.plan import ALL_LINEAR, ATTENTION
from llmplanner.core.tensors import layer_pieces, outer_pieces

TOLD = 8  # names that a refusal tells


def refuse_lacked(model: Model, targets: tuple[str, ...]) -> None:
    """Refuses targets that match no linear. Raises BadInput."""
    names = list(dict.fromkeys(adaptable(model)))
    lacked = [
        target
        for target in targets
        if target not in {ALL_LINEAR, ATTENTION}
        and not any(f".{one}".endswith(f".{target}") for one in names)
    ]
    if targets and not lacked:
        return
    short = list(dict.fromkeys(one.rpartition(".")[2] for one in names))
    told = ", ".join(short[:TOLD]) + (", and more" if len(short) > TOLD else "")
    what = f"{model.name} has no linear named {quoted(lacked[0])}" if lacked else "No linears are named"
    raise BadInput(f"{what}; it has {told}. Take some of these, all-linear or attention.", "lora_targets")


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
