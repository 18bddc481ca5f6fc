"""The memory chart: bars add up to the estimate, the worst device first, limits as the verdict has them."""

from dataclasses import replace

import pytest
from PySide6.QtGui import QImage, QPainter

from llmplanner.charts.draw import CARD, draw
from llmplanner.charts.figure import Bar, Figure, Rule
from llmplanner.charts.memory import memory_figure
from llmplanner.charts.memory_bars import MOST_DEVICES
from llmplanner.charts.palette import LIGHT, TERM_TITLES
from llmplanner.charts.table import rows
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


@pytest.mark.parametrize("count", [2, 9, 16])
def test_many_devices_are_cut_to_the_worst(count: int) -> None:
    chosen = plan(gpu="H100 SXM5 80GB", task="pretrain", dp=count, zero=2)
    card = chosen.machine.devices[0]
    cards = tuple(replace(card, memory_free=place * GIB) for place in range(count))
    chosen = replace(chosen, machine=replace(chosen.machine, devices=cards))
    figure = memory_figure(chosen, estimate(chosen))
    assert len(bars(figure)) == min(count, MOST_DEVICES)
    assert bool(figure.note) == (count > MOST_DEVICES)
    if figure.note:
        many = {9: "1 more device needs ", 16: "8 more devices need "}
        assert figure.note.startswith(many[count])


def test_every_device_has_a_bar_and_the_alike_share_one_where_there_are_too_many() -> None:
    few = plan(gpu="H100 SXM5 80GB", task="pretrain", dp=MOST_DEVICES, zero=3)
    assert len(bars(memory_figure(few, estimate(few)))) == MOST_DEVICES
    many = plan(gpu="H100 SXM5 80GB", task="pretrain", dp=64, zero=3)
    (bar,) = bars(memory_figure(many, estimate(many)))
    assert bar.category == "each of 64 GPUs"


@pytest.mark.usefixtures("qapp")
@pytest.mark.parametrize("size", [(800, 450), (902, 175), (1400, 300)])
@pytest.mark.parametrize(
    "entries",
    [
        {"context": 32768},
        {"context": 4096},
        {"context": 131072, "batch": 64},
        {"gpu": "H100 SXM5 80GB", "task": "finetune"},
        {"gpu": "H100 SXM5 80GB", "task": "pretrain", "dp": 16, "zero": 1},
        {"gpu": "H100 SXM5 80GB", "task": "pretrain", "dp": 64, "zero": 3},
    ],
)
def test_the_total_is_always_named_and_no_line_runs_through_words(
    entries: dict[str, object], size: tuple[int, int]
) -> None:
    chosen = plan(**entries)
    figure = memory_figure(chosen, estimate(chosen))
    picture = QImage(*size, QImage.Format.Format_RGB32)
    with QPainter(picture) as painter:
        drawn = draw(painter, *size, figure, LIGHT, CARD)
    (bar,), (laid,) = bars(figure), drawn.plots
    written = {box.text: box.rect for box in drawn.texts if laid.rect.intersects(box.rect)}
    assert bar.label in written
    lines = [laid.x.at(mark.value) for mark in figure.marks if isinstance(mark, Rule)]
    for words, rect in written.items():
        if laid.rect.contains(rect):
            assert not any(x is not None and rect.left() < x < rect.right() for x in lines), words
    wide = [segment for segment in bar.segments if segment.value > 0.03 * sum(s.value for s in bar.segments)]
    assert {segment.label for segment in wide} <= written.keys()  # each with its value


def test_the_table_holds_the_bounds_and_people_s_words() -> None:
    chosen = plan(gpu="H100 SXM5 80GB", task="finetune")
    needs = estimate(chosen)
    figure = memory_figure(chosen, needs)
    assert "BF16 mixed precision with AdamW, in the optimizer step" in figure.subtitle
    header, *found = rows(figure)
    told = {row[header.index("series")]: row for row in found}
    for term in needs.devices[0].peak.terms:
        row = told[TERM_TITLES[term.name]]
        bounds = [row[header.index(name)] for name in ("low", "high")]
        assert bounds == [str(term.low), str(term.high)]


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
