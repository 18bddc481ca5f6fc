"""The catalogue's dialog: found by typing, told by its card, chosen by Return."""

import json
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from llmplanner.app import shelf
from llmplanner.app.dialogs import models
from llmplanner.app.dialogs.about import AboutDialog
from llmplanner.app.dialogs.models import HERE, PLAN, ModelDialog
from llmplanner.app.session import Session
from llmplanner.app.shelf import Shelf
from llmplanner.core.machine import Device, Machine
from llmplanner.models.stores import FOLDERS
from llmplanner.plans import EXAMPLE
from tests.models.safetensors_files import write


@pytest.fixture
def dialog(qtbot: QtBot) -> ModelDialog:
    shown = ModelDialog(Session(EXAMPLE))
    shown.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, on=False)
    qtbot.addWidget(shown)
    with qtbot.waitExposed(shown):
        shown.show()
    return shown


def test_it_opens_on_the_model_of_the_plan_with_its_card(dialog: ModelDialog) -> None:
    assert dialog.key == "llama-3.1-8b"
    assert dialog.card.title.text() == "Llama 3.1 8B"
    for head in ("Best use", "How it was trained", "Limits", "Licence", "Source"):
        assert head in dialog.card.text()
    assert "8,030,261,248" in dialog.card.text()
    assert dialog.table.model().rowCount() >= 40


@pytest.mark.parametrize(
    ("words", "kind", "objective"),
    [
        ("bert masked", "encoder", "Masked"),
        ("t5 google", "encoder-decoder", "span"),
        ("llama meta", "decoder", "causal"),
    ],
)
def test_words_find_models_whose_card_says_how_they_were_trained(
    dialog: ModelDialog, words: str, kind: str, objective: str
) -> None:
    dialog.kind.setCurrentText(kind)
    QTest.keyClicks(dialog.search, words)
    assert 0 < dialog.table.model().rowCount() < 40
    QTest.keyClick(dialog.search, Qt.Key.Key_Down)
    assert objective.lower() in dialog.card.text().lower()


def test_what_nothing_has_leaves_nothing_to_use(dialog: ModelDialog) -> None:
    QTest.keyClicks(dialog.search, "no such model")
    assert dialog.table.model().rowCount() == 0
    assert not dialog.use.isEnabled()
    assert dialog.empty.isVisible()
    assert not dialog.card.isVisible()
    dialog.search.clear()
    assert dialog.card.isVisible()
    assert not dialog.empty.isVisible()


def test_return_takes_the_model(dialog: ModelDialog, qtbot: QtBot) -> None:
    QTest.keyClicks(dialog.search, "gpt-2 xl")
    QTest.keyClick(dialog.search, Qt.Key.Key_Down)
    with qtbot.waitSignal(dialog.chosen) as heard:
        QTest.keyClick(dialog.search, Qt.Key.Key_Return)
    assert heard.args == ["gpt2-xl"]


def test_about_names_versions_licences_and_privacy(qtbot: QtBot) -> None:
    dialog = AboutDialog()
    qtbot.addWidget(dialog)
    for words in (
        "LGPL",
        "SIL Open Font License",
        "Apache",
        "numpy 2.",
        "uses the network only where you",
    ):
        assert words in dialog.text.text()


def column(dialog: ModelDialog, number: int) -> list[str]:
    return [str(dialog.rows.index(row, number).data()) for row in range(dialog.rows.rowCount())]


def test_the_models_that_fit_the_plans_gpu_can_be_kept(dialog: ModelDialog, qtbot: QtBot) -> None:
    every = dialog.rows.rowCount()
    qtbot.waitUntil(lambda: all(column(dialog, 4)))
    verdicts = dict(zip(column(dialog, 0), column(dialog, 4), strict=True))
    assert verdicts["Llama 3.1 405B"] == "✕ Does not fit"
    assert verdicts["GPT-2"] == "✓ Fits"
    dialog.fits.setCurrentText(PLAN)
    assert 0 < dialog.rows.rowCount() < every
    assert set(column(dialog, 4)) <= {"✓ Fits", "≈ Tight"}
    assert "Llama 3.1 405B" not in column(dialog, 0)
    dialog.kind.setCurrentText("encoder")
    assert set(column(dialog, 2)) == {"encoder"}


def test_this_computer_can_be_asked_about_instead(qtbot: QtBot) -> None:
    session = Session(EXAMPLE, Machine((Device("Small card", 2 * 2**30, memory_free=2 * 2**30),), local=True))
    dialog = ModelDialog(session)
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, on=False)
    qtbot.addWidget(dialog)
    qtbot.waitUntil(lambda: all(column(dialog, 4)))
    dialog.fits.setCurrentText(PLAN)
    on_the_plans = dialog.rows.rowCount()
    dialog.fits.setCurrentText(HERE)
    qtbot.waitUntil(lambda: 0 < dialog.rows.rowCount() < on_the_plans)
    assert "Llama 3.1 8B" not in column(dialog, 0)


def test_models_of_this_computer_arrive_beside_the_catalogue(
    qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "models--someone--tiny" / "snapshots" / "main"
    folder.mkdir(parents=True)
    sizes = {"n_embd": 768, "n_layer": 12, "n_head": 12, "n_positions": 1024, "vocab_size": 50257}
    (folder / "config.json").write_text(json.dumps({"model_type": "gpt2", **sizes}))
    write(folder / "model.safetensors", {"wte.weight": ("F16", (50257, 768))})
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    dialog = ModelDialog(Session(EXAMPLE))
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, on=False)
    qtbot.addWidget(dialog)
    with qtbot.waitExposed(dialog):
        dialog.show()
    QTest.keyClicks(dialog.search, "hugging face tiny")
    qtbot.waitUntil(lambda: column(dialog, 0) == ["someone/tiny"])
    assert column(dialog, 3) == ["Hugging Face cache"]
    qtbot.waitUntil(lambda: "Architecture" in dialog.card.text())
    assert "safetensors" in dialog.card.text()
    with qtbot.waitSignal(dialog.chosen) as heard:
        QTest.keyClick(dialog.search, Qt.Key.Key_Return)
    assert heard.args is not None
    assert Path(heard.args[0]).is_relative_to(tmp_path)


def test_what_cannot_be_looked_at_is_told(qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "on_this_computer", lambda: Shelf((), ("Ollama cannot be read.",)))
    dialog = ModelDialog(Session(EXAMPLE))
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, on=False)
    qtbot.addWidget(dialog)
    qtbot.waitUntil(lambda: dialog.problems.text() == "Ollama cannot be read.")


def test_the_window_lists_the_folders_of_the_user_s_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shelf, "user_folder", lambda: tmp_path)
    write(tmp_path / "lasting.safetensors", {"a": ("F32", (10, 10))})
    file = tmp_path / FOLDERS
    file.write_text(f'folders = ["{tmp_path}"]')
    assert str(tmp_path) in {item.key for item in shelf.on_this_computer().items}
    file.write_text("folders = [")
    (problem,) = shelf.on_this_computer().problems
    assert FOLDERS in problem
