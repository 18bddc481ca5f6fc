"""The window as a person uses it: keys, clicks, drops, files, themes, and the example at first start."""

from itertools import pairwise
from pathlib import Path

import pytest
from PySide6.QtCore import QMimeData, QPoint, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QLineEdit, QMessageBox, QPushButton, QWidget
from pytestqt.qtbot import QtBot

from llmplanner import plans
from llmplanner.app.actions import Actions
from llmplanner.app.fields import ChoiceField, CountField, SearchField
from llmplanner.app.main import example_window, restored_window
from llmplanner.app.settings import Settings
from llmplanner.app.slider_field import SliderField
from llmplanner.app.start import Starter
from llmplanner.app.tabs.memory import MemoryTab
from llmplanner.app.window import Window
from llmplanner.core.machine import Device
from llmplanner.gpus.local import Probe
from llmplanner.plans import EXAMPLE, Draft

GIB = 2**30


@pytest.fixture
def window(qtbot: QtBot) -> Window:
    return open_window(qtbot, example_window())


def open_window(qtbot: QtBot, window: Window) -> Window:
    qtbot.addWidget(window)
    with qtbot.waitActive(window):
        window.show()
        window.activateWindow()
    return window


def application() -> QApplication:
    app = QApplication.instance()
    assert isinstance(app, QApplication)
    return app


def typed(entry: QLineEdit, text: str) -> None:
    entry.setFocus()
    entry.selectAll()
    QTest.keyClicks(entry, text)
    QTest.keyClick(entry, Qt.Key.Key_Return)


def memory(window: Window) -> MemoryTab:
    tab = window.pages[0].tab
    assert isinstance(tab, MemoryTab)
    return tab


def slider(window: Window, name: str) -> SliderField:
    field = window.plan.workload.fields[name]
    assert isinstance(field, SliderField)
    return field


def test_the_first_start_shows_an_example_already_computed(window: Window) -> None:
    assert window.verdict.sentence.text().startswith("Tight: ")
    assert window.windowTitle() == "Llama 3.1 8B on GeForce RTX 4090 · LLM Planner"
    assert memory(window).table.rows.rowCount() >= 4
    assert memory(window).chart.figure().marks


