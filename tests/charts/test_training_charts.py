"""What the charts of training say: published runs, limits, compute-optimal lines, losses."""

import itertools

import numpy as np
import pytest
from PySide6.QtGui import QImage, QPainter
from pytestqt.qtbot import QtBot

from llmplanner.charts.budget import budget_figure
from llmplanner.charts.draw import CARD, FILE, Drawn, Options, draw
from llmplanner.charts.figure import Band, Bar, Figure, Line, Point
from llmplanner.charts.limits import binding_sentence, limits_figure
from llmplanner.charts.loss import loss_figure, one_panel
from llmplanner.charts.palette import DARK, LIGHT
from llmplanner.charts.scaling import scaling_figure
from llmplanner.core.cost import Limits, Run, limit_uses
from llmplanner.models.laws import law_named, laws
from llmplanner.models.runs import training_runs

LAWS = tuple(laws().values())
BUDGET = budget_figure(training_runs(), 8.03e9, 15e12, 7.227e23)
SCALING = scaling_figure(LAWS, training_runs(), 8.03e9, 160e9)
LOSS = loss_figure(LAWS, LAWS[0], 8.03e9, 160e9)
RUN = Run(flops=7.227e23, devices=512, peak=989.4e12, efficiency=0.4, price=2.5)
LIMITS = limits_figure(limit_uses(RUN, Limits(devices=512, days=21, cost=2e6)))


def painted(figure: Figure, width: int, height: int, options: Options = FILE) -> Drawn:
    image = QImage(width, height, QImage.Format.Format_ARGB32)
    painter = QPainter(image)
    drawn = draw(painter, width, height, figure, LIGHT, options)
    painter.end()
    return drawn


def points(figure: Figure) -> dict[str, Point]:
    return {mark.label: mark for mark in figure.marks if isinstance(mark, Point)}


def lines(figure: Figure) -> dict[str, Line]:
    return {mark.colour: mark for mark in figure.marks if isinstance(mark, Line) and mark.colour != "line"}


def test_gpt3_stands_at_the_pf_days_of_its_paper() -> None:
    run = points(BUDGET)["GPT-3 175B"]
    assert (run.x, run.y) == (pytest.approx(174.6e9), pytest.approx(3640, rel=2e-3))
    assert run.colour == "decoder"
    assert points(BUDGET)["T5-11B"].y == pytest.approx(382, rel=1e-3)
    assert points(BUDGET)["T5-11B"].colour == "encoder-decoder"


def test_what_is_drawn_over_which_parameters_is_said() -> None:
    """T5-3B works with half of its parameters on a token, DeepSeek-V2 with 21 of 236 billion."""
    assert BUDGET.x.label == "parameters (total)"
    assert points(BUDGET)["DeepSeek-V2 236B"].x == pytest.approx(236e9, rel=0.01)
    assert "T5 3 N D" in BUDGET.source
    assert SCALING.x.label == "parameters that work on a token"
    assert points(SCALING)["DeepSeek-V2 236B"].x == pytest.approx(21e9, rel=0.03)
    assert points(SCALING)["T5-3B"].x < 1.6e9


def test_plan_stands_among_the_runs() -> None:
    plan = points(BUDGET)["your plan"]
    assert plan.marker == "plan"
    assert plan.y == pytest.approx(8365, rel=1e-3)  # as Llama 3 8B: the same size and tokens


@pytest.mark.parametrize(("width", "height"), [(560, 420), (640, 600), (1200, 800)])
def test_gopher_and_chinchilla_are_named_at_every_size(qtbot: QtBot, width: int, height: int) -> None:
    del qtbot
    words = {box.text for box in painted(SCALING, width, height).texts}
    assert {"Gopher 280B", "Chinchilla 70B", "your plan", "20 per parameter, a rule"} <= words


