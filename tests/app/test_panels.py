"""The fields at the left follow task, engine and method; the rarer ones are behind one "More"."""

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from llmplanner.app.fields import ChoiceField, CountField, SwitchField
from llmplanner.app.main import example_window
from llmplanner.app.panels import Panel
from llmplanner.app.panels.controls import control
from llmplanner.app.panels.fold import Fold
from llmplanner.app.window import Window
from llmplanner.comparison import adapted
from llmplanner.core.errors import BadInput
from llmplanner.plan_fields import BLOCKS, ENGINES, METHODS, TASKS, used
from llmplanner.plans import Draft


@pytest.fixture
def window(qtbot: QtBot) -> Window:
    window = example_window()
    qtbot.addWidget(window)
    with qtbot.waitActive(window):
        window.show()
        window.activateWindow()
    return window


def fold_of(panel: Panel) -> Fold:
    fold = panel.findChild(Fold)
    assert isinstance(fold, Fold)
    return fold


def seen(panel: Panel) -> list[str]:
    """The names of the fields that can be seen, from the top down."""
    shown = [(field.mapTo(panel, field.rect().topLeft()).y(), name) for name, field in panel.fields.items()
             if field.isVisible()]  # fmt: skip
    return [name for _, name in sorted(shown)]


def test_what_is_seen_are_the_fields_that_the_plan_uses_in_their_order(window: Window) -> None:
    order = used("serve", "transformers", "full")
    names = seen(window.plan.workload)
    assert names == [name for name in order if name in names]
    assert set(names) == {"task", "engine", "weights", "kv", "context", "batch"}
    QTest.mouseClick(fold_of(window.plan.workload).button, Qt.MouseButton.LeftButton)
    QApplication.processEvents()
    names = seen(window.plan.workload)
    assert names == [name for name in order if name in names]
    assert {"prompt", "attention", "static_cache", "all_logits"} <= set(names)


def test_the_fold_stays_as_it_was_left_and_opens_by_keyboard(window: Window) -> None:
    fold = fold_of(window.plan.workload)
    fold.button.setFocus()
    QTest.keyClick(fold.button, Qt.Key.Key_Space)
    assert fold.is_open
    window.session.edit(task="finetune")
    assert fold.is_open
    assert window.plan.workload.fields["accumulation"].isVisible()
    window.session.edit(task="serve")
    assert not window.plan.workload.fields["accumulation"].isVisible()
    QTest.keyClick(fold.button, Qt.Key.Key_Space)
    assert not window.plan.workload.fields["prompt"].isVisible()


def test_a_folded_field_that_is_set_is_counted(window: Window) -> None:
    fold = fold_of(window.plan.workload)
    assert fold.button.text() == "More"
    window.session.edit(prompt=4096)
    assert fold.button.text() == "More · 1 changed"
    window.session.undo()
    assert fold.button.text() == "More"


def test_a_refusal_opens_the_fold_and_is_told_at_its_field(window: Window) -> None:
    before = window.session.state
    window.session.edit(prompt=50_000)  # beyond the context of 32,768
    field = window.plan.workload.fields["prompt"]
    assert field.isVisible()
    assert "50,000" in field.problem.text()
    assert window.session.state is before
    assert not window.notice.isVisible()


def test_the_column_scrolls_to_the_field_that_is_wrong(window: Window, qtbot: QtBot) -> None:
    window.session.edit(task="finetune", method="lora")
    window.session.edit(lora_targets="no_such_linear")
    field = window.plan.workload.fields["lora_targets"]
    assert "q_proj" in field.problem.text()
    qtbot.waitUntil(lambda: not field.problem.visibleRegion().isEmpty())
    assert window.session.state.draft.lora_targets == "all-linear"


def test_a_wrong_number_in_the_fold_leaves_the_last_good_plan(window: Window) -> None:
    window.session.edit(task="finetune")
    QTest.mouseClick(fold_of(window.plan.workload).button, Qt.MouseButton.LeftButton)
    field = window.plan.workload.fields["accumulation"]
    assert isinstance(field, CountField)
    field.entry.setFocus()
    QTest.keyClicks(field.entry, "x")
    QTest.keyClick(field.entry, Qt.Key.Key_Return)
    assert field.problem.text()
    assert window.session.state.draft.accumulation == 1
    field.entry.selectAll()
    QTest.keyClicks(field.entry, "4")
    QTest.keyClick(field.entry, Qt.Key.Key_Return)
    assert not field.problem.text()
    assert window.session.state.draft.accumulation == 4


