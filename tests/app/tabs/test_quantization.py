"""The Quantization page under real clicks and keys."""

from dataclasses import replace

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QScrollArea
from pytestqt.qtbot import QtBot

from llmplanner.app.main import example_window
from llmplanner.app.session import Session
from llmplanner.app.tabs.quantization import QuantizationTab
from llmplanner.charts.figure import Bar
from llmplanner.charts.palette import DARK
from llmplanner.core.plan import Precision
from llmplanner.plans import Draft

PLAN = Draft(gpu="NVIDIA GeForce RTX 4090")


@pytest.fixture
def tab(qtbot: QtBot) -> QuantizationTab:
    session = Session(PLAN)
    page = QuantizationTab(session)
    qtbot.addWidget(page)
    page.show_theme(DARK)
    page.show_state(session.state)
    page.resize(940, 760)
    page.show()
    qtbot.waitExposed(page)
    return page


def bits(tab: QuantizationTab, key: str) -> str:
    return "".join(bit.text_of_bit for bit in tab.grid.rows[key].bits)


def stored(tab: QuantizationTab, key: str) -> str:
    return tab.grid.labels[key][1].text()


def enter(qtbot: QtBot, tab: QuantizationTab, text: str) -> None:
    tab.value.selectAll()
    qtbot.keyClicks(tab.value, text)
    qtbot.keyClick(tab.value, Qt.Key.Key_Return)


def test_it_opens_on_pi(tab: QuantizationTab) -> None:
    assert tab.value.text() == "pi"
    assert bits(tab, "bf16") == "0100000001001001"
    assert stored(tab, "fp32") == "3.141592741"
    assert stored(tab, "int8") == "3"
    assert stored(tab, "int8-absmax") == "3.149606299"
    assert tab.grid.labels["fp16"][3].text() == "±65,504"


def test_a_click_flips_one_bit(qtbot: QtBot, tab: QuantizationTab) -> None:
    qtbot.mouseClick(tab.grid.rows["fp16"].bits[0], Qt.MouseButton.LeftButton)
    assert tab.value.text() == "-3.140625"
    assert bits(tab, "fp16") == "1100001001001000"
    assert stored(tab, "bf16") == "-3.140625"
    qtbot.mouseClick(tab.grid.rows["fp32"].bits[31], Qt.MouseButton.LeftButton)
    assert bits(tab, "fp32")[-1] == "1"


def test_a_flip_to_nan_shows_that_very_pattern(qtbot: QtBot, tab: QuantizationTab) -> None:
    enter(qtbot, tab, "448")
    qtbot.mouseClick(tab.grid.rows["fp8-e4m3"].bits[7], Qt.MouseButton.LeftButton)
    assert tab.value.text() == "fp8-e4m3:0x7F"
    assert stored(tab, "fp8-e4m3") == "nan"
    assert not tab.grid.rows["int8"].bits[0].isVisible()
    assert tab.grid.rows["int8"].none.isVisible()


def test_the_keyboard_reaches_and_flips_every_bit(qtbot: QtBot, tab: QuantizationTab) -> None:
    row = tab.grid.rows["bf16"]
    row.bits[0].setFocus()
    for _ in range(15):
        qtbot.keyClick(tab.focusWidget(), Qt.Key.Key_Right)
    assert row.bits[15].hasFocus()
    qtbot.keyClick(row.bits[15], Qt.Key.Key_Space)
    assert bits(tab, "bf16") == "0100000001001000"
    qtbot.keyClick(row.bits[15], Qt.Key.Key_Up)
    assert stored(tab, "bf16") == "3.140625"
    qtbot.keyClick(row.bits[15], Qt.Key.Key_Return)
    assert bits(tab, "bf16") == "0100000001001000"


def test_every_bit_has_a_name_for_a_screen_reader(tab: QuantizationTab) -> None:
    names = [bit.accessibleName() for row in tab.grid.rows.values() for bit in row.bits]
    assert len(names) == 32 + 19 + 16 + 16 + 8 + 8 + 8 + 8 + 4 + 4
    assert len(set(names)) == len(names)
    assert "FP32, exponent bit 30: 1" in names


@pytest.mark.parametrize("text", ["abc", "0x4049", "1e999999999", "9" * 3000, ""])
def test_a_wrong_entry_is_marked_and_the_last_value_stays(
    qtbot: QtBot, tab: QuantizationTab, text: str
) -> None:
    tab.value.selectAll()
    tab.value.insert(text)
    tab.value.textEdited.emit(text)
    qtbot.keyClick(tab.value, Qt.Key.Key_Return)
    assert tab.problem.isVisible()
    assert tab.problem.text().endswith(".")
    assert tab.value.property("wrong")
    assert stored(tab, "fp32") == "3.141592741"
    enter(qtbot, tab, "0,1")
    assert not tab.problem.isVisible()
    assert not tab.value.property("wrong")
    assert stored(tab, "bf16") == "0.1000976562"