@pytest.mark.parametrize("figure", [BUDGET, SCALING, LOSS, LIMITS], ids=lambda figure: figure.name)
def test_no_words_touch(qtbot: QtBot, figure: Figure) -> None:
    del qtbot
    boxes = painted(figure, 640, 420).texts
    for one, other in itertools.combinations(boxes, 2):
        assert not one.rect.adjusted(1, 1, -1, -1).intersects(other.rect.adjusted(1, 1, -1, -1)), (one, other)


def test_every_colour_is_of_both_themes() -> None:
    for figure in (BUDGET, SCALING, LOSS, *LOSS.beside):
        for mark in figure.marks:
            if isinstance(mark, Point | Line | Band):
                assert LIGHT.colour(mark.colour)
                assert DARK.colour(mark.colour)


def test_lines_pass_the_published_optima() -> None:
    """At Gopher's compute: 67B by approach 1 (Table 3), 40.4B by approach 3, 71B by Besiroglu et al."""
    for colour, size in (("hoffmann1", 67e9), ("hoffmann3", 40.4e9), ("besiroglu", 71e9)):
        line = lines(SCALING)[colour]
        tokens = np.exp(np.interp(np.log(size), np.log(line.xs), np.log(line.ys)))
        assert 6 * size * tokens == pytest.approx(5.76e23, rel=0.05)


def test_band_holds_its_line() -> None:
    (band,) = [mark for mark in SCALING.marks if isinstance(mark, Band)]
    line = lines(SCALING)["besiroglu"]
    assert band.xs == line.xs
    for low, tokens, high in zip(band.lows, line.ys, band.highs, strict=True):
        assert low < tokens < high


def test_lines_are_dashed_beyond_the_fitted_runs() -> None:
    kaplan, hoffmann = lines(SCALING)["kaplan"].fitted, lines(SCALING)["hoffmann3"].fitted
    assert kaplan is not None
    assert hoffmann is not None
    assert kaplan[1] <= 1.5e9 < hoffmann[1] <= 16e9
    assert lines(SCALING)["rule20"].dash == "dotted"


def test_loss_panels_show_three_laws_and_the_plan() -> None:
    plan = float(law_named("besiroglu").loss(8.03e9, 160e9))  # type: ignore[union-attr]
    for panel in (LOSS, *LOSS.beside):
        assert set(lines(panel)) == {"besiroglu", "hoffmann3", "kaplan"}
        assert points(panel)["your plan"].y == pytest.approx(plan)
        assert any(isinstance(mark, Band) for mark in panel.marks)
    assert "never their heights" in LOSS.note


def test_loss_with_the_other_unlimited_stays_below_the_plan() -> None:
    for panel in (LOSS, *LOSS.beside):
        plan, line = points(panel)["your plan"], lines(panel)["besiroglu"]
        assert np.interp(np.log(plan.x), np.log(line.xs), line.ys) <= plan.y + 1e-3


def test_limits_tell_kept_tight_and_broken() -> None:
    bars = [mark for mark in LIMITS.marks if isinstance(mark, Bar)]
    assert [bar.label_colour for bar in bars] == ["bad", "bad", "ok"]
    assert [bar.label for bar in bars[:2]] == ["197 %", "197 %"]
    tight = limits_figure(limit_uses(RUN, Limits(days=44)))
    assert [mark.label_colour for mark in tight.marks if isinstance(mark, Bar)] == ["warn"]
    assert bars[1].category == "time 21 days"
    assert bars[1].segments[0].value == pytest.approx(41.28 / 21, rel=1e-3)


def test_shares_far_over_are_said_as_multiples_beside_their_bars(qtbot: QtBot) -> None:
    del qtbot
    run = Run(flops=7.227e23, devices=1, peak=165.2e12, efficiency=0.35, price=2.0)
    figure = limits_figure(limit_uses(run, Limits(devices=8, days=30, cost=10_000)))
    drawn = painted(figure, 396, 110, CARD)
    (laid,) = drawn.plots
    bars = [mark for mark in figure.marks if isinstance(mark, Bar)]
    assert [bar.label for bar in bars] == ["→ 603 ×", "→ 603 ×", "→ 694 ×"]
    for bar in bars:
        boxes = [box.rect for box in drawn.texts if box.text == bar.label]
        end = laid.x.at(bar.segments[0].value)
        assert end is not None
        assert all(end < box.left() and box.right() < 396 for box in boxes)
    assert float(figure.table[3][3]) == pytest.approx(694, abs=1)


