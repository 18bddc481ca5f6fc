"""The Memory page: views in time, by device and side by side, and the receipt of whatever is clicked."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from llmplanner.app import receipt
from llmplanner.app.main import example_window
from llmplanner.app.tabs.memory import MemoryTab
from llmplanner.app.window import Window
from llmplanner.charts.figure import Bar
from llmplanner.charts.palette import TERM_TITLES
from llmplanner.comparison import answered
from llmplanner.core.estimate import Capacity, DeviceEstimate, Estimate, Host, Part
from llmplanner.core.estimating import estimate
from llmplanner.core.quantities import gib_text

GIB = 2**30


@pytest.fixture
def window(qtbot: QtBot) -> Window:
    window = example_window()
    window.resize(1280, 800)
    qtbot.addWidget(window)
    with qtbot.waitActive(window):
        window.show()
        window.activateWindow()
    return window


def memory(window: Window) -> MemoryTab:
    tab = window.pages[0].tab
    assert isinstance(tab, MemoryTab)
    return tab


def click(button: QWidget) -> None:
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)
    QApplication.processEvents()


def click_segment(tab: MemoryTab, title: str, row: int = 0) -> None:
    """Clicks the middle of a segment, where it was painted."""
    QApplication.processEvents()
    hits = [hit for hit in tab.chart.drawn().hits if hit.key and hit.text.startswith(title)]
    place = hits[row].area.center().toPoint()
    QTest.mouseClick(tab.chart, Qt.MouseButton.LeftButton, pos=place)


def seen(tab: MemoryTab) -> str:
    assert tab.receipt.isVisible()
    return tab.receipt.words.toPlainText()


def test_a_click_on_a_segment_shows_its_receipt(window: Window) -> None:
    tab = memory(window)
    click_segment(tab, "KV cache")
    told = seen(tab)
    term = next(term for term in window.session.state.estimate.devices[0].peak.terms
                if term.name == "kv_cache")  # fmt: skip
    for words in (term.formula, term.source, f"{int(term.bytes):,} bytes", "Error as measured", "--context"):
        assert words in told
    assert tab.table.term == term


def test_the_keyboard_goes_from_term_to_term_and_the_receipt_follows(window: Window) -> None:
    tab = memory(window)
    tab.table.setFocus()
    for row in range(1, tab.table.rows.rowCount()):
        QTest.keyClick(tab.table, Qt.Key.Key_Down)
        assert TERM_TITLES[tab.table.rows.terms[row].name] in seen(tab)


def test_the_keyboard_reaches_a_segment_of_the_chart(window: Window) -> None:
    tab = memory(window)
    QApplication.processEvents()
    tab.chart.setFocus(Qt.FocusReason.TabFocusReason)
    QTest.keyClick(tab.chart, Qt.Key.Key_Right)
    QTest.keyClick(tab.chart, Qt.Key.Key_Return)
    assert "Weights" in seen(tab)


def test_a_receipt_is_copied_whole(window: Window) -> None:
    tab = memory(window)
    click_segment(tab, "Weights")
    click(tab.receipt.copy)
    copied = QApplication.clipboard().text()
    assert "8,030,261,248 parameters" in copied
    assert "Source: " in copied
    assert "What makes it smaller: " in copied


def test_a_receipt_stays_true_while_the_plan_is_edited(window: Window) -> None:
    tab = memory(window)
    click_segment(tab, "KV cache")
    window.session.edit(context=16_384)
    assert "16,384 tokens" in seen(tab)
    assert "32,768" not in seen(tab)


def test_training_is_shown_over_time_with_the_peak_named(window: Window) -> None:
    window.session.edit(task="finetune", gpu="h100-sxm")
    tab = memory(window)
    figure = tab.figure()
    assert figure.name == "memory-phases"
    bars = [mark for mark in figure.marks if isinstance(mark, Bar)]
    assert [bar.category for bar in bars] == ["1. Forward", "2. Backward", "3. Optimizer step"]
    device = window.session.state.estimate.devices[0]
    named = [bar.category for bar in bars if "peak" in bar.label]
    assert named == [bars[device.phases.index(device.peak)].category]
    assert "Peak: " in figure.subtitle


def test_a_click_in_another_phase_shows_that_phase(window: Window) -> None:
    window.session.edit(task="finetune", gpu="h100-sxm")
    tab = memory(window)
    click_segment(tab, "Activations", row=0)
    assert "in the forward pass" in seen(tab)
    assert {term.name for term in tab.table.rows.terms} == {
        term.name for term in window.session.state.estimate.devices[0].phases[0].terms
    }


def test_the_views_can_be_chosen(window: Window) -> None:
    tab = memory(window)
    assert tab.figure().name == "memory"
    click(tab.views.buttons["phases"])
    assert tab.figure().name == "memory-phases"
    assert [b.isVisible() for b in tab.views.buttons.values()] == [True, True, False]
    click(tab.views.buttons["peak"])
    assert tab.figure().name == "memory"


def choose_rival(tab: MemoryTab, value: str) -> None:
    tab.views.rival.setFocus()
    place = tab.views.rival.findData(value)
    while tab.views.rival.currentIndex() != place:
        QTest.keyClick(tab.views.rival, Qt.Key.Key_Down)


def test_another_engine_is_set_beside_and_its_difference_explained(window: Window, qtbot: QtBot) -> None:
    tab = memory(window)
    choose_rival(tab, "vllm")
    assert tab.figure().name == "memory-engines"
    assert tab.rivals.isVisible()
    for row, pair in enumerate(tab.rivals.rows.pairs):
        cells = [tab.rivals.rows.index(row, column).data() for column in range(4)]
        assert cells[0] == TERM_TITLES[pair.name]
    place = tab.rivals.visualRect(tab.rivals.rows.index(0, 0)).center()
    qtbot.mouseClick(tab.rivals.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert "Transformers and vLLM" in seen(tab)
    before = tab.figure()
    window.session.edit(context=8192)
    qtbot.waitUntil(lambda: tab.figure() != before)
    click(tab.views.buttons["peak"])
    assert tab.figure().name == "memory"
    assert tab.table.isVisible()


def test_one_edit_is_one_estimate_and_the_rival_follows_later(
    window: Window, monkeypatch: pytest.MonkeyPatch
) -> None:
    tab = memory(window)
    choose_rival(tab, "vllm")
    counted: list[str] = []

    def counting(name: str, function: Callable[..., object]) -> Callable[..., object]:
        def called(*of: object) -> object:
            counted.append(name)
            return function(*of)

        return called

    monkeypatch.setattr("llmplanner.app.session.estimate", counting("own", estimate))
    monkeypatch.setattr("llmplanner.app.tabs.memory.answered", counting("other", answered))
    window.session.edit(context=8192)
    assert counted == ["own"]
    QTest.qWait(120)
    assert counted == ["own", "other"]


def with_stages(window: Window) -> Estimate:
    """The example's estimate as two stages would have it, with a host and a capacity."""
    state = window.session.state
    device = state.estimate.devices[0]
    stages = tuple(
        DeviceEstimate(device.name, device.phases[:count], f"stage {place} of 2: layers")
        for place, count in ((1, 2), (2, 3))
    )
    host = Host(
        (Part("optimizer", 3 * GIB, "12 B × parameters"), Part("weights", GIB, "2 B")), 1.5, "4 / 2.7"
    )
    return Estimate(stages, host, Capacity(2 * GIB, 16_384, 2, "22 GiB − 20 GiB"))


