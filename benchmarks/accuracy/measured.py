"""The rows of every table with what is answered to them: the reference tables and our own data."""

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cache

from benchmarks.accuracy import cuda_logs, serving_totals
from benchmarks.accuracy.scores import Entry
from benchmarks.accuracy.topics import TOPICS, Topic
from benchmarks.reference import REFERENCE, ROOT
from llmplanner.check.answer import Answer, Row
from llmplanner.check.kinds import FILES
from llmplanner.check.lookup import Lookup
from llmplanner.check.run import check
from llmplanner.check.table import measured
from llmplanner.check.table import read as read_table
from llmplanner.core.autograd.tape import Cause
from llmplanner.core.engine import AttentionKernel, Transformers, Vllm
from llmplanner.core.estimating import estimate
from llmplanner.core.formats import BF16
from llmplanner.core.machine import Device, Machine
from llmplanner.core.model import Model
from llmplanner.core.plan import TRANSFORMERS, Plan, Precision, Serve, Split, Train
from llmplanner.core.step import one_step
from llmplanner.core.tensors import parameters
from llmplanner.models import catalogue
from llmplanner.models.config import from_config, read

DATA = ROOT / "tests" / "data"
MACHINE = Machine((Device("a card", 80 * 2**30),))
DEPTHS = (
    *("num_hidden_layers", "n_layer", "num_layers", "num_decoder_layers"),
    *("encoder_layers", "decoder_layers"),
)
FEWEST = 2**20  # bytes of activations: less is indices and masks of a few tokens
LOGGED = ("compute_buffers_MiB", "measured_total")  # columns of words, which hold numbers
ENGINES = {
    "serving_eager": Transformers(attention=AttentionKernel.EAGER),
    "serving_static": Transformers(static_cache=True),
}
MODELS = Lookup(REFERENCE)
GIB = 2**30
KEPT = tuple(cause for cause in Cause if cause is not Cause.LOSS)
Measured = tuple[Topic, tuple[Entry, ...]]


def all_measured() -> Iterator[Measured]:
    """Every topic that the tables have, with its rows."""
    found = dict((*_tables(), *_own()))
    return ((topic, found[topic]) for topic in TOPICS if found.get(topic))


def _tables() -> Iterator[Measured]:
    """The reference tables, as the command `check` answers them."""
    for name in FILES:
        report = check(REFERENCE / f"{name}.csv")
        for topic in (one for one in TOPICS if one.table == name and one.column in report.kind.measured):
            entries = []
            for number, one in enumerate(report.rows, 1):
                truth = measured(one.row, topic.column)
                if truth is not None:
                    said = one.answers.get(topic.column, Answer(None))
                    note = said.note or one.note
                    entries.append(
                        Entry(
                            number, _label(topic, one.row), truth, said.predicted, said.low, said.high, note
                        )
                    )
            yield topic, tuple(entries)


def _logged(topic: Topic) -> Iterator[Entry]:
    """Buffers of CUDA devices, and totals of serving."""
    for number, row in enumerate(read_table(REFERENCE / f"{topic.table}.csv").rows(), 1):
        label = _label(topic, row)
        if topic.column == "measured_total":
            yield from serving_totals.entries(number, label, row, MODELS)
        else:
            yield from cuda_logs.logged(number, label, row)


def _reserved(topic: Topic, number: int, row: Row) -> Iterator[Entry]:
    """Compute buffers that llama.cpp's scheduler reserved."""
    yield from cuda_logs.reserved(number, _label(topic, row), row, MODELS)


def _label(topic: Topic, row: Row) -> str:
    return " · ".join(row[name] for name in topic.label if row.get(name))


def _own() -> Iterator[Measured]:
    """What `check` is not asked: numbers in logs, and what was counted here (tests/data/README.md)."""
    for topic in TOPICS:
        if topic.table in FILES and topic.column in LOGGED:
            yield topic, tuple(_logged(topic))
        elif topic.table == "counted":
            yield topic, tuple(_counted())
        elif topic.table in OWN:
            rows = enumerate(_rows(topic.table), 1)
            yield topic, tuple(one for number, row in rows for one in OWN[topic.table](topic, number, row))


