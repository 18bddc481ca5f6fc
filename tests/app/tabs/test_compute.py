"""The Compute budget page, by what a person types and reads."""

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from llmplanner.app.session import Session
from llmplanner.app.tabs.compute import ComputeTab
from llmplanner.charts.figure import Bar, Point
from llmplanner.charts.palette import LIGHT
from llmplanner.plans import Draft

LLAMA_3_8B = Draft(task="pretrain", gpu="h100-sxm", count=512, zero=3, tokens=15 * 10**12)


@pytest.fixture
def page(qtbot: QtBot) -> ComputeTab:
    return shown(qtbot, LLAMA_3_8B)


def shown(qtbot: QtBot, draft: Draft) -> ComputeTab:
    session = Session(draft)
    tab = ComputeTab(session)
    qtbot.addWidget(tab)
    tab.resize(936, 584)
    tab.show_theme(LIGHT)
    session.changed.connect(tab.show_state)
    tab.show_state(session.state)
    tab.show()
    qtbot.waitExposed(tab)
    return tab


def type_into(tab: ComputeTab, name: str, text: str) -> None:
    entry = tab.fields[name].entry
    entry.setFocus()
    entry.selectAll()
    QTest.keyClick(entry, Qt.Key.Key_Delete)
    QTest.keyClicks(entry, text)
    QTest.keyClick(entry, Qt.Key.Key_Return)


def figures(tab: ComputeTab) -> dict[str, str]:
    return {name: stat.figure.text() for name, stat in tab.stats.items()}


def test_llama_3_8b_on_15_trillion_tokens(page: ComputeTab) -> None:
    assert figures(page)["FLOPs"] == "7.23×10²³ FLOPs"
    assert figures(page)["PF-days"] == "8,365 PF-days"
    assert "2025-03" in page.stats["Cost"].detail.text()  # a price has its date


@pytest.mark.parametrize("text", ["0,156", "15.6 %"])
def test_published_efficiency_gives_the_published_hours(page: ComputeTab, text: str) -> None:
    """Llama 3 8B took 1.3 million H100-hours, which is 15.6 % of the peak."""
    type_into(page, "efficiency", text)
    assert "1.3M GPU-hours" in page.stats["Cost"].toolTip()
    assert figures(page)["Time"] == "106 days"


def test_price_typed_is_the_price(page: ComputeTab) -> None:
    type_into(page, "efficiency", "0.156")
    type_into(page, "price_per_hour", "2")
    assert figures(page)["Cost"] == "$2.6M"
    assert "2025-03" not in page.stats["Cost"].detail.text()
    type_into(page, "price_per_hour", "")
    assert "2025-03" in page.stats["Cost"].detail.text()


def test_tokens_move_the_dot(page: ComputeTab) -> None:
    type_into(page, "tokens", "1.5T")
    (plan,) = [m for m in page.figure().marks if isinstance(m, Point) and m.marker == "plan"]
    assert plan.y == pytest.approx(836.5, rel=1e-3)


def test_limits_say_which_binds(page: ComputeTab) -> None:
    assert page.binding.text() == (
        "No limit is set; type one above. For example 8 GPUs, 7 days and $10,000: "
        "time would bind, 3,020 days needed."
    )
    assert page.limits.isVisible()  # the example's
    assert page.session.state.draft.limit_devices is None
    type_into(page, "limit_days", "21")
    assert page.binding.text().startswith("Time binds: 47.2 days needed, 21 days at hand. 1,151 GPUs meet it")
    type_into(page, "limit_devices", "1000")
    assert page.binding.text().startswith(
        "Time binds: 24.2 days needed, 21 days at hand. It would take 1,151 GPUs."
    )
    assert "On the 1,000 GPUs at hand, all limits together allow 13T of 15T tokens." in page.binding.text()
    type_into(page, "limit_cost", "0.5M")
    assert page.binding.text().startswith("Money binds: $2.29M needed, $500k at hand.")
    assert page.limits.isVisible()
    bars = [mark for mark in page.limits.figure().marks if isinstance(mark, Bar)]
    assert [bar.category for bar in bars] == ["GPUs 1,000", "time 21 days", "money $500k"]


