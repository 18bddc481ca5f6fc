"""The memory chart: bars add up to the estimate, the worst device first, limits as the verdict has them."""

from dataclasses import replace

import pytest
from PySide6.QtGui import QImage, QPainter

from llmplanner.charts.draw import draw
from llmplanner.charts.figure import Bar, Figure, Rule
from llmplanner.charts.memory import MOST_DEVICES, memory_figure, phases_figure
from llmplanner.charts.palette import LIGHT
from llmplanner.compose import machine_named, model_named, plan_of
from llmplanner.core.estimating import estimate
from llmplanner.core.plan import Plan
from llmplanner.plans import Draft

GIB = 2**30


def plan(**entries: object) -> Plan:
    draft = Draft(**{"gpu": "RTX 4090", **entries})  # type: ignore[arg-type]
    return plan_of(draft, model_named(draft.model).model, machine_named(draft, None))


def bars(figure: Figure) -> list[Bar]:
    return [mark for mark in figure.marks if isinstance(mark, Bar)]


def test_segments_add_up_to_the_estimate() -> None:
    chosen = plan()
    needs = estimate(chosen)
    (bar,) = bars(memory_figure(chosen, needs))
    assert sum(segment.value for segment in bar.segments) == needs.devices[0].bytes
    weights = next(segment for segment in bar.segments if segment.colour == "weights")
    assert "16,060,522,496 bytes" in weights.hover  # 8,030,261,248 parameters in BF16
    assert weights.formula in weights.hover


def test_limits_are_the_card_and_what_is_free() -> None:
    chosen = plan()
    device = replace(chosen.machine.devices[0], memory_free=20 * GIB)
    chosen = replace(chosen, machine=replace(chosen.machine, devices=(device,)))
    rules = [mark for mark in memory_figure(chosen, estimate(chosen)).marks if isinstance(mark, Rule)]
    assert [rule.value for rule in rules] == [device.memory_total, 20 * GIB]
    assert rules[1].label == "Free now 20.00 GiB"
    assert rules[1].dash == "dashed"


def test_a_bar_over_its_limit_says_so() -> None:
    chosen = plan(context=131072, batch=4)
    (bar,) = bars(memory_figure(chosen, estimate(chosen)))
    assert bar.label_colour == "bad"


@pytest.mark.parametrize("count", [2, 16])
def test_many_devices_are_cut_to_the_worst(count: int) -> None:
    chosen = plan(gpu="H100 SXM5 80GB", task="pretrain", dp=count, zero=2)
    figure = memory_figure(chosen, estimate(chosen))
    assert len(bars(figure)) == min(count, MOST_DEVICES)
    assert bool(figure.note) == (count > MOST_DEVICES)
    if figure.note:
        assert figure.note.startswith(f"{count - MOST_DEVICES} more devices")


def test_phases_are_a_bar_each() -> None:
    chosen = plan(task="pretrain", gpu="H100 SXM5 80GB")
    need = estimate(chosen).devices[0]
    figure = phases_figure(need, chosen.machine.devices[0])
    assert [sum(segment.value for segment in bar.segments) for bar in bars(figure)] == [
        p.bytes for p in need.phases
    ]


@pytest.mark.usefixtures("qapp")
@pytest.mark.parametrize("task", ["serve", "pretrain"])
def test_every_term_that_counts_is_named_in_the_picture(task: str) -> None:
    chosen = plan(task=task, gpu="H100 SXM5 80GB")
    figure = memory_figure(chosen, estimate(chosen))
    image = QImage(900, 360, QImage.Format.Format_RGB32)
    with QPainter(image) as painter:
        words = " ".join(box.text for box in draw(painter, 900, 360, figure, LIGHT).texts)
    for segment in bars(figure)[0].segments:
        assert segment.series in words
    assert figure.source[:40] in words
