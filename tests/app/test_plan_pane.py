"""The plan at the left and the verdict on top, read as a person reads them."""

import json
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractItemView, QCompleter
from pytestqt.qtbot import QtBot

from llmplanner.app.fields import SearchField
from llmplanner.app.main import example_window
from llmplanner.app.verdict_bar import VerdictBar, headline
from llmplanner.app.window import Window
from llmplanner.core.machine import Device, Machine
from llmplanner.gpus.local import Probe
from llmplanner.models import catalogue

GIB = 2**30
LARGE = Device("NVIDIA GeForce RTX 4090", 24 * GIB, memory_free=22 * GIB, uuid="GPU-4090")
SMALL = Device("NVIDIA GeForce RTX 3060", 12 * GIB, memory_free=11 * GIB, uuid="GPU-3060")
SPARK = Device("NVIDIA GB10", 120 * GIB, memory_free=100 * GIB, uuid="GPU-10", unified=True)


@pytest.fixture
def window(qtbot: QtBot) -> Window:
    window = example_window()
    qtbot.addWidget(window)
    with qtbot.waitExposed(window):
        window.show()
    window.plan.model.offer(tuple((entry.name, entry.title) for entry in catalogue.entries()))
    return window


def search(window: Window, name: str, text: str) -> SearchField:
    field = window.plan.model.fields[name]
    assert isinstance(field, SearchField)
    field.entry.setFocus()
    field.entry.selectAll()
    QTest.keyClicks(field.entry, text)
    QTest.keyClick(field.entry, Qt.Key.Key_Return)
    return field


@pytest.mark.qt_log_ignore("This plugin does not support", extend=True)  # the list that drops down, offscreen
@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("bert base, uncased", "bert-base-uncased"),
        ("bert", "albert-base-v2"),
        ("qwen", "qwen1.5-1.8b"),
        ("gpt2-xl", "gpt2-xl"),
        ("gpt2", "gpt2"),
    ],
)
def test_return_takes_the_first_model_of_the_list(window: Window, text: str, chosen: str) -> None:
    search(window, "model", text)
    assert window.session.state.draft.model == chosen


@pytest.mark.qt_log_ignore("This plugin does not support", extend=True)
def test_return_in_the_open_list_takes_its_first_model(window: Window) -> None:
    field = window.plan.model.fields["model"]
    assert isinstance(field, SearchField)
    field.entry.setFocus()
    field.entry.selectAll()
    QTest.keyClicks(field.entry, "bert")
    finder = field.box.completer()
    assert isinstance(finder, QCompleter)
    popup = finder.popup()
    assert isinstance(popup, QAbstractItemView)
    assert popup.isVisible()
    first = popup.model().index(0, 0).data()
    QTest.keyClick(popup, Qt.Key.Key_Return)
    assert window.session.state.plan.model.name == first
    assert field.entry.text() == first
    assert not popup.isVisible()


def test_names_that_arrive_leave_what_is_being_typed(window: Window) -> None:
    field = window.plan.model.fields["model"]
    assert isinstance(field, SearchField)
    field.entry.setFocus()
    field.entry.selectAll()
    QTest.keyClicks(field.entry, "zz")
    window.plan.model.offer((("gpt2", "GPT-2"),))
    assert field.entry.text() == "zz"


@pytest.mark.qt_log_ignore("This plugin does not support", extend=True)
def test_a_model_that_is_not_there_is_told_with_what_the_window_offers(window: Window, qtbot: QtBot) -> None:
    with qtbot.waitSignal(window.session.refused):
        field = search(window, "model", "no such model")
    assert "Catalogue…" in field.problem.text()
    assert "`models`" not in field.problem.text()


def test_two_unlike_cards_are_both_named_with_their_memory(window: Window) -> None:
    window.session.meet(Machine((LARGE, SMALL), local=True))
    window.plan.machine.offer((LARGE, SMALL), ())
    window.session.edit(gpu="local", count=2)
    gpu, said = window.plan.machine.fields["gpu"], window.plan.machine.about.text()
    assert isinstance(gpu, SearchField)
    assert gpu.entry.text() == "This computer · 2 GPUs"
    for device, free in ((LARGE, "22.00 of 24.00"), (SMALL, "11.00 of 12.00")):
        assert f"{device.name}: {free} GiB free now" in said


def test_this_computers_card_and_the_same_by_its_uuid_are_told_apart(window: Window) -> None:
    window.session.meet(Machine((LARGE, SMALL), local=True))
    window.plan.machine.offer((LARGE, SMALL), ())
    gpu = window.plan.machine.fields["gpu"]
    assert isinstance(gpu, SearchField)
    shown = []
    for chosen in ("local", "GPU-4090"):
        window.session.edit(gpu=chosen)
        shown.append(gpu.entry.text())
        assert gpu.box.itemText(gpu.box.currentIndex()) == gpu.entry.text()
    assert shown == ["This computer · NVIDIA GeForce RTX 4090", "NVIDIA GeForce RTX 4090 · GPU-4090"]


def test_shared_memory_is_told(window: Window) -> None:
    said = "1 GPU can be used. NVIDIA GB10 has no memory of its own: it uses the computer's."
    window.plan.machine.show_probe(Probe("ok", said, (SPARK,), "570.1"))
    assert said in window.plan.machine.seen.text()
    window.plan.machine.show_probe(Probe("ok", "1 GPU can be used.", (LARGE,), "570.1"))
    assert window.plan.machine.seen.isHidden()


def test_a_quantization_that_is_not_read_is_told_beneath_the_model(
    window: Window, qtbot: QtBot, tmp_path: Path
) -> None:
    assert window.plan.model.note.isHidden()
    config = tmp_path / "config.json"
    sizes = {"n_embd": 768, "n_layer": 12, "n_head": 12, "n_positions": 1024, "vocab_size": 50257}
    config.write_text(json.dumps({"model_type": "gpt2", **sizes, "quantization_config": {"bits": 4}}))
    with qtbot.waitSignal(window.session.changed):
        window.session.choose_model(str(config))
    assert window.plan.model.note.isVisible()
    assert window.plan.model.note.text() == window.session.state.plan.model.note
    assert "quantization_config" in window.plan.model.note.text()


@pytest.mark.parametrize("context", [8192, 131_072])
def test_the_headline_calls_usable_memory_usable(window: Window, context: int) -> None:
    window.session.edit(context=context)
    assert headline(window.session.state.verdict).endswith("23.65 GiB usable")


def test_the_verdict_keeps_its_height_and_shows_the_rest_in_a_tool_tip(window: Window, qtbot: QtBot) -> None:
    bar: VerdictBar = window.verdict
    qtbot.waitUntil(lambda: "would need" in bar.why.said)
    height = bar.height()
    long = "Weights in FP8 E4M3 would need 12.34 GiB, which fits. " * 8
    bar.show_hint(long)
    QTest.qWait(20)
    assert bar.height() == height
    assert bar.why.text().endswith("…")
    assert long.strip() in bar.why.toolTip()
    bar.show_hint("KV cache in FP8 would need 21.01 GiB, which fits. " * 2)
    assert "…" in bar.why.text()
    assert bar.why.text().count("21.01 GiB, which fits.") == 2  # the reason is cut, not what helps
    bar.show_hint("")
    assert not bar.why.text().endswith("…")
