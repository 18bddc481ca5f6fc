"""Messages: where they stand, how long they stay, and what takes them away."""

from pathlib import Path

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QContextMenuEvent
from PySide6.QtWidgets import QApplication, QMenu, QMessageBox
from pytestqt.qtbot import QtBot

from llmplanner import plans
from llmplanner.app.actions import Actions
from llmplanner.app.dialogs.export import ExportDialog
from llmplanner.app.fields import CountField, SearchField
from llmplanner.app.main import example_window, restored_window
from llmplanner.app.settings import Settings
from llmplanner.app.slider_field import SliderField
from llmplanner.app.start import Starter
from llmplanner.app.window import Window
from llmplanner.core.machine import Device
from llmplanner.gpus.local import Probe
from llmplanner.plans import EXAMPLE, SUFFIX, Draft

GIB = 2**30
CARD = Device("NVIDIA Test 48GB", 48 * GIB, memory_free=40 * GIB, uuid="GPU-1")
SEEN = Probe("ok", "1 GPU can be used.", (CARD,), "570.1")


@pytest.fixture
def window(qtbot: QtBot) -> Window:
    return shown(qtbot, example_window())


def shown(qtbot: QtBot, window: Window) -> Window:
    qtbot.addWidget(window)
    with qtbot.waitExposed(window):
        window.show()
    return window


def started(qtbot: QtBot, folder: Path, file: Path | None = None) -> Window:
    app = QApplication.instance()
    assert isinstance(app, QApplication)
    return shown(qtbot, restored_window(app, Settings(folder), None if file is None else str(file)))


def look(window: Window) -> None:
    """The look at the GPUs comes back."""
    starter = window.findChild(Starter)
    assert isinstance(starter, Starter)
    starter.meet(SEEN)


def actions(window: Window) -> Actions:
    found = window.findChild(Actions)
    assert isinstance(found, Actions)
    return found


def model_field(window: Window) -> SearchField:
    field = window.plan.model.fields["model"]
    assert isinstance(field, SearchField)
    return field


def test_a_look_at_the_gpus_leaves_the_messages_of_the_start(qtbot: QtBot, tmp_path: Path) -> None:
    Settings(tmp_path).save_plan(Draft(model=str(tmp_path / "gone.json"), gpu="rtx-4090"))
    window = started(qtbot, tmp_path)
    look(window)
    assert window.notice.isVisible()
    assert "gone.json" in window.notice.text()
    window.session.edit(batch=2)
    assert not window.notice.isVisible()


def test_a_look_at_the_gpus_leaves_the_mark_of_a_config_and_what_is_being_typed(
    qtbot: QtBot, tmp_path: Path
) -> None:
    config = tmp_path / "config.json"
    config.write_text('{"model_type": "llama", "hidden')
    window = started(qtbot, tmp_path / "settings", config)
    qtbot.waitUntil(lambda: bool(model_field(window).problem.text()))
    context = window.plan.workload.fields["context"]
    assert isinstance(context, SliderField)
    context.entry.setFocus()
    context.entry.selectAll()
    qtbot.keyClicks(context.entry, "64")
    look(window)
    assert "config.json" in model_field(window).problem.text()
    assert context.entry.text() == "64"
    assert context.entry.isModified()


def test_a_bad_plan_named_at_the_start_is_still_told_after_the_look(qtbot: QtBot, tmp_path: Path) -> None:
    bad = tmp_path / f"bad{SUFFIX}"
    bad.write_text('{"llmplanner_plan": 1, "mod')
    window = started(qtbot, tmp_path / "settings", bad)
    look(window)
    assert window.notice.isVisible()
    assert bad.name in window.notice.text()


@pytest.mark.parametrize(
    "text",
    ['{"llmplanner_plan": 1, "mod', '{"llmplanner_plan": 99}', '{"llmplanner_plan": 1, "model": "gone"}'],
)
def test_a_last_plan_that_cannot_be_used_is_told_and_kept_aside(
    qtbot: QtBot, tmp_path: Path, text: str
) -> None:
    settings = Settings(tmp_path)
    settings.last_plan.write_text(text)
    window = started(qtbot, tmp_path)
    kept = settings.last_plan.with_name(settings.last_plan.name + ".bak")
    assert window.notice.isVisible()
    assert str(kept) in window.notice.text()
    look(window)
    assert window.session.state.draft == EXAMPLE
    window.close()
    assert kept.read_text() == text
    assert plans.read(settings.last_plan) == EXAMPLE


