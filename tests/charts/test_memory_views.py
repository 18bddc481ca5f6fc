"""Phases in time, devices that differ, and the plan under each engine: they add up to the estimates."""

import csv
import io
from dataclasses import replace

import pytest
from PySide6.QtGui import QImage, QPainter

from llmplanner import comparison
from llmplanner.charts.draw import CARD, draw
from llmplanner.charts.figure import Bar, Figure
from llmplanner.charts.memory_devices import devices_figure
from llmplanner.charts.memory_phases import phases_figure
from llmplanner.charts.memory_rivals import rivals_figure
from llmplanner.charts.palette import LIGHT
from llmplanner.charts.table import to_csv
from llmplanner.compose import machine_named, model_named, plan_of
from llmplanner.core.estimate import DeviceEstimate, Estimate, Host, Part
from llmplanner.core.estimating import estimate
from llmplanner.core.plan import Plan
from llmplanner.plans import Draft

GIB = 2**30


def draft(**entries: object) -> Draft:
    return Draft(**{"gpu": "H100 SXM5 80GB", **entries})  # type: ignore[arg-type]


def plan(stated: Draft) -> Plan:
    return plan_of(stated, model_named(stated.model).model, machine_named(stated, None))


def bars(figure: Figure) -> list[Bar]:
    return [mark for mark in figure.marks if isinstance(mark, Bar)]


def total(bar: Bar) -> float:
    return sum(segment.value for segment in bar.segments)


@pytest.mark.parametrize("task", ["serve", "finetune", "pretrain"])
def test_a_bar_for_each_phase_in_time_adds_up_and_one_is_the_peak(task: str) -> None:
    chosen = plan(draft(task=task))
    needed = estimate(chosen)
    device = needed.devices[0]
    found = bars(phases_figure(chosen, needed))
    assert [total(bar) for bar in found] == [phase.bytes for phase in device.phases]
    (peak,) = [bar for bar in found if " · peak" in bar.label]
    assert total(peak) == device.bytes
    assert [bar.category[0] for bar in found] == [str(place) for place in range(1, len(found) + 1)]


def test_the_table_of_the_phases_holds_every_term_in_bytes() -> None:
    chosen = plan(draft(task="finetune"))
    needed = estimate(chosen)
    header, *rows = csv.reader(io.StringIO(to_csv(phases_figure(chosen, needed))))
    found = [dict(zip(header, row, strict=True)) for row in rows]
    written = sum(int(row["x"]) for row in found if row["mark"] == "bar")
    assert written == sum(int(phase.bytes) for phase in needed.devices[0].phases)


def stages(chosen: Plan) -> Estimate:
    """The estimate of one device as two stages, the second of which holds half of the phases."""
    device = estimate(chosen).devices[0]
    first = DeviceEstimate(device.name, device.phases, "stage 1 of 2: embeddings, layers 0 to 15")
    second = DeviceEstimate(device.name, device.phases[:1], "stage 2 of 2: layers 16 to 31, head")
    host = Host((Part("optimizer state", 3 * GIB, "12 B"), Part("gradients", GIB, "4 B")), 2.5, "8 GiB / 3.2")
    return Estimate((second, first, second, first), host)


def test_devices_that_differ_stand_worst_first_and_the_host_last() -> None:
    chosen = plan(draft(task="finetune", count=4))
    figure = devices_figure(chosen, stages(plan(draft(task="finetune"))))
    found = bars(figure)
    assert [bar.category for bar in found] == [
        "Stage 1 of 2 · 2 GPUs",
        "Stage 2 of 2 · 2 GPUs",
        "Memory of the computer",
    ]
    assert total(found[0]) >= total(found[1])
    assert total(found[2]) == 4 * GIB
    assert "embeddings, layers 0 to 15" in found[0].hover
    assert "2.5 s" in figure.note


def test_engines_stand_side_by_side_and_what_is_refused_says_why() -> None:
    stated = draft(kv="fp8-e4m3", context=8192)
    model = model_named(stated.model).model
    rivals = comparison.each(stated, model, None)
    figure = rivals_figure("engine", rivals)
    answered = [rival for rival in rivals if rival.estimate is not None]
    needs = [rival.estimate.devices[0].bytes for rival in answered if rival.estimate is not None]
    assert [total(bar) for bar in bars(figure)] == needs
    assert bars(figure)[0].category == "Transformers"
    for rival in rivals:
        assert bool(rival.refusal) == (rival.estimate is None)
        assert rival.refusal in figure.note


def test_methods_are_compared_in_a_fine_tune_and_lora_needs_least() -> None:
    stated = draft(task="finetune")
    figure = rivals_figure("method", comparison.each(stated, model_named(stated.model).model, None))
    need = {bar.category: total(bar) for bar in bars(figure)}
    assert need["Full"] > need["LoRA"]


@pytest.mark.usefixtures("qapp")
@pytest.mark.parametrize("size", [(800, 450), (902, 184), (1400, 300)])
@pytest.mark.parametrize("context", [8192, 32_768, 131_072])
def test_every_bar_s_total_is_written_on_no_line(size: tuple[int, int], context: int) -> None:
    stated = draft(gpu="RTX 4090", context=context)
    chosen = plan(stated)
    figure = phases_figure(chosen, estimate(chosen))
    picture = QImage(*size, QImage.Format.Format_RGB32)
    with QPainter(picture) as painter:
        drawn = draw(painter, *size, figure, LIGHT, CARD)
    written = {box.text: box.rect for box in drawn.texts}
    assert {bar.label for bar in bars(figure)} <= written.keys()
    ends = {hit.area.right() for hit in drawn.hits if hit.key.endswith(":runtime")}
    for bar in bars(figure):
        assert written[bar.label].left() > min(ends)  # behind its bar, not over it


def test_a_segment_says_which_term_it_is() -> None:
    chosen = plan(draft(task="finetune"))
    needed = estimate(chosen)
    keys = [segment.key for bar in bars(phases_figure(chosen, needed)) for segment in bar.segments]
    assert len(set(keys)) == len(keys)
    for key in keys:
        side, place, phase, term = key.split(":")
        assert (side, place) == ("0", "0")
        named = next(each for each in needed.devices[0].phases if each.name == phase)
        assert term in {one.name for one in named.terms}


def test_a_refused_rival_says_why_and_has_no_estimate() -> None:
    stated = replace(draft(), batch=2, prompt=4096)
    model = model_named(stated.model).model
    rival = comparison.answered(replace(stated, context=10_000_000), model, None, "vllm")
    assert rival.estimate is None
    assert rival.refusal.endswith(".")
