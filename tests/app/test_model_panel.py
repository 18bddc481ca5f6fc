"""The model at the left: read off the GUI thread, opened again, and changed by hand."""

import json
from collections.abc import Callable
from pathlib import Path
from threading import Event

import pytest
from PySide6.QtCore import QMimeData, QPoint, Qt, QUrl
from PySide6.QtGui import QDragEnterEvent, QDragLeaveEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from llmplanner import compose
from llmplanner.app import session as session_module
from llmplanner.app.actions import Actions
from llmplanner.app.fields import CountField, SearchField
from llmplanner.app.main import example_window
from llmplanner.app.panels.whatif import WhatIf
from llmplanner.app.recent import MISSING
from llmplanner.app.session import Session
from llmplanner.app.settings import Settings
from llmplanner.app.theme import ARGUMENTS, Looks
from llmplanner.app.window import Window
from llmplanner.core.tensors import parameters
from llmplanner.models.hub.access import Access
from llmplanner.plans import EXAMPLE, Draft, read, write
from tests.models.hub_server import Hub, serving

GPT2 = {
    "model_type": "gpt2",
    "n_embd": 768,
    "n_layer": 12,
    "n_head": 12,
    "n_positions": 1024,
    "vocab_size": 50257,
}
GPT2_PARAMETERS = 124_439_808  # Transformers 5.23.0


@pytest.fixture
def window(qtbot: QtBot) -> Window:
    return shown(qtbot, example_window())


def shown(qtbot: QtBot, window: Window) -> Window:
    qtbot.addWidget(window)
    with qtbot.waitExposed(window):
        window.show()
    return window


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "tiny" / "config.json"
    path.parent.mkdir()
    path.write_text(json.dumps(GPT2))
    return path


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Event:
    """Lets a model be read only once the event is set."""
    go, real = Event(), compose.model_named

    def waiting(text: str, access: Access) -> compose.Chosen:
        assert go.wait(20)
        return real(text, access=access)

    monkeypatch.setattr(session_module, "model_named", waiting)
    return go


def name(window: Window) -> SearchField:
    field = window.plan.model.fields["model"]
    assert isinstance(field, SearchField)
    return field


def type_model(window: Window, text: str) -> None:
    field = name(window)
    field.entry.setFocus()
    field.entry.selectAll()
    QTest.keyClicks(field.entry, text)
    QTest.keyClick(field.entry, Qt.Key.Key_Return)


def about(window: Window) -> str:
    return window.plan.model.about.text().replace("\N{NO-BREAK SPACE}", " ")


def click(window: Window, button: str) -> None:
    QTest.mouseClick(window.plan.model.buttons[button], Qt.MouseButton.LeftButton)


@pytest.mark.qt_log_ignore("This plugin does not support", extend=True)
@pytest.mark.parametrize("put", ["{path}", '"{path}"', "file://{path}", " {path} "])
def test_a_pasted_path_is_read_and_can_be_undone(
    window: Window, qtbot: QtBot, config: Path, put: str
) -> None:
    with qtbot.waitSignal(window.session.changed):
        type_model(window, put.format(path=config))
    assert name(window).entry.text() == "tiny"
    assert parameters(window.session.state.plan.model).total == GPT2_PARAMETERS
    assert "124M parameters" in about(window)
    window.session.undo()
    assert window.session.state.draft == EXAMPLE


@pytest.mark.qt_log_ignore("This plugin does not support", extend=True)
def test_while_a_model_is_read_the_panel_says_so_and_cancel_leaves_it(
    window: Window, qtbot: QtBot, config: Path, slow: Event
) -> None:
    reading = window.plan.model.reading
    type_model(window, str(config))
    qtbot.waitUntil(reading.isVisible)
    assert reading.text.text() == "Reading config.json…"
    window.session.edit(batch=2)  # the window answers meanwhile
    QTest.mouseClick(reading.cancel, Qt.MouseButton.LeftButton)
    assert not reading.isVisible()
    assert name(window).entry.text() == "Llama 3.1 8B"
    with qtbot.assertNotEmitted(window.session.changed, wait=200):
        slow.set()
    assert window.session.state.draft.model == EXAMPLE.model


def test_a_newer_choice_cancels_an_older_one(window: Window, qtbot: QtBot, config: Path, slow: Event) -> None:
    other = config.with_name("other.json")
    other.write_text(json.dumps(GPT2 | {"n_layer": 3}))
    window.session.choose_model(str(config))
    window.session.choose_model(str(other))
    with qtbot.waitSignal(window.session.changed):
        slow.set()
    assert window.session.state.draft.model == str(other)
    assert window.session.steps.count() == 1