def test_only_llama_cpp_is_offered_blocks_for_its_cache() -> None:
    for engine in ENGINES:
        window = example_window()
        try:
            window.session.edit(engine=engine)
        except BadInput:
            continue
        if window.session.state.draft.engine == engine:
            kv = window.plan.workload.fields["kv"]
            assert isinstance(kv, ChoiceField)
            assert (kv.box.findData("q8_0") >= 0) is (engine == "llama.cpp")


@pytest.mark.parametrize("engine", ENGINES)
def test_every_format_that_is_offered_for_a_cache_is_taken(window: Window, engine: str) -> None:
    window.session.edit(gpu="NVIDIA H100 SXM5 80GB", engine=engine)
    kv = window.plan.workload.fields["kv"]
    assert isinstance(kv, ChoiceField)
    for offered in [kv.box.itemData(row) for row in range(kv.box.count())]:
        window.session.edit(kv=offered)
        assert window.session.state.draft.kv == offered


def test_llama_cpp_takes_a_cache_in_fp8_back() -> None:
    draft = Draft(kv="fp8-e4m3", kv_values="fp16")
    assert adapted(draft, "engine", "llama.cpp") == {"kv": None}
    assert adapted(draft, "engine", "vllm") == {}


def test_another_engine_takes_blocks_and_sizes_that_it_does_not_know_back() -> None:
    draft = Draft(engine="llama.cpp", kv="q8_0", kv_values="q4_0", cp=2, tp=2, count=4)
    assert adapted(draft, "engine", "transformers") == {"cp": 1, "count": None, "kv": None, "kv_values": None}
    assert {draft.kv, draft.kv_values} <= set(BLOCKS)


def test_a_switch_is_clicked_and_taken_back(window: Window, qtbot: QtBot) -> None:
    window.session.edit(task="finetune")
    QTest.mouseClick(fold_of(window.plan.workload).button, Qt.MouseButton.LeftButton)
    switch = window.plan.workload.fields["keep_logits"]
    assert isinstance(switch, SwitchField)
    qtbot.mouseClick(switch.box, Qt.MouseButton.LeftButton, pos=QPoint(8, switch.box.height() // 2))
    told = switch.problem.text()
    assert window.session.state.draft.keep_logits or "later version" in told
    window.session.edit(micro_batch=2)
    assert switch.box.isChecked() == window.session.state.draft.keep_logits


def test_a_size_of_the_split_takes_as_many_gpus_as_it_needs(window: Window) -> None:
    window.session.edit(task="finetune", count=8)
    tensor = window.plan.machine.fields["tp"]
    assert isinstance(tensor, CountField)
    tensor.entry.setFocus()
    tensor.entry.selectAll()
    QTest.keyClicks(tensor.entry, "2")
    QTest.keyClick(tensor.entry, Qt.Key.Key_Return)
    split = window.session.state.plan.split
    assert (split.devices, split.tensor, split.data) == (8, 2, 4)
    data = window.plan.machine.fields["dp"]
    assert isinstance(data, CountField)
    assert data.entry.text() == "4"
    data.entry.setFocus()
    data.entry.selectAll()
    QTest.keyClicks(data.entry, "8")
    QTest.keyClick(data.entry, Qt.Key.Key_Return)
    split = window.session.state.plan.split
    assert (split.devices, split.tensor, split.data) == (16, 2, 8)


def test_tab_goes_through_the_fields_from_the_top_down(window: Window) -> None:
    window.session.edit(task="finetune")
    panel = window.plan.workload
    QTest.mouseClick(fold_of(panel).button, Qt.MouseButton.LeftButton)
    QApplication.processEvents()
    panel.fields["task"].stops()[0].setFocus()
    heights = []
    for _ in range(14):
        focused = QApplication.focusWidget()
        assert focused is not None
        heights.append(focused.mapTo(panel, focused.rect().center()).y())
        QTest.keyClick(focused, Qt.Key.Key_Tab)
    assert heights == sorted(heights)


@pytest.mark.usefixtures("qapp")
def test_every_field_that_a_plan_can_use_has_a_control_with_a_tip() -> None:
    plans = {used(task, engine, method) for task in TASKS for engine in ENGINES for method in METHODS}
    for name in {name for plan in plans for name in plan} - {"model"}:
        made = control(name)
        assert made.control.toolTip().endswith(".")
        assert made.control.accessibleName()
