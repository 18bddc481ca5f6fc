"""What recurrent layers keep of the tokens seen so far: as much after one token as after a million."""

from dataclasses import dataclass, replace

from llmplanner.core.estimate import Bytes, Part, Term, exact
from llmplanner.core.formats import FP32, Format
from llmplanner.core.model import Kind, Model
from llmplanner.core.plan import Count
from llmplanner.core.terms.kv_cache import said

SOURCE = "Gu and Dao 2023 (arXiv:2312.00752) sec. 3; layout as Transformers 5.23 allocates it"
NOTE = "Does not grow with the context, and is not stored in the format of the KV cache."


@dataclass(frozen=True, slots=True)
class States:
    """What a group of equal recurrent layers keeps of one sequence, in elements a layer."""

    kind: str
    layers: int
    convolution: int  # in the format computed in
    state: int  # in FP32


def states(model: Model) -> tuple[States, ...]:
    """The states of the model's recurrent layers, those alike together; none for an encoder."""
    layers: dict[States, int] = {}
    for stack in model.stacks:
        for group in stack.groups:
            mixer = group.layer.recurrent
            if mixer is not None and stack.role is Kind.DECODER and (mixer.conv_state or mixer.state):
                one = States(mixer.kind, 1, mixer.conv_state, mixer.state)
                layers[one] = layers.get(one, 0) + len(group.indices)
    return tuple(replace(one, layers=count) for one, count in layers.items())


def recurrent_state(groups: tuple[States, ...], form: Format, batch: Count) -> Term:
    """The states of `batch` sequences; convolutions keep theirs in `form`. Broadcasts over batch."""
    parts = tuple(_part(group, form, batch) for group in groups)
    total: Bytes = sum((part.bytes for part in parts), start=0)
    formula = " + ".join(part.formula for part in parts)
    return exact("recurrent_state", total, formula, SOURCE, note=NOTE, parts=parts)


def _part(group: States, form: Format, batch: Count) -> Part:
    size = group.layers * (form.bytes_for(group.convolution) + FP32.bytes_for(group.state))
    kept = [
        f"{elements:,} × {each.bits // 8} B"
        for elements, each in ((group.convolution, form), (group.state, FP32))
        if elements
    ]
    many = "sequence" if isinstance(batch, int) and batch == 1 else "sequences"
    words = f"{group.layers} layers × ({' + '.join(kept)}) × {said(batch)} {many}"
    return Part(group.kind, batch * size, words)