def _counted() -> Iterator[Entry]:
    files = sorted((DATA / "counted").glob("*.json"))
    rows = [row for file in files for row in json.loads(file.read_text("utf-8"))["configs"]]
    for number, row in enumerate(rows, 1):
        counted = parameters(from_config(row["config"], row["name"], "config.json"))
        yield Entry(number, row["name"], row["total"], counted.total)


def _rows(name: str) -> list[dict[str, str]]:
    with (DATA / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@cache
def _cut(name: str, layers: int) -> Model:
    """The model with as many layers as were measured."""
    config = read(REFERENCE / "configs" / f"{name}.json")
    config |= {key: layers for key in DEPTHS if key in config}
    if config["model_type"] == "deepseek_v3":
        config["first_k_dense_replace"] = 1
    kinds = config.get("layer_types")
    if isinstance(kinds, list):
        config["layer_types"] = kinds[:layers]
    return from_config(config, name, "config.json")


def _served(topic: Topic, number: int, row: Row) -> Iterator[Entry]:
    """The activations of one pass without the output head, which has a moment of its own."""
    model = _cut(row["model"], int(row["layers"]))
    model = replace(model, head=replace(model.head, linear=None))
    workload = Serve(int(row["context_tokens"]), int(row["batch"]), int(row["prompt_tokens"]))
    engine = ENGINES.get(topic.table, TRANSFORMERS)
    phases = estimate(Plan(model, workload, MACHINE, Split(), BF16, engine)).devices[0].phases
    phase = next(one for one in phases if one.name == row["phase"])
    term = next(one for one in phase.terms if one.name == "activations")
    truth = float(row["activations_bytes"])
    if truth < FEWEST:
        return
    yield Entry(number, _label(topic, row), truth, int(term.bytes), int(term.low), int(term.high))


def _kept(topic: Topic, number: int, row: Row) -> Iterator[Entry]:
    """What autograd saves in the forward pass, without the loss."""
    kernel = AttentionKernel(row["attention"])
    train = Train(int(row["sequence"]), int(row["batch"]), Precision.BF16, attention=kernel)
    step = one_step(_cut(row["model"], int(row["layers"])), train, Split())
    kept = int(sum(each.count * each.saved(KEPT) for each in step.traced))
    yield Entry(number, _label(topic, row), float(row["kept_bytes"]), kept)


def _profiled(topic: Topic, number: int, row: Row) -> Iterator[Entry]:
    """The peak of the pass with which vLLM measures itself; where it samples otherwise, no answer."""
    label, measured_peak = _label(topic, row), float(row["peak_GiB"])
    if row["sampler"] != "native":
        note = "Which sampler is installed is no setting of a plan; the lower bound is without vLLM's own."
        yield Entry(number, label, measured_peak, None, note=note)
        return
    tensor = int(row["tensor"])
    engine = Vllm(batched_tokens=int(row["tokens"]), sequences=int(row["sequences"]))
    machine = Machine((Device("H100", 80 * GIB),) * tensor)
    plan = Plan(catalogue.model(row["model"]), Serve(8192), machine, Split(tensor=tensor), BF16, engine)
    terms = [term for term in estimate(plan).devices[0].peak.terms if term.name in {"activations", "logits"}]
    amount, low, high = (
        sum(int(getattr(term, end)) for term in terms) / GIB for end in ("bytes", "low", "high")
    )
    yield Entry(number, label, measured_peak, amount, low, high)


OWN: Mapping[str, Callable[[Topic, int, Row], Iterator[Entry]]] = {
    "serving_activations": _served,
    "serving_eager": _served,
    "serving_static": _served,
    "training_kept": _kept,
    "vllm_activation_peaks": _profiled,
    "llamacpp_gpu_buffers": _reserved,
}