@pytest.mark.qt_log_ignore("This plugin does not support", extend=True)
def test_an_id_is_asked_for_at_the_hub_and_no_other_host_gets_the_token(
    window: Window, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    hub = Hub(files={"someone/tiny": {"config.json": json.dumps(GPT2).encode()}})
    hub.files["someone/other"] = hub.files["someone/tiny"]
    with serving(hub):
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        titles: list[str] = []
        window.session.reads.connect(lambda job: titles.append(job.title) if job else None)
        with qtbot.waitSignal(window.session.changed):
            type_model(window, "someone/tiny")
        assert titles == ["Asking huggingface.co for someone/tiny"]
        assert parameters(window.session.state.plan.model).total == GPT2_PARAMETERS
        assert hub.asked
        assert not any("Authorization" in headers for _, headers in hub.asked)
        before = len(hub.asked)
        window.session.edit(batch=2)
        window.session.undo()
        assert len(hub.asked) == before
        window.token.setChecked(True)
        with qtbot.waitSignal(window.session.changed):
            type_model(window, "someone/other")
        assert len(hub.asked) > before
        assert not any("Authorization" in headers for _, headers in hub.asked)  # it is not huggingface.co


def test_a_plan_that_names_an_id_asks_nobody(window: Window, qtbot: QtBot, tmp_path: Path) -> None:
    path = tmp_path / "plan.llmplan.json"
    write(path, Draft(model="someone/unread", gpu="rtx-4090"))
    with qtbot.waitSignal(window.session.refused) as heard:
        window.dropped.emit(str(path))
    assert heard.args == ["model", name(window).problem.text()]
    assert "someone/unread" in name(window).problem.text()


def test_a_name_of_the_catalogue_is_taken_at_once_and_cancels_what_is_read(
    window: Window, config: Path
) -> None:
    window.session.choose_model(str(config))
    window.session.choose_model("bert-base-uncased")
    assert window.session.state.draft.model == "bert-base-uncased"
    QTest.qWait(200)
    assert window.session.state.draft.model == "bert-base-uncased"


def drag(window: Window, *paths: Path) -> QDragEnterEvent:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    event = QDragEnterEvent(
        QPoint(20, 20),
        Qt.DropAction.CopyAction,
        data,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    QApplication.sendEvent(window, event)
    return event


def test_a_file_that_is_dragged_over_the_window_is_named(window: Window, config: Path) -> None:
    assert drag(window, config.parent).isAccepted()
    assert window.hint.isVisible()
    assert "tiny" in window.hint.text()
    QApplication.sendEvent(window, QDragLeaveEvent())
    assert not window.hint.isVisible()


def recent(window: Window) -> list[str]:
    window.recent.aboutToShow.emit()
    return [action.text() for action in window.recent.actions()]


def test_recent_models_outlive_a_start_and_say_when_they_are_gone(
    qtbot: QtBot, config: Path, tmp_path: Path
) -> None:
    def start() -> Window:
        app = QApplication.instance()
        assert isinstance(app, QApplication)
        assert ARGUMENTS
        window = Window(Session(EXAMPLE), Looks(app))
        Actions(window, Settings(tmp_path / "settings"))
        return shown(qtbot, window)

    window = start()
    assert recent(window)[0] == "No model was opened yet"
    with qtbot.waitSignal(window.session.changed):
        window.session.choose_model(str(config))
    window.session.choose_model("gpt2")
    config.unlink()
    window = start()
    assert recent(window)[0] == "GPT-2"
    assert recent(window)[1].startswith("tiny · ")
    qtbot.waitUntil(lambda: any(action.text().endswith(MISSING) for action in window.recent.actions()))
    assert [action.text().endswith(MISSING) for action in window.recent.actions()[:2]] == [False, True]
    with qtbot.waitSignal(window.session.refused):
        window.recent.actions()[1].trigger()
    qtbot.waitUntil(name(window).problem.isVisible)
    assert "is not there" in name(window).problem.text()
    assert len(recent(window)) == 4
    names = [name(window).box.itemText(index) for index in range(name(window).box.count())]
    assert any(text.startswith("tiny · ") for text in names)


def sizes(window: Window) -> WhatIf:
    if not window.plan.model.buttons["change"].isChecked():
        click(window, "change")
    assert window.plan.model.what_if is not None
    return window.plan.model.what_if


def enter(field: CountField, text: str) -> None:
    field.entry.setFocus()
    field.entry.selectAll()
    QTest.keyClicks(field.entry, text) if text else QTest.keyClick(field.entry, Qt.Key.Key_Delete)
    QTest.keyClick(field.entry, Qt.Key.Key_Return)


def shown_sizes(what_if: WhatIf) -> dict[str, str]:
    return {name: field.entry.text() for name, field in what_if.fields.items() if field.isVisible()}


def test_a_change_by_hand_moves_everything_and_is_one_step(window: Window) -> None:
    before = window.session.state
    what_if = sizes(window)
    assert shown_sizes(what_if) == {
        "layers": "32",
        "hidden_size": "4,096",
        "heads": "32",
        "kv_heads": "8",
        "head_dim": "128",
        "feed_forward": "14,336",
        "vocab_size": "128,256",
    }
    enter(what_if.fields["layers"], "80")
    enter(what_if.fields["hidden_size"], "8k")
    assert what_if.fields["hidden_size"].problem.isHidden()
    enter(what_if.fields["hidden_size"], "8192")
    enter(what_if.fields["heads"], "64")
    enter(what_if.fields["feed_forward"], "28672")
    state = window.session.state
    assert parameters(state.plan.model).total == 70_553_706_496  # Llama 3.1 70B
    assert state.verdict.decisive.needed_bytes > before.verdict.decisive.needed_bytes
    assert "70.6B parameters" in about(window)
    assert what_if.fields["layers"].label.text() == "Layers\nwas 32"
    assert "layers 80 instead of 32" in window.plan.model.note.text()
    steps = window.session.steps.count()
    window.session.undo()
    assert window.session.steps.count() == steps
    assert what_if.fields["feed_forward"].entry.text() == "14,336"
    QTest.mouseClick(what_if.restore, Qt.MouseButton.LeftButton)
    assert window.session.state.plan.model == before.plan.model
    assert not what_if.restore.isEnabled()


def test_a_size_that_does_not_divide_is_told_at_its_field(window: Window) -> None:
    before, what_if = window.session.state, sizes(window)
    enter(what_if.fields["heads"], "31")
    assert what_if.fields["heads"].problem.isVisible()
    assert "multiple" in what_if.fields["heads"].problem.text()
    assert window.session.state is before
    enter(what_if.fields["heads"], "16")
    assert what_if.fields["heads"].problem.isHidden()
    assert window.session.state.plan.model != before.plan.model


def test_an_emptied_size_is_the_models_own_again(window: Window) -> None:
    what_if = sizes(window)
    enter(what_if.fields["vocab_size"], "32000")
    assert window.session.state.draft.changes == {"vocab_size": 32_000}
    enter(what_if.fields["vocab_size"], "")
    assert window.session.state.draft.changes is None
    assert what_if.fields["vocab_size"].entry.text() == "128,256"


@pytest.mark.parametrize(
    ("model", "has", "lacks"),
    [("mixtral-8x7b", {"experts", "experts_per_token"}, set()), ("gpt2", {"heads"}, {"experts", "kv_heads"})],
)
def test_only_sizes_that_the_model_has_are_shown(
    window: Window, model: str, has: set[str], lacks: set[str]
) -> None:
    what_if = sizes(window)
    window.session.choose_model(model)
    assert has <= set(shown_sizes(what_if))
    assert not lacks & set(shown_sizes(what_if))


def test_a_plan_keeps_what_was_changed_by_hand(window: Window, tmp_path: Path) -> None:
    window.session.change("layers", 16)
    path = tmp_path / "plan.llmplan.json"
    write(path, window.session.state.draft)
    found = Session(read(path))
    assert found.state.plan.model == window.session.state.plan.model
    assert found.state.draft.changes == {"layers": 16}


def test_a_changed_file_keeps_its_sizes_when_another_model_is_taken(
    window: Window, qtbot: QtBot, config: Path
) -> None:
    take: Callable[[], None] = lambda: window.session.choose_model(str(config))  # noqa: E731 - said once
    with qtbot.waitSignal(window.session.changed):
        take()
    window.session.change("layers", 24)
    assert "tiny (changed)" in window.windowTitle()
    window.session.choose_model("gpt2")
    assert window.session.state.draft.changes is None
    window.session.undo()
    assert window.session.state.draft.changes == {"layers": 24}
    assert isinstance(window.session.state.draft, Draft)