def test_devices_that_differ_are_bars_with_their_part_and_the_host_below(window: Window) -> None:
    tab, state = memory(window), window.session.state
    needed = with_stages(window)
    machine = replace(state.plan.machine, devices=state.plan.machine.devices * 2)
    tab.show_state(replace(state, plan=replace(state.plan, machine=machine), estimate=needed))
    figure = tab.figure()
    assert figure.name == "memory-devices"
    bars = [mark for mark in figure.marks if isinstance(mark, Bar)]
    assert [bar.category for bar in bars][-1] == "Memory of the computer"
    assert {bar.category for bar in bars[:-1]} == {"Stage 1 of 2", "Stage 2 of 2"}
    assert "Room for 16,384 tokens: 2 requests" in tab.beside.text()
    assert gib_text(4 * GIB) in tab.beside.text()


def test_host_and_capacity_have_receipts_of_their_own(window: Window) -> None:
    needed = with_stages(window)
    assert needed.host is not None
    assert needed.capacity is not None
    host = receipt.of_host(needed.host).text
    assert "12 B × parameters" in host
    assert "1.5 s = 4 / 2.7" in host
    assert "22 GiB − 20 GiB" in receipt.of_capacity(needed.capacity).text
    short = receipt.room_words(replace(needed.capacity, bytes=-GIB))
    assert "1.00 GiB more" in short


def test_a_page_of_another_task_forgets_what_was_clicked_there(window: Window) -> None:
    tab = memory(window)
    click_segment(tab, "KV cache")
    window.session.edit(task="finetune", gpu="h100-sxm")
    assert tab.table.rows.rowCount()
    place = tab.table.visualRect(tab.table.rows.index(0, 0)).center()
    QTest.mouseClick(tab.table.viewport(), Qt.MouseButton.LeftButton, pos=place + QPoint(2, 0))
    assert "Weights" in seen(tab)