def test_the_scale_is_the_users(qtbot: QtBot, tab: QuantizationTab) -> None:
    qtbot.keyClicks(tab.absmax, "pi")
    assert bits(tab, "int8-absmax") == "01111111"
    assert tab.grid.labels["int8-absmax"][2].text() == "0"
    tab.absmax.selectAll()
    qtbot.keyClicks(tab.absmax, "-1")
    qtbot.keyClick(tab.absmax, Qt.Key.Key_Return)
    assert tab.problem.text() == "absmax cannot be -1; it takes a number above zero, such as 4."
    assert bits(tab, "int8-absmax") == "01111111"
    tab.absmax.clear()
    qtbot.keyClick(tab.absmax, Qt.Key.Key_Return)
    assert stored(tab, "int8-absmax") == "3.149606299"


def test_flipping_a_scaled_bit_keeps_the_scale(qtbot: QtBot, tab: QuantizationTab) -> None:
    qtbot.mouseClick(tab.grid.rows["int8-absmax"].bits[1], Qt.MouseButton.LeftButton)  # 100 to 36
    assert stored(tab, "int8-absmax") == "1.133858268"  # 36 * 4 / 127
    assert tab.absmax.text() == "4"


def test_the_focused_format_is_explained(tab: QuantizationTab) -> None:
    tab.grid.rows["fp32"].bits[3].setFocus()
    assert "not the range's lower end" in tab.why.text()
    tab.grid.rows["fp16"].bits[3].setFocus()
    assert "keeps FP32 weights" in tab.why.text()


def test_the_models_sizes_follow_the_plan(tab: QuantizationTab) -> None:
    bars = {mark.category: mark for mark in tab.formats.figure().marks if isinstance(mark, Bar)}
    weights = {name: bar.segments[0].value for name, bar in bars.items()}
    assert weights["FP32"] == 4 * 8_030_261_248
    assert weights["BF16, as planned"] == 2 * 8_030_261_248
    assert weights["INT8"] == 8_030_261_248
    tab.show_state(Session(replace(PLAN, model="qwen2.5-7b")).state)
    assert tab.formats.figure().title.startswith("Qwen2.5 7B at each format")


@pytest.mark.parametrize("width", [640, 940, 1580])
@pytest.mark.parametrize("text", ["pi", "-70000", "1e-45", "1/3"])
def test_no_words_are_cut(qtbot: QtBot, tab: QuantizationTab, width: int, text: str) -> None:
    enter(qtbot, tab, text)
    tab.resize(width, 860)
    qtbot.wait(1)
    for labels in tab.grid.labels.values():
        for label in labels:
            assert label.width() >= label.fontMetrics().horizontalAdvance(label.text())
    assert isinstance(tab.why, QLabel)
    assert tab.why.height() >= tab.why.heightForWidth(tab.why.width())


def test_export_takes_the_bits_that_are_shown(qtbot: QtBot, tab: QuantizationTab) -> None:
    enter(qtbot, tab, "0.1")
    assert tab.figure().name == "bits"
    assert tab.figure().title.startswith("0.1 in every")


def test_the_number_and_its_scale_come_back_at_the_next_start(qtbot: QtBot, tab: QuantizationTab) -> None:
    enter(qtbot, tab, "0,1")
    qtbot.keyClicks(tab.absmax, "1/3")
    session = Session(PLAN)
    session.kept = dict(tab.session.kept)
    again = QuantizationTab(session)
    qtbot.addWidget(again)
    assert again.value.text() == "0,1"
    assert stored(again, "bf16") == "0.1000976562"
    assert again.grid.labels["int8-absmax"][0].text() == tab.grid.labels["int8-absmax"][0].text()


def test_what_is_remembered_and_cannot_be_read_gives_pi(qtbot: QtBot) -> None:
    session = Session(PLAN)
    session.kept = {"quantization/number": "many", "quantization/absmax": "-1"}
    page = QuantizationTab(session)
    qtbot.addWidget(page)
    assert page.value.text() == "pi"


def test_the_page_needs_no_scrolling_in_a_window_of_1280_by_800(qtbot: QtBot) -> None:
    window = example_window()
    qtbot.addWidget(window)
    window.resize(1280, 800)
    window.show()
    qtbot.waitExposed(window)
    bar = window.tabs.tabBar()
    qtbot.mouseClick(bar, Qt.MouseButton.LeftButton, pos=bar.tabRect(1).center())
    page = window.page
    assert isinstance(page, QuantizationTab)
    (scroll,) = page.findChildren(QScrollArea)
    for text in ("pi", "-70000", "12345678.9", "-1e400", "fp32:0x2DCCCCCD", "tf32:0x16E64"):
        enter(qtbot, page, text)
        page.grid.rows["fp32"].bits[0].setFocus()
        qtbot.waitUntil(lambda: not scroll.verticalScrollBar().isVisible(), timeout=2000)
        names = {row.row.name for row in page.grid.rows.values()}
        qtbot.waitUntil(lambda: names <= {box.text for box in page.ranges.drawn().texts}, timeout=2000)  # noqa: B023 - called at once


@pytest.mark.parametrize("precision", [each.value for each in Precision])
def test_a_plan_of_any_precision_is_shown(tab: QuantizationTab, precision: str) -> None:
    draft = Draft(task="pretrain", precision=precision, gpu="NVIDIA H100 SXM5 80GB")
    tab.show_state(Session(draft).state)
    names = tab.formats.figure().y.names
    assert [name for name in names if name.endswith(", as planned")]