def test_limits_that_hold_say_so(page: ComputeTab) -> None:
    type_into(page, "limit_days", "100")
    assert page.binding.text() == (
        "On the plan's 512 GPUs, the run keeps to all limits; time is the nearest, at 47 %."
    )


def test_wrong_entry_marks_its_own_field(page: ComputeTab) -> None:
    before = figures(page)
    type_into(page, "efficiency", "3")
    assert page.fields["efficiency"].entry.property("wrong")
    assert page.observed.text() == "Efficiency (MFU) takes 0.001 to 1, such as 0.35 or 35 %; not '3'."
    assert page.observed.isVisible()
    assert figures(page) == before
    type_into(page, "efficiency", "0.35")
    assert page.observed.text().startswith("MFU seen")


def test_wrong_entries_move_nothing(page: ComputeTab) -> None:
    places = [field.mapTo(page, field.rect().topLeft()) for field in page.fields.values()]
    for name in page.fields:
        type_into(page, name, "many")
    assert page.binding.text() == "Money at hand (USD) takes 0 to 1e12, such as 10k; not 'many'."
    assert [field.mapTo(page, field.rect().topLeft()) for field in page.fields.values()] == places


def test_the_page_says_that_it_trains_what_the_plan_serves(qtbot: QtBot) -> None:
    tab = shown(qtbot, Draft(gpu="rtx-4090"))
    assert tab.title.text() == "Training Llama 3.1 8B, among published runs"
    assert tab.what.text().startswith("The plan serves")


def test_power_usage_effectiveness_is_typed(page: ComputeTab) -> None:
    before = page.stats["Cost"].detail.text()
    type_into(page, "pue", "2,2")
    assert "PUE of 2.2" in page.stats["Cost"].toolTip()
    assert page.stats["Cost"].detail.text() != before
    assert "700 W a GPU" in page.observed.text()


def test_a_card_without_a_peak_in_the_precision_gets_a_sentence(qtbot: QtBot) -> None:
    tab = shown(qtbot, Draft(gpu="apple-m4-max-128"))
    assert figures(tab)["Time"] == "No time yet"
    assert tab.binding.text() == "Limits need a GPU whose dense peak is known."


def test_a100_are_three_and_a_fifth_not_two(page: ComputeTab) -> None:
    items = [page.equivalents.horizontalHeaderItem(i) for i in range(5)]
    heads = [item.text() for item in items if item is not None]
    rows = [dict(zip(heads, row, strict=True)) for row in page.equivalents.texts()]
    assert (rows[0]["V100"], rows[0]["A100"]) == ("125", "312")
    assert (rows[1]["V100"], rows[1]["A100"]) == ("8", "3.21")
    type_into(page, "efficiency", "40%")
    assert page.equivalents.texts()[2][2] == "8.01"


def test_observed_efficiency_stands_beside_the_field(page: ComputeTab) -> None:
    assert "A100 22–51 % (median 34)" in page.observed.text()
    assert "H100 14–37 %" in page.observed.text()


@pytest.mark.parametrize(("parameters", "tokens"), [(1, 1), (10**15, 10**18), (10**15, 1)])
def test_the_ends_of_what_can_be_typed(qtbot: QtBot, parameters: int, tokens: int) -> None:
    tab = shown(
        qtbot, Draft(gpu="h100-sxm", parameters=parameters, tokens=tokens, limit_cost=0, limit_days=1)
    )
    assert not tab.grab().isNull()
    assert figures(tab)["FLOPs"].endswith("FLOPs")


def test_no_gpu_leaves_the_operations(qtbot: QtBot) -> None:
    tab = shown(qtbot, Draft())
    assert figures(tab)["FLOPs"].endswith("FLOPs")
    assert figures(tab)["Time"] == "No time yet"
    assert "Choose a GPU" in tab.stats["Time"].detail.text()


def test_encoder_decoder_counts_three_n_d(qtbot: QtBot) -> None:
    tab = shown(qtbot, Draft(model="t5-11b", gpu="a100-sxm-80", tokens=10**12))
    assert tab.stats["FLOPs"].detail.text().startswith("3 N D")
    assert figures(tab)["FLOPs"] == "3.39×10²² FLOPs"
