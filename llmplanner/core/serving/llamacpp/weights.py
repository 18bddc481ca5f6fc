"""The weights that llama.cpp puts on each device, tensor by tensor of the file that it reads."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import get_args

from llmplanner.core.checkpoint import Checkpoint, Where
from llmplanner.core.engine import LlamaCpp
from llmplanner.core.errors import BadInput
from llmplanner.core.estimate import Part, Term
from llmplanner.core.model import Kind, Model
from llmplanner.core.plan import Weights
from llmplanner.core.quantities import gib_text
from llmplanner.core.serving.llamacpp.placement import HOST, Placement

FILE_OF = {"FP32": "F32", "F32": "F32", "FP16": "F16", "F16": "F16", "BF16": "BF16"}  # by a format's name
SOURCE = "llama.cpp v0.5.0, src/llama-model.cpp (load_tensors)"
UNSURE = 20  # a twentieth more or less, of a file whose kind was not held against a real one
ESTIMATED = "As a file of this kind is made; which tensors are kept wider differs: within the bounds."
CHANGE = "fewer layers on the GPU: --set gpu_layers=N (llama.cpp: -ngl N); --weights q4_k_m"


@dataclass(frozen=True, slots=True)
class Stored:
    """What a GGUF file holds, by place, in bytes."""

    layers: tuple[int, ...]  # without routed experts
    experts: tuple[int, ...]  # of each layer
    experts_down: tuple[int, ...]  # of them, the matrices of their outputs
    output: int
    tokens: int  # the token embedding
    input: int  # what else the first layer reads: positions, token types
    tied: bool  # the token embedding is the output matrix too
    expanded: bool  # latent attention is run with the keys and values of every head
    exact: bool
    label: str
    source: str


def stored(model: Model, weights: Weights) -> Stored:
    """The file's bytes by place. Raises BadInput for weights that no GGUF file holds."""
    held = _file(model, weights)
    depth = max(stack.depth for stack in model.stacks)
    depth = max(depth, *(place.layer + 1 for place in held.places))
    sums: dict[Where, list[int]] = {where: [0] * (depth + 1) for where in get_args(Where)}
    for place in held.places:
        sums[place.where][place.layer] += place.bytes  # what is outside of the layers stands last
    return Stored(
        tuple(map(sum, zip(sums["layer"][:-1], sums["k_b"], sums["kv_b"], strict=False))),
        tuple(map(sum, zip(sums["experts"][:-1], sums["experts_down"], strict=False))),
        tuple(sums["experts_down"][:-1]),
        sums["output"][-1],
        sums["tokens"][-1],
        sums["input"][-1],
        model.head.tied and model.kind is not Kind.ENCODER,
        held.expanded,
        held.exact,
        held.label,
        held.source,
    )


def _file(model: Model, weights: Weights) -> Checkpoint:
    if isinstance(weights, Checkpoint) and weights.places:
        return weights
    name = FILE_OF.get(weights.name)
    if name is None:
        wanted = weights.name
        raise BadInput(
            f"llama.cpp reads GGUF files and there is none of {wanted} weights; take q8_0, q4_k_m or another "
            "of its file types.",
            "weights",
        )
    return _at(model, name)


@lru_cache(maxsize=32)  # a change elsewhere in the plan asks for the same file again
def _at(model: Model, file_type: str) -> Checkpoint:
    from llmplanner.core.recipes.gguf_tensors import file_of  # noqa: PLC0415 - a file states its tensors itself

    return file_of(model, file_type)


def on_device(held: Stored, where: Placement, device: int, engine: LlamaCpp) -> Term:
    """What one device holds. The routed experts of the first `cpu_experts` layers stay on the host."""
    parts = tuple(_parts(held, where, device, engine.cpu_experts))
    total = sum(int(part.bytes) for part in parts)
    slack = 0 if held.exact else total // UNSURE
    return Term(
        "weights",
        total,
        total - slack,
        total + slack,
        " + ".join(f"{part.formula} ({part.name})" for part in parts) or "no layer is on this device",
        f"{held.source}; {SOURCE}",
        " ".join(_notes(held, engine)),
        parts,
        measured="file sizes within 0.01 MiB of 1,956 runs of llama-quantize" if held.exact else "",
        change=CHANGE,
    )


def _notes(held: Stored, engine: LlamaCpp) -> Iterator[str]:
    slots = len(held.layers) + 1
    if engine.gpu_layers is not None and engine.gpu_layers > slots:
        yield f"All {slots - 1} layers and the output are taken: -ngl {engine.gpu_layers} finds no more."
    if engine.cpu_experts and not any(held.experts):
        yield "No layer has routed experts that could stay on the CPU."
    if not held.exact:
        yield ESTIMATED


def on_host(held: Stored, where: Placement, cpu_experts: int) -> tuple[Part, ...]:
    """What stays in the computer's memory: the token embedding always."""
    words = f"{held.label}, read row by row and never put on a GPU"
    first = Part(
        "token embedding", held.tokens + held.input, f"{gib_text(held.tokens + held.input)} of {words}"
    )
    return (first, *_parts(held, where, HOST, cpu_experts))


def _parts(held: Stored, where: Placement, device: int, cpu_experts: int) -> Iterator[Part]:
    layers = where.on(device)
    if layers:
        yield _part(_told("layer", layers), sum(held.layers[layer] for layer in layers), held)
    if device == HOST:
        experts = [layer for layer, at in enumerate(where.layers) if at == HOST or layer < cpu_experts]
    else:
        experts = [layer for layer in layers if layer >= cpu_experts]
    experts = [layer for layer in experts if held.experts[layer]]
    if experts:
        size = sum(held.experts[layer] for layer in experts)
        yield _part(_told("experts of layer", experts), size, held)
    if where.output == device:
        copied = held.tied and device != HOST
        size = held.output + (held.tokens if copied else 0)
        if size:
            yield _part("output, a copy of the token embedding" if copied else "output", size, held)


def _part(name: str, size: int, held: Stored) -> Part:
    return Part(name, size, f"{gib_text(size)} of {held.label}")


def _told(what: str, layers: "tuple[int, ...] | list[int]") -> str:
    """Layers that mostly follow each other: "layers 0 to 15"."""
    if len(layers) == 1:
        return f"{what} {layers[0]}"
    what = what.replace("layer", "layers")
    if layers[-1] - layers[0] + 1 == len(layers):
        return f"{what} {layers[0]} to {layers[-1]}"
    return f"{len(layers)} {what}"