def test_limits_sentence_is_of_the_gpus_at_hand() -> None:
    """8 GPUs x 30 days do 24.9B tokens, 10,000 dollars buy 21.6B; one GPU alone would do 3.1B."""
    run = Run(flops=7.227e23, devices=1, peak=165.2e12, efficiency=0.35, price=2.0)
    said = binding_sentence(run, Limits(devices=8, days=30, cost=10_000), 15e12)
    assert said.startswith("Money binds: $6.94M needed, $10,000 at hand.")
    assert said.endswith("On the 8 GPUs at hand, all limits together allow 21.6B of 15T tokens.")
    said = binding_sentence(run, Limits(devices=8, days=30), 15e12)
    assert said.startswith("Time binds: 18,100 days needed, 30 days at hand. It would take 4,823 GPUs.")
    assert said.endswith("allow 24.9B of 15T tokens.")
    assert "On the 8 GPUs at hand, the run takes" not in said


@pytest.mark.parametrize("size", [(396, 215), (1000, 700)])
def test_every_curve_of_every_loss_panel_is_named_on_it(qtbot: QtBot, size: tuple[int, int]) -> None:
    del qtbot
    for place in range(3):
        words = {box.text for box in painted(one_panel(LOSS, place), *size, CARD).texts}
        assert {"Besiroglu", "Hoffmann 3", "Kaplan", "your plan"} <= words


def test_gopher_and_chinchilla_are_compared_as_published() -> None:
    """Hoffmann et al. 2022 and Rae et al. 2021: 70B on 1.4T tokens, 280B on 300B."""
    assert "4 times fewer parameters, 4.7 times more tokens" in SCALING.note
    assert "not the same, 5.88×10²³ against 5.04×10²³ FLOPs" in SCALING.note
    assert {points(SCALING)[name].marker for name in ("Gopher 280B", "Chinchilla 70B")} == {"diamond"}


@pytest.mark.parametrize("size", [(464, 345), (464, 372), (868, 560), (1200, 800)])
def test_laws_are_named_on_the_side_where_no_other_lies(qtbot: QtBot, size: tuple[int, int]) -> None:
    """On the screen, Hoffmann 3 lies above Hoffmann 1, and Besiroglu below both."""
    del qtbot
    drawn = painted(SCALING, *size, CARD)
    (laid,) = drawn.plots
    for name, law, above in (
        ("Hoffmann 3", "hoffmann3", True),
        ("Hoffmann 1", "hoffmann1", True),
        ("Besiroglu", "besiroglu", False),
    ):
        (box,) = [box.rect for box in drawn.texts if box.text == name and laid.rect.contains(box.rect)]
        line = lines(SCALING)[law]
        xs, ys = [laid.x.at(x) or 0 for x in line.xs], [laid.y.at(y) or 0 for y in line.ys]
        assert (box.center().y() < np.interp(box.center().x(), xs, ys)) == above


def test_what_the_page_says_of_gopher_is_not_cut(qtbot: QtBot) -> None:
    """At the width that the chart has in a window of 1280 x 800."""
    del qtbot
    said = " ".join(box.text for box in painted(SCALING, 464, 345, CARD).texts)
    assert SCALING.note in said


@pytest.mark.parametrize("parameters", np.geomspace(1e8, 1e12, 25))
def test_your_plan_is_named_wherever_it_stands(qtbot: QtBot, parameters: float) -> None:
    del qtbot
    for tokens in (2e11, 1e12, 1.5e13):
        budget = budget_figure(training_runs(), parameters, tokens, 6 * parameters * tokens)
        scaling = scaling_figure(LAWS, training_runs(), parameters, tokens)
        for figure in (budget, scaling):
            assert "your plan" in {box.text for box in painted(figure, 464, 345, CARD).texts}
