"""Pipeline parallelism: which layers each stage has, and how many micro-batches it holds at once.

Sources: Narayanan et al. 2021 (arXiv:2104.04473) section 2.2; Korthikanti et al. 2022 (arXiv:2205.05198)
section 4.2.3.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from llmplanner.core.dividing import would
from llmplanner.core.errors import BadInput
from llmplanner.core.estimate import Part
from llmplanner.core.model import Head, Model
from llmplanner.core.plan import Split
from llmplanner.core.step import shown


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage: what its devices do of the whole, in words, and the model of them together."""

    role: str
    model: Model


def stages(model: Model, split: Split) -> tuple[Stage, ...]:
    """The stages in their order. Raises BadInput where the layers do not divide.

    Where they are not a multiple of the stages, the first stages take one more each. The first stage has the
    embeddings, the last the head; a tied matrix is on both.
    """
    if split.pipeline == 1:
        return (Stage("", model),)
    if len(model.stacks) > 1:
        raise BadInput(
            f"Pipeline stages divide one stack of layers and {model.name} has {len(model.stacks)}, "
            "an encoder and a decoder; set pp to 1.",
            "pp",
        )
    shares = _shares(model.stacks[0].depth, split.pipeline, split.chunks)
    return tuple(_stage(model, place, shares) for place in range(len(shares)))


def _shares(depth: int, count: int, chunks: int) -> list[list[range]]:
    """The layers of each stage, a range for each of its chunks. Raises BadInput."""
    if count * chunks > depth:
        each = f" of {chunks:,} chunks" if chunks > 1 else ""
        raise BadInput(
            f"{depth:,} layers cannot fill {count:,} pipeline stages{each}; "
            f"take at most {max(depth // chunks, 1):,}.",
            "pp",
        )
    if chunks > 1 and depth % (count * chunks):
        raise BadInput(
            f"{depth:,} layers cannot be divided into {count:,} stages of {chunks:,} chunks each; "
            f"of stages times chunks, {would(depth, count * chunks)}.",
            "pp",
        )
    size, more = divmod(depth, count * chunks)
    ends = [part * size + min(part, more) for part in range(count * chunks + 1)]
    return [
        [range(ends[chunk * count + place], ends[chunk * count + place + 1]) for chunk in range(chunks)]
        for place in range(count)
    ]


def _stage(model: Model, place: int, shares: Sequence[list[range]]) -> Stage:
    first, last = place == 0, place == len(shares) - 1
    held = {layer for chunk in shares[place] for layer in chunk}
    stack = model.stacks[0]
    groups = (replace(each, indices=tuple(i for i in each.indices if i in held)) for each in stack.groups)
    stack = replace(
        stack,
        groups=tuple(each for each in groups if each.indices),
        final_norm=stack.final_norm if last else None,
    )
    share = replace(model, stacks=(stack,))
    share = _headed(share) if last else _headless(share)
    return Stage(_role(place, shares), share if first else _without_embeddings(share))


def _headed(model: Model) -> Model:
    """The last of several stages: a tied head has a matrix of its own there."""
    return replace(model, head=replace(model.head, tied=False))


def _headless(model: Model) -> Model:
    return replace(
        model,
        head=Head(None, tied=False),
        pooler=None,
        pair_head=None,
        extras=(),
        dropout=replace(model.dropout, final=0.0),
    )


def _without_embeddings(model: Model) -> Model:
    """A stage behind the first: what enters it comes from the stage before."""
    last = model.head.linear is not None
    return replace(
        model,
        token_embedding=replace(model.token_embedding, rows=0, width=model.hidden_size),
        embeddings=(),
        embedding_norm=None,
        embedding_norms_by_stack=(),
        projections=model.projections if last else (),
        dropout=replace(model.dropout, embedding=0.0),
    )


def _role(place: int, shares: Sequence[list[range]]) -> str:
    """What a stage does, in words: "stage 1 of 4: embeddings, layers 0 to 7"."""
    layers = ", ".join(
        f"{chunk[0]} to {chunk[-1]}" if len(chunk) > 1 else f"{chunk[0]}" for chunk in shares[place]
    )
    many = "layers" if sum(map(len, shares[place])) > 1 else "layer"
    parts = [
        *(["embeddings"] if place == 0 else []),
        f"{many} {layers}",
        *(["head"] if place == len(shares) - 1 else []),
    ]
    more = sum(map(len, shares[place])) > sum(map(len, shares[-1]))
    told = "; a layer more than the last" if more else ""
    return f"stage {place + 1} of {len(shares)}: {', '.join(parts)}{told}"


def passes(split: Split, place: int, micro_batches: int) -> int:
    """Forward passes of a chunk that a stage holds before it undoes the first.

    1F1B: as many micro-batches as there are stages from it on. Interleaved, stage i of p with v chunks warms
    up with 2 (p - i - 1) + (v - 1) p passes and takes one more: the first stage holds the activations of
    1 + (p - 1) / (p v) whole models.
    """
    behind = split.pipeline - 1 - place
    warm = 2 * behind + (split.chunks - 1) * split.pipeline if split.chunks > 1 else behind
    return min(micro_batches * split.chunks, warm + 1)


def in_flight(split: Split, held: int) -> str:
    """The same in words, behind what a stage does; nothing where there is one stage."""
    if split.pipeline == 1:
        return ""
    if split.chunks > 1:
        return f"; {held:,} passes of a chunk in flight"
    return f"; {held:,} micro-batch{'' if held == 1 else 'es'} in flight"


def waiting(kept: Sequence[Part], split: Split, held: int) -> list[Part]:
    """What the passes before the one in work keep: `kept` is what one micro-batch does on the whole stage."""
    more = held - split.chunks
    if more <= 0:
        return []
    amount = sum((part.bytes for part in kept), start=0)
    share = f" / {split.chunks} chunks" if split.chunks > 1 else ""
    text = f"{more:,}{share} × {shown(amount)} B that a micro-batch keeps"
    return [Part("of micro-batches in flight", -(-amount * more // split.chunks), text)]