def test_another_opening_takes_the_messages_of_the_one_before(
    window: Window, qtbot: QtBot, tmp_path: Path
) -> None:
    config, bad, unknown = tmp_path / "config.json", tmp_path / f"bad{SUFFIX}", tmp_path / f"other{SUFFIX}"
    config.write_text("{")
    bad.write_text("{")
    plans.write(unknown, Draft(model="no-such-model"))
    actions(window).open_file(str(config))
    qtbot.waitUntil(model_field(window).problem.isVisible)
    actions(window).open_file(str(bad))
    assert not model_field(window).problem.isVisible()
    assert bad.name in window.notice.text()
    actions(window).open_file(str(unknown))
    assert not window.notice.isVisible()
    assert "no-such-model" in model_field(window).problem.text()
    plans.write(unknown, EXAMPLE)
    actions(window).open_file(str(unknown))
    assert not model_field(window).problem.isVisible()


@pytest.mark.parametrize("broken", [False, True])
def test_a_plan_under_another_name_is_a_plan(window: Window, tmp_path: Path, *, broken: bool) -> None:
    plan = tmp_path / "renamed.json"
    plans.write(plan, Draft(model="gpt2", gpu="rtx-4090", context=512))
    if broken:
        plan.write_text(plan.read_text()[:100])
    actions(window).open_file(str(plan))
    assert (window.session.state.draft.model == "gpt2") is not broken
    assert window.notice.isVisible() is broken
    assert ("renamed.json is not a plan file" in window.notice.text()) is broken


def typed(qtbot: QtBot, field: CountField, text: str) -> None:
    field.entry.setFocus()
    field.entry.selectAll()
    qtbot.keyClicks(field.entry, text)
    qtbot.keyClick(field.entry, Qt.Key.Key_Return)


@pytest.mark.parametrize("before", ["1", "4"])
def test_a_number_of_gpus_that_the_heads_do_not_divide_over_is_told_at_that_field(
    window: Window, qtbot: QtBot, before: str
) -> None:
    count = window.plan.machine.fields["count"]
    assert isinstance(count, CountField)
    typed(qtbot, count, before)
    typed(qtbot, count, "3")
    assert count.entry.text() == "3"
    assert "1, 2, 4, 8, 16 or 32" in count.problem.text()
    assert count.problem.isVisible()
    tensor = window.plan.machine.fields.get("tp")
    assert tensor is None or not tensor.problem.isVisible()
    assert not window.notice.isVisible()
    typed(qtbot, count, "2")
    assert not count.problem.isVisible()
    assert window.session.state.plan.split.devices == 2


def test_a_reset_lasts(qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    window = started(qtbot, tmp_path)
    window.session.keep("quantization/number", "0.7")
    window.session.edit(model="gpt2", context=512, batch=3)
    window.close()
    window = started(qtbot, tmp_path)
    window.resize(1100, 700)
    window.tabs.setCurrentIndex(1)
    page = window.page
    monkeypatch.setattr(QMessageBox, "question", lambda *_: QMessageBox.StandardButton.Yes)
    actions(window).reset()
    assert window.session.state.draft == EXAMPLE
    assert window.page is not page
    assert window.session.kept.get("quantization/number") != "0.7"
    window.close()
    settings = Settings(tmp_path)
    assert settings.load_plan() is None
    assert settings.geometry.isEmpty()
    assert not settings.pages
    window.session.edit(batch=2)
    qtbot.waitUntil(settings.last_plan.exists)


@pytest.mark.qt_log_ignore("This plugin does not support", extend=True)  # the menu, offscreen
def test_every_message_offers_its_details_to_copy(window: Window, qtbot: QtBot, tmp_path: Path) -> None:
    count = window.plan.machine.fields["count"]
    assert isinstance(count, CountField)
    typed(qtbot, count, "many")
    export = ExportDialog(window.page.figure(), window)
    export.open()
    export.save_to(tmp_path / "absent" / "chart.png")
    qtbot.waitUntil(lambda: "cannot be written" in export.message.text())
    for label, field in ((count.problem, "Field: GPUs"), (export.message, "")):
        place = QPoint(3, 3)
        menu_key = QContextMenuEvent(QContextMenuEvent.Reason.Mouse, place, label.mapToGlobal(place))
        QApplication.sendEvent(label, menu_key)
        menu = label.findChild(QMenu)
        assert isinstance(menu, QMenu)
        next(action for action in menu.actions() if "details" in action.text()).trigger()
        menu.close()
        copied = QApplication.clipboard().text()
        assert copied.startswith(label.text())
        for words in (field, "PySide6", '"model":"llama-3.1-8b"'):
            assert words in copied


def test_the_notice_copies_the_plan_too(window: Window, tmp_path: Path) -> None:
    actions(window).open_file(str(tmp_path / f"gone{SUFFIX}"))
    window.notice.copy_details()
    copied = QApplication.clipboard().text()
    assert copied.startswith(window.notice.text())
    assert "PySide6" in copied
    assert '"context":32768' in copied
