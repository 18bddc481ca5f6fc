"""measured_training.csv: peak GPU memory that training frameworks published, run by run.

What a run had that its row does not say is what its framework's scripts do: llmplanner/check/frameworks.py.
"""

import re
from dataclasses import replace
from typing import NamedTuple

from llmplanner.check.answer import Answer, Answers, Kind, Row
from llmplanner.check.cells import float_of, text
from llmplanner.check.frameworks import FRAMEWORKS
from llmplanner.check.lookup import Lookup
from llmplanner.check.published_run import Figure, Run
from llmplanner.check.stated_run import stated_run
from llmplanner.core.errors import BadInput, quoted, short
from llmplanner.core.estimate import DeviceEstimate, Phase
from llmplanner.core.estimating import estimate
from llmplanner.core.machine import Device, Machine
from llmplanner.core.model import Model
from llmplanner.core.plan import FineTune, Plan
from llmplanner.core.quantities import GIB
from llmplanner.core.tensors import parameters
from llmplanner.core.terms import fragmentation, runtime
from llmplanner.gpus.catalogue import heard_of

COLUMN = "peak_mem_per_gpu"
GB = 10**9
MOST_DEVICES = 100_000
BILLION = 10**9
OFF = 0.15  # by which a model's parameters may differ from those that a row states
TENTH = 10  # the band of layers that are not Transformers' own: a judgement
COUNTED = {  # what of a process each figure holds
    Figure.ALLOCATED: (runtime.CUBLAS.name,),
    Figure.RESERVED: (runtime.CUBLAS.name, fragmentation.NAME),
    Figure.DRIVER: (runtime.CUBLAS.name, fragmentation.NAME, runtime.CUDA.name, runtime.TALK.name),
}


class Range(NamedTuple):
    """Bytes of one device: of its tensors, and what is published of it with its bounds."""

    tensors: int
    low: int
    bytes: int
    high: int


def answer(row: Row, models: Lookup) -> Answers:
    """The peak of a run, in the row's own unit. Raises BadInput."""
    if row.get("answerable", "1").strip() not in {"", "1"}:
        raise BadInput(f"The run is not stated whole: {short(row.get('remark', '')) or 'no reason given'}.")
    run = run_of(row, model_of(row, models))
    found, unit = peak(run, room_of(row)), unit_of(row, run.split.devices)
    return {COLUMN: Answer(found.bytes * unit, found.low * unit, found.high * unit, note=run.note)}


def run_of(row: Row, model: Model) -> Run:
    """The row's run, as its framework's scripts make it, or as it states itself. Raises BadInput."""
    name = row.get("framework", "").strip().lower()
    for prefix, framework in FRAMEWORKS.items():
        if name.startswith(prefix):
            return framework(row, model)
    return stated_run(row, model)


def peak(run: Run, room: int | None = None) -> Range:
    """Bytes of the fullest device; `room`: what its card has. Raises BadInput."""
    if run.split.devices > MOST_DEVICES:
        raise BadInput(f"{run.split.devices:,} GPUs are more than any run had.", "n_gpus")
    machine = Machine((Device("GPU", None),) * run.split.devices)
    plan = Plan(run.model, FineTune(run.train), machine, run.split, run.weights)
    found = [_peak(device, run) for device in estimate(plan).different]
    return _within(max(found, key=lambda one: one.bytes), run, room)


def _peak(device: DeviceEstimate, run: Run) -> Range:
    """The tensors of the fullest phase, and what of the process the run's figure holds."""
    phases = [_tensors(phase, run) for phase in device.phases]
    flat = fragmentation.lays_flat(run.split)
    reserved = fragmentation.fragments(phases, varied=run.varied, flat=flat)
    count = max(run.split.devices, 1 + run.talks)
    held = [piece for piece in runtime.pieces(count, reserved) if piece.name in COUNTED[run.figure]]
    fullest = max(phases, key=lambda phase: int(phase.bytes))
    tensors = int(fullest.bytes)
    slack = tensors // TENTH if run.own_code else 0
    bounds = [(each.low, each.high) for each in fullest.terms] + [(each.low, each.high) for each in held]
    low = sum(int(each) for each, _ in bounds) - slack
    high = sum(int(each) for _, each in bounds) + slack
    amount = tensors + sum(int(piece.bytes) for piece in held)
    low, amount, high = (each + run.beside for each in (low, amount, high))
    return Range(tensors, low, amount, high + run.perhaps)


def _tensors(phase: Phase, run: Run) -> Phase:
    """A phase without the process; what is cast to FP32 as it is then."""
    terms = (term for term in phase.terms if term.name != "runtime")
    if run.upcast:
        terms = (replace(term, bytes=term.high) if term.name == "weights" else term for term in terms)
    return Phase(phase.name, tuple(terms))


def _within(found: Range, run: Run, room: int | None) -> Range:
    """No more is reserved than the card has: when it is full, the allocator gives back what is empty."""
    if room is None or run.figure is Figure.ALLOCATED:
        return found
    low, amount, high = (min(each, max(room, found.tensors)) for each in found[1:])
    return Range(found.tensors, low, amount, high)


def room_of(row: Row) -> int | None:
    """Memory of the run's card, where its name says it: "A100 80GB"; a card's GB are GiB. Raises BadInput."""
    stated = row.get("gpu", "").strip()
    if not stated or stated.lower().startswith("not stated"):
        return None
    if not heard_of(stated):
        raise BadInput(f"gpu is {quoted(stated)}, a card that the catalogue does not know.", "gpu")
    found = re.search(r"(\d+)\s*GB?\b", stated)
    return int(found.group(1)) * GIB if found else None


def unit_of(row: Row, devices: int) -> float:
    """What one byte on one device is in the row's unit: GiB or GB, of a device or of all. Raises BadInput."""
    stated = text(row, "unit")
    size = {"GiB": GIB, "GB": GB, "MiB": 2**20, "MB": 10**6}.get(stated.split()[0])
    if size is None:
        raise BadInput(f"unit is {quoted(stated)}; it is GiB or GB.", "unit")
    return (devices if "total" in stated.lower() else 1) / size


def model_of(row: Row, models: Lookup) -> Model:
    """The model of the row's config, else of its name; where that has another size, the one of name and size.

    Raises BadInput.
    """
    stated = float_of(row.get("params_B", "").strip())
    named = row.get("config", "").strip() or text(row, "model")
    found = models.model(named)
    if not stated or _fits(found, stated):
        return found
    name = f"{row.get('model', '').strip().lower().replace(' ', '-')}-{row['params_B'].strip()}b"
    if models.path(name, ".json") is not None and _fits(models.model(name), stated):
        return models.model(name)
    raise BadInput(
        f"{short(named)} has {parameters(found).total / BILLION:.1f} billion parameters, the run "
        f"{stated:g}; name the config of its model.",
        "config",
    )


def _fits(model: Model, billions: float) -> bool:
    return abs(parameters(model).total / BILLION / billions - 1) < OFF


KIND = Kind(
    "measured_training",
    ("method", "batch_size", "seq_len", "unit", "config|model"),
    (COLUMN,),
    answer,
    True,
)
