"""The plan at each format of its weights, or precision of its training."""

from dataclasses import replace

from llmplanner.charts.figure import Bar, Figure, Rule
from llmplanner.charts.formats import formats_figure
from llmplanner.compose import machine_named, model_named, plan_of
from llmplanner.core.plan import Plan
from llmplanner.plans import Draft

PARAMETERS = 8_030_261_248  # of Llama 3.1 8B, as its safetensors index counts


def plan(draft: Draft, free: int | None = None) -> Plan:
    machine = machine_named(draft, None)
    devices = tuple(replace(device, memory_free=free) for device in machine.devices)
    return plan_of(draft, model_named(draft.model).model, replace(machine, devices=devices))


def bars(figure: Figure) -> dict[str, Bar]:
    return {mark.category: mark for mark in figure.marks if isinstance(mark, Bar)}


def share(bar: Bar, series: str) -> float:
    return sum(segment.value for segment in bar.segments if segment.series == series)


def test_weights_at_each_format() -> None:
    by_name = bars(formats_figure(plan(Draft(gpu="NVIDIA GeForce RTX 4090"))))
    weights = {name: share(bar, "Weights") for name, bar in by_name.items()}
    assert weights == {
        "FP32": 4 * PARAMETERS,
        "BF16, as planned": 2 * PARAMETERS,
        "FP16": 2 * PARAMETERS,
        "FP8 E4M3": PARAMETERS,
        "INT8": PARAMETERS,
        "INT4": PARAMETERS // 2,
    }
    cache = {name: share(bar, "KV cache") for name, bar in by_name.items()}
    assert cache.pop("FP32") == 2 * cache["FP16"]  # what computes in FP32 keeps its cache so
    assert len(set(cache.values())) == 1


def test_what_does_not_fit_is_marked_against_the_free_memory() -> None:
    figure = formats_figure(plan(Draft(gpu="NVIDIA GeForce RTX 4090"), free=12 * 2**30))
    colours = {name: bar.label_colour for name, bar in bars(figure).items()}
    assert colours["FP8 E4M3"] == "text"
    assert colours["BF16, as planned"] == "bad"
    assert [mark.label for mark in figure.marks if isinstance(mark, Rule)] == [
        "card 23.99 GiB", "free now 12.00 GiB"]  # fmt: skip


def test_mixed_precision_does_not_halve_training() -> None:
    """AdamW: 4 bytes of weights and 8 of state per parameter in FP32 and in mixed precision alike."""
    by_name = bars(formats_figure(plan(Draft(task="finetune", gpu="NVIDIA GeForce RTX 4090"))))
    for name in ("FP32", "BF16 mixed, as planned", "FP16 mixed"):
        assert share(by_name[name], "Weights") == 4 * PARAMETERS
        assert 8 * PARAMETERS <= share(by_name[name], "Optimizer") < 8 * PARAMETERS * 1.001
    assert share(by_name["BF16 alone"], "Weights") == 2 * PARAMETERS


def test_a_split_is_shown_per_gpu() -> None:
    figure = formats_figure(plan(Draft(gpu="NVIDIA GeForce RTX 4090", count=2)))
    assert figure.subtitle == "Memory at the peak, per GPU"
    assert share(bars(figure)["BF16, as planned"], "Weights") < 1.1 * PARAMETERS