def test_a_typed_context_changes_verdict_table_and_chart_and_undo_takes_it_back(window: Window) -> None:
    chart, sentence = memory(window).chart.figure(), window.verdict.sentence.text()
    typed(slider(window, "context").entry, "64k")
    assert slider(window, "context").label.text() == "Context · 65,536 tokens"
    assert window.verdict.sentence.text().startswith("Does not fit: ")
    assert memory(window).chart.figure() != chart
    QTest.keyClick(slider(window, "context").entry, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert window.verdict.sentence.text() == sentence


def test_export_is_reached_from_within_a_field(window: Window, qtbot: QtBot) -> None:
    from llmplanner.app.dialogs.export import ExportDialog  # noqa: PLC0415 - as the window does it

    QTest.keyClick(slider(window, "context").entry, Qt.Key.Key_E, Qt.KeyboardModifier.ControlModifier)
    dialog = window.findChild(ExportDialog)
    assert isinstance(dialog, ExportDialog)
    assert dialog.isVisible()
    assert qtbot


def test_a_context_beyond_the_model_marks_its_field_and_the_rest_goes_on(window: Window) -> None:
    field, before = slider(window, "context"), window.verdict.sentence.text()
    typed(field.entry, "1M")
    assert field.problem.isVisible()
    assert "131,072" in field.problem.text()
    assert window.verdict.sentence.text() == before
    typed(slider(window, "batch").entry, "2")
    assert not field.problem.isVisible()
    assert field.entry.text() == "32,768"


def test_only_what_the_task_needs_is_shown(window: Window) -> None:
    fields = window.plan.workload.fields
    assert fields["context"].isVisible()
    assert "optimizer" not in fields
    task = fields["task"]
    assert isinstance(task, ChoiceField)
    task.box.setFocus()
    QTest.keyClick(task.box, Qt.Key.Key_Down)
    assert fields["optimizer"].isVisible()
    assert not fields["context"].isVisible()
    assert "tokens" not in fields
    QTest.keyClick(task.box, Qt.Key.Key_Down)
    assert fields["tokens"].isVisible()


def test_gpus_split_the_layers_when_serving_and_the_data_when_training(window: Window) -> None:
    count = window.plan.machine.fields["count"]
    assert isinstance(count, CountField)
    typed(count.entry, "4")
    assert window.session.state.plan.split.tensor == 4
    assert window.verdict.sentence.text().startswith("Fits: ")
    window.session.edit(task="finetune")
    typed(count.entry, "8")
    split = window.session.state.plan.split
    assert split.data * split.tensor == 8
    assert window.plan.machine.fields["zero"].isVisible() == (split.data > 1)


def test_gpus_that_cannot_be_shared_out_are_refused_at_their_field(window: Window) -> None:
    window.session.edit(task="finetune", count=8)
    tensor = window.plan.machine.fields["tp"]
    assert isinstance(tensor, CountField)
    typed(tensor.entry, "3")
    assert tensor.problem.isVisible()
    assert window.session.state.plan.split.tensor == 1


@pytest.mark.qt_log_ignore("This plugin does not support", extend=True)  # the list that drops down, offscreen
def test_a_gpu_is_found_by_a_part_of_its_name(window: Window) -> None:
    gpu = window.plan.machine.fields["gpu"]
    assert isinstance(gpu, SearchField)
    window.plan.machine.offer((), (("h100-sxm", "H100 SXM5 80GB"), ("rtx-4090", "GeForce RTX 4090")))
    typed(gpu.entry, "h100")
    assert window.session.state.draft.gpu == "h100-sxm"
    assert gpu.entry.text() == "H100 SXM5 80GB"
    typed(gpu.entry, "no such card")
    assert gpu.problem.isVisible()
    assert window.session.state.draft.gpu == "h100-sxm"


@pytest.mark.parametrize("index", range(4))
def test_each_page_is_reached_by_its_shortcut(window: Window, index: int) -> None:
    window.tabs.setCurrentIndex((index + 1) % 4)
    QTest.keyClick(window, Qt.Key(Qt.Key.Key_1 + index), Qt.KeyboardModifier.ControlModifier)
    assert window.tabs.currentIndex() == index
    assert window.page.figure().marks or window.page.figure().beside


def test_a_hidden_page_is_brought_up_to_date_when_it_is_shown(window: Window) -> None:
    window.tabs.setCurrentIndex(1)
    shown = memory(window).chart.figure()
    window.session.edit(weights="int8")
    assert memory(window).chart.figure() is shown
    window.tabs.setCurrentIndex(0)
    assert memory(window).chart.figure() is not shown


def test_each_phase_can_be_looked_at(window: Window, qtbot: QtBot) -> None:
    tab = memory(window)
    load = next(b for b in tab.findChildren(QPushButton) if b.text().startswith("Load"))
    qtbot.mouseClick(load, Qt.MouseButton.LeftButton)
    names = [tab.table.rows.index(row, 0).data() for row in range(tab.table.rows.rowCount())]
    assert names == ["Weights", "Runtime"]
    assert "load" in tab.figure().subtitle


def test_a_click_on_a_term_shows_its_source_and_range(window: Window, qtbot: QtBot) -> None:
    tab = memory(window)
    row = [tab.table.rows.index(r, 0).data() for r in range(tab.table.rows.rowCount())].index("Runtime")
    place = tab.table.visualRect(tab.table.rows.index(row, 0)).center()
    qtbot.mouseClick(tab.table.viewport(), Qt.MouseButton.LeftButton, pos=place)
    told = tab.receipt.words.toPlainText()
    assert "Between" in told
    assert "Source" in told


def test_formats_shrink_serving_and_not_training(window: Window, qtbot: QtBot) -> None:
    tab = memory(window)
    qtbot.waitUntil(lambda: tab.formats.texts()[0][1] != " ")
    rows = {row[0]: row[1:] for row in tab.formats.texts()}
    assert float(rows["INT8"][0]) * 4 == pytest.approx(float(rows["FP32"][0]), abs=0.02)
    assert rows["FP32"][2] == rows["BF16, FP16"][2]
    assert rows["INT4"][2] == "–"


def test_what_helps_most_is_said_once_the_edits_pause(window: Window, qtbot: QtBot) -> None:
    qtbot.waitUntil(lambda: "would need" in window.verdict.why.text())
    assert "which fits" in window.verdict.why.text()


def test_make_it_fit_lists_changes_and_one_click_makes_one(window: Window, qtbot: QtBot) -> None:
    from llmplanner.app.dialogs.fit import FitDialog  # noqa: PLC0415 - as the window does it

    window.session.edit(context=131_072)
    assert window.verdict.sentence.text().startswith("Does not fit")
    qtbot.mouseClick(window.verdict.fit, Qt.MouseButton.LeftButton)
    dialog = window.findChild(FitDialog)
    assert isinstance(dialog, FitDialog)
    assert dialog.changes[0].judged.state == "fits"
    use = next(b for b in dialog.findChildren(QPushButton) if b.text() == "Use")
    qtbot.mouseClick(use, Qt.MouseButton.LeftButton)
    assert window.verdict.sentence.text().startswith("Fits: ")
    window.session.undo()
    assert window.session.state.draft.context == 131_072


def drop(window: Window, path: Path) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path))])
    actions, buttons, keys = (
        Qt.DropAction.CopyAction,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    enter = QDragEnterEvent(QPoint(5, 5), actions, data, buttons, keys)
    QApplication.sendEvent(window, enter)
    assert enter.isAccepted()
    QApplication.sendEvent(window, QDropEvent(QPoint(5, 5), actions, data, buttons, keys))


def test_a_dropped_plan_is_opened_and_a_broken_one_changes_nothing(window: Window, tmp_path: Path) -> None:
    good, bad = tmp_path / f"good{plans.SUFFIX}", tmp_path / f"bad{plans.SUFFIX}"
    plans.write(good, Draft(model="gpt2", gpu="rtx-4090", context=1024, batch=3))
    bad.write_text(good.read_text()[:40])
    drop(window, good)
    assert window.session.state.draft.batch == 3
    drop(window, bad)
    assert window.session.state.draft.batch == 3
    assert window.notice.isVisible()
    assert "bad.llmplan.json" in window.notice.text()
    copy = next(b for b in window.notice.findChildren(QPushButton) if b.text() == "Copy details")
    QTest.mouseClick(copy, Qt.MouseButton.LeftButton)
    assert "PySide6" in QApplication.clipboard().text()
    window.session.edit(batch=4)
    assert not window.notice.isVisible()


def test_a_dropped_config_that_is_cut_off_marks_the_model(
    window: Window, qtbot: QtBot, tmp_path: Path
) -> None:
    path = tmp_path / "config.json"
    path.write_text('{"model_type": "llama", "hidden')
    before = window.session.state
    drop(window, path)
    field = window.plan.model.fields["model"]
    qtbot.waitUntil(field.problem.isVisible)
    assert "config.json" in field.problem.text()
    assert window.session.state is before


def test_a_saved_plan_comes_back(window: Window, tmp_path: Path) -> None:
    window.session.edit(context=4096, kv="int8")
    actions = window.findChild(Actions)
    assert isinstance(actions, Actions)
    path = tmp_path / f"mine{plans.SUFFIX}"
    actions.save_to(path)
    assert plans.read(path) == window.session.state.draft


def test_a_plan_that_cannot_be_written_is_said_so(window: Window, tmp_path: Path) -> None:
    actions = window.findChild(Actions)
    assert isinstance(actions, Actions)
    (tmp_path / "file").write_text("in the way")
    actions.save_to(tmp_path / "file" / f"plan{plans.SUFFIX}")
    assert window.notice.isVisible()
    assert "cannot be written" in window.notice.text()


def test_both_themes_reach_every_page_and_are_remembered(qtbot: QtBot, tmp_path: Path) -> None:
    settings = Settings(tmp_path)
    window = open_window(qtbot, restored_window(application(), settings))
    for index in range(4):
        window.tabs.setCurrentIndex(index)
    window.looks.choose("dark")
    assert window.looks.theme.name == "dark"
    assert window.palette().color(window.backgroundRole()).lightness() < 64
    assert settings.theme == "dark"
    window.looks.choose("light")
    assert window.palette().color(window.backgroundRole()).lightness() > 192


def test_the_last_plan_and_size_come_back(qtbot: QtBot, tmp_path: Path) -> None:
    first = open_window(qtbot, restored_window(application(), Settings(tmp_path)))
    first.resize(1111, 777)
    first.session.edit(context=2048)
    first.close()
    again = open_window(qtbot, restored_window(application(), Settings(tmp_path)))
    assert again.session.state.draft.context == 2048
    assert again.width() == 1111


def test_a_last_plan_that_cannot_be_used_gives_the_example_and_says_why(qtbot: QtBot, tmp_path: Path) -> None:
    Settings(tmp_path).save_plan(Draft(model=str(tmp_path / "gone.json"), gpu="rtx-4090"))
    window = open_window(qtbot, restored_window(application(), Settings(tmp_path)))
    assert window.session.state.draft == EXAMPLE
    assert "gone.json" in window.notice.text()


def test_the_untouched_example_moves_to_this_computers_card(qtbot: QtBot, tmp_path: Path) -> None:
    window = example_window()
    starter = Starter(window, Settings(tmp_path), untouched=True)
    open_window(qtbot, window)
    card = Device("NVIDIA Test 48GB", 48 * GIB, memory_free=40 * GIB, uuid="GPU-1")
    starter.meet(Probe("ok", "1 GPU can be used.", (card,), "570.1"))
    assert window.session.state.draft.gpu == "local"
    assert "40.00 GiB free now" in window.verdict.sentence.text()
    assert "NVIDIA Test 48GB, 40.00 of 48.00 GiB free" in window.status.hardware.text()


@pytest.mark.parametrize(
    ("state", "said"),
    [("no-library", "no NVIDIA driver"), ("hung", "did not answer"), ("crashed", "crashed")],
)
def test_without_a_gpu_the_catalogue_is_offered(qtbot: QtBot, tmp_path: Path, state: str, said: str) -> None:
    window = example_window()
    starter = Starter(window, Settings(tmp_path), untouched=True)
    open_window(qtbot, window)
    starter.meet(Probe(state, f"The look at the GPUs: {said}."))
    assert window.session.state.draft == EXAMPLE
    assert said in window.status.hardware.text()
    assert window.verdict.sentence.text().startswith("Tight: ")


def test_a_fault_is_told_and_the_window_goes_on(window: Window, qtbot: QtBot) -> None:
    from llmplanner.app.faults import show_fault  # noqa: PLC0415 - as main does it

    show_fault(window, "details of the fault")
    box = window.findChild(QMessageBox)
    assert isinstance(box, QMessageBox)
    copy = next(b for b in box.findChildren(QPushButton) if b.text() == "Copy details")
    qtbot.mouseClick(copy, Qt.MouseButton.LeftButton)
    assert QApplication.clipboard().text() == "details of the fault"
    window.session.edit(context=1024)
    assert window.verdict.sentence.text().startswith("Fits: ")


@pytest.mark.parametrize("task", ["serve", "finetune", "pretrain"])
def test_every_control_can_be_reached_by_tab_in_reading_order(window: Window, task: str) -> None:
    window.session.edit(task=task, count=4)
    chain: list[QWidget] = []
    widget = window.nextInFocusChain()
    while widget is not None and widget is not window and len(chain) < 1000:
        if widget.focusPolicy() & Qt.FocusPolicy.TabFocus and widget.isVisible() and widget.isEnabled():
            chain.append(widget)
        widget = widget.nextInFocusChain()
    plan = [w for w in chain if window.plan.isAncestorOf(w)]
    places = [(w.mapTo(window.plan, QPoint(0, 0)).y(), w.height()) for w in plan]
    assert all(next_top + height > top for (top, _), (next_top, height) in pairwise(places))
    assert len(plan) > 8
