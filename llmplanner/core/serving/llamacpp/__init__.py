"""What llama.cpp holds on each device and on the host: a file for each of its buffers.

All of it is allocated when the model is loaded and its context is made; reading and answering need no more.
Devices hold whole layers, as with -sm layer, its default.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from llmplanner.core.blocks import of_llamacpp
from llmplanner.core.engine import LlamaCpp
from llmplanner.core.errors import BadInput
from llmplanner.core.estimate import DeviceEstimate, Estimate, Host, Part, Phase, Term
from llmplanner.core.formats import FP16
from llmplanner.core.machine import Device
from llmplanner.core.model import Kind
from llmplanner.core.plan import Plan, Serve
from llmplanner.core.serving.llamacpp import cache, cells, compute, weights
from llmplanner.core.serving.llamacpp.cells import Cells
from llmplanner.core.serving.llamacpp.maps import over
from llmplanner.core.serving.llamacpp.placement import HOST, Placement, placed
from llmplanner.core.serving.llamacpp.process import output_buffer, runtime
from llmplanner.core.serving.llamacpp.support import check_batch, check_known


@dataclass(frozen=True, slots=True)
class _Context:
    """What follows from a plan for all of its devices."""

    plan: Plan
    runs: compute.Runs
    held: weights.Stored
    where: Placement
    kept: tuple[cache.Keeps, ...]
    recurring: tuple[cache.Recurs, ...]

    @property
    def computed(self) -> Placement:
        """Where the layers are that the graph runs through: of an encoder-decoder the decoder's, and none of
        those that predict further tokens.
        """
        depth = self.plan.model.stacks[-1].depth
        return Placement(self.where.layers[:depth], self.where.output)


def serve(plan: Plan) -> Estimate:
    """Every device's phases, and what the host holds. Raises BadInput."""
    context = _context(plan)
    devices = plan.machine.devices[: plan.split.devices]
    found = tuple(_device(context, device, place) for place, device in enumerate(devices))
    return Estimate(found, Host(tuple(_host(context))))


def _context(plan: Plan) -> _Context:
    workload, engine = plan.workload, plan.engine
    if not isinstance(workload, Serve) or not isinstance(engine, LlamaCpp):
        raise BadInput("This plan is not one of llama.cpp's; choose the engine llama.cpp.", "engine")
    if plan.split.devices != plan.split.tensor:
        raise BadInput("llama.cpp runs one copy of a model; divide its layers with tp alone.", "dp")
    check_known(plan.model)
    check_batch(plan.model, workload, engine)
    keys = of_llamacpp(workload.kv_format or FP16, "kv")
    values = of_llamacpp(workload.value_format or keys, "kv_values")
    sizes = cells.of_workload(workload, engine)
    held = weights.stored(plan.model, plan.weights)
    where = placed(len(held.layers), engine, plan.machine.devices[: plan.split.devices])
    kept = cache.kept(plan.model, transposed=not engine.flash_attention, expanded=held.expanded)
    cache.check_formats(kept, keys, values, flash=engine.flash_attention)
    runs = compute.Runs(plan.model, sizes, engine, keys, values, held.expanded)
    return _Context(plan, runs, held, where, kept, cache.recurring(plan.model))


def _device(context: _Context, device: Device, place: int) -> DeviceEstimate:
    held, where, cards = context.held, context.where, context.plan.split.devices
    loaded = (
        weights.on_device(held, where, place, context.runs.engine),
        runtime(device, context.plan.runtime),
    )

    def computing(sizes: Cells) -> Term:
        runs = replace(context.runs, sizes=sizes)
        return compute.on_device(runs, held, context.computed, place, cards=cards).term

    buffer = over(context.runs.sizes, computing)
    at_work = (*loaded, *_memory(context, _caching(context, place)), buffer)
    encoder = context.plan.model.kind is Kind.ENCODER
    phases = (
        (Phase("forward", at_work),) if encoder else (Phase("prefill", at_work), Phase("decode", at_work))
    )
    return DeviceEstimate(device.name, (Phase("load", loaded), *phases), _role(context.where, place))


def _caching(context: _Context, place: int) -> frozenset[int]:
    """The layers whose cache one device holds; all are on the host where the cache is not offloaded."""
    layers = range(len(context.where.layers))
    if not context.runs.engine.kv_offload:
        return frozenset(layers if place == HOST else ())
    return frozenset(context.where.on(place))


def _memory(context: _Context, layers: frozenset[int]) -> Iterator[Term]:
    if context.plan.model.kind is Kind.ENCODER:
        return
    if context.kept or not context.recurring:
        runs = context.runs
        yield cache.cache(context.kept, runs.sizes, runs.keys, runs.values, layers)
    if context.recurring:
        yield cache.states(context.recurring, context.runs.sizes, layers)


def _host(context: _Context) -> Iterator[Part]:
    runs, where = context.runs, context.where
    yield from weights.on_host(context.held, where, runs.engine.cpu_experts)
    for term in _memory(context, _caching(context, HOST)):
        for part in term.parts:
            yield replace(part, name=f"{term.name.replace('_', ' ').replace('kv', 'KV')}, {part.name}")
    cards = context.plan.split.devices
    buffer = over(
        runs.sizes,
        lambda sizes: compute.beside_devices(replace(runs, sizes=sizes), context.computed, cards).term,
    )
    yield Part("compute buffer", buffer.bytes, buffer.formula)
    yield output_buffer(context.plan.model, runs.sizes)


def _role(where: Placement, place: int) -> str:
    """What the device does of the whole."""
    layers, count = where.on(place), len(where.layers)
    told = "no layer"
    if layers:
        told = "all layers" if len(layers) == count else f"layers {layers[0]} to {layers[-1]} of {count}"
    return f"{told} and the output" if where.output == place else told
