"""The session: one undo step an edit, one signal a change, and the last good state whatever is asked for."""

import json
from pathlib import Path

import pytest
from pytestqt.qtbot import QtBot

from llmplanner.app.panels.workload import WorkloadPanel
from llmplanner.app.session import Session, State
from llmplanner.app.settings import Settings
from llmplanner.app.slider_field import SliderField
from llmplanner.core.machine import Device, Machine
from llmplanner.plans import Draft

GIB = 2**30
DRAFT = Draft(model="llama-3.1-8b", gpu="rtx-4090", context=8192)


@pytest.fixture
def session(qtbot: QtBot) -> Session:
    assert qtbot
    return Session(DRAFT)


def test_an_edit_is_estimated_and_announced_once(session: Session, qtbot: QtBot) -> None:
    before = session.state.verdict.decisive.needed_bytes
    heard: list[State] = []
    session.changed.connect(heard.append)
    session.edit(context=16_384)
    assert [state.draft.context for state in heard] == [16_384]
    assert heard[0].verdict.decisive.needed_bytes > before
    session.edit(context=16_384)
    assert len(heard) == 1
    assert qtbot


def test_undo_and_redo_walk_through_every_change_of_plan(session: Session) -> None:
    session.edit(context=16_384)
    session.edit(task="finetune")
    session.choose_model("gpt2")
    assert session.state.plan.model.name == "GPT-2"
    for _ in range(3):
        session.undo()
    assert session.state.draft == DRAFT
    for _ in range(3):
        session.redo()
    assert session.state.draft.model == "gpt2"
    assert session.state.draft.task == "finetune"


def test_ninety_nine_steps_of_a_slider_are_one_undo(session: Session) -> None:
    session.edit(weights="int8")
    for tokens in range(1000, 1099):
        session.slide(context=tokens)
    assert session.steps.count() == 2
    session.undo()
    assert session.state.draft.context == 8192
    assert session.state.draft.weights == "int8"
    session.redo()
    assert session.state.draft.context == 1098


def test_two_sliders_are_two_steps(session: Session) -> None:
    session.slide(context=4096)
    session.slide(batch=2)
    session.slide(context=2048)
    assert session.steps.count() == 3


def test_what_cannot_be_used_is_refused_and_changes_nothing(session: Session, qtbot: QtBot) -> None:
    refused: list[tuple[str, str]] = []
    session.refused.connect(lambda field, sentence: refused.append((field, sentence)))
    before = session.state
    session.edit(context=10_000_000)
    session.edit(task="dance")
    with qtbot.waitSignal(session.refused):
        session.choose_model("no-such-model")
    assert session.state is before
    assert session.steps.count() == 0
    assert [field for field, _ in refused] == ["context", "task", "model"]
    assert all(sentence.endswith(".") for _, sentence in refused)


def test_a_shorter_model_takes_the_context_down_to_its_own(session: Session) -> None:
    session.choose_model("gpt2")
    assert session.state.draft.context == 1024
    session.undo()
    assert session.state.draft == DRAFT


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", '{"model_type": "nobody-knows"}', '{"model_type": "llama", "hidden_size": 0}']
)
def test_a_broken_config_is_refused_at_the_model(
    session: Session, qtbot: QtBot, tmp_path: Path, text: str
) -> None:
    path = tmp_path / "config.json"
    path.write_text(text)
    refused: list[tuple[str, str]] = []
    session.refused.connect(lambda field, sentence: refused.append((field, sentence)))
    before = session.state
    with qtbot.waitSignal(session.refused):
        session.choose_model(str(path))
    assert session.state is before
    assert refused[0][0] == "model"
    assert "config.json" in refused[0][1]


def test_a_config_outlives_its_file(session: Session, qtbot: QtBot, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    sizes = {"n_embd": 768, "n_layer": 12, "n_head": 12, "n_positions": 1024, "vocab_size": 50257}
    path.write_text(json.dumps({"model_type": "gpt2", **sizes}))
    with qtbot.waitSignal(session.changed):
        session.choose_model(str(path))
    path.unlink()
    session.edit(context=512)
    session.undo()
    session.undo()
    session.redo()
    assert session.state.draft.model == str(path)


def test_a_decoder_without_a_stated_limit_leaves_the_context_as_it_is(session: Session) -> None:
    session.edit(context=16_384)
    session.choose_model("mamba-130m")
    assert session.state.draft.context == 16_384
    session.choose_model("t5-base")
    assert session.state.draft.context == 512


def test_cards_seen_later_are_taken_without_an_undo_step(session: Session) -> None:
    card = Device("Test card", 80 * GIB, memory_free=70 * GIB)
    session.meet(Machine((card,), local=True), Draft(model="gpt2", gpu="local", context=512))
    assert session.steps.count() == 0
    assert session.state.verdict.now.available_bytes == 70 * GIB
    session.meet(Machine((Device("Test card", 80 * GIB, memory_free=0),), local=True))
    assert session.state.verdict.now.state == "no"


def test_what_pages_keep_is_announced_once_and_is_no_undo_step(session: Session, qtbot: QtBot) -> None:
    with qtbot.waitSignal(session.kept_more, timeout=100):
        session.keep("quantization/number", "0,1")
    with qtbot.assertNotEmitted(session.kept_more):
        session.keep("quantization/number", "0,1")
    assert not session.steps.count()


@pytest.mark.parametrize("text", ["0,1", "-1e400", "fp8-e4m3:0x7F", '"a" = 1; [b]', "1/3", "π"])
def test_what_pages_keep_comes_back(tmp_path: Path, text: str) -> None:
    Settings(tmp_path).pages = {"quantization/number": text}
    assert Settings(tmp_path).pages == {"quantization/number": text}


def test_each_drag_of_a_slider_is_a_step_of_its_own(session: Session, qtbot: QtBot) -> None:
    panel = WorkloadPanel(session)
    qtbot.addWidget(panel)
    field = panel.fields["context"]
    assert isinstance(field, SliderField)
    for places in ((10, 20, 30), (40, 50)):
        field.slider.setSliderDown(True)
        for place in places:
            field.slider.setValue(place)
        field.slider.setSliderDown(False)
    assert session.steps.count() == 2
    last = session.state.draft.context
    session.undo()
    assert 1 < session.state.draft.context < last
    session.undo()
    assert session.state.draft == DRAFT
