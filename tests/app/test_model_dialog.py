"""The catalogue's dialog: found by typing, told by its card, chosen by Return."""

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from llmplanner.app.dialogs.about import AboutDialog
from llmplanner.app.dialogs.models import ModelDialog


@pytest.fixture
def dialog(qtbot: QtBot) -> ModelDialog:
    shown = ModelDialog("llama-3.1-8b")
    qtbot.addWidget(shown)
    with qtbot.waitExposed(shown):
        shown.show()
    return shown


def test_it_opens_on_the_model_of_the_plan_with_its_card(dialog: ModelDialog) -> None:
    assert dialog.name == "llama-3.1-8b"
    assert dialog.card.title.text() == "Llama 3.1 8B"
    for head in ("Best use", "How it was trained", "Limits", "Licence", "Source"):
        assert head in dialog.card.text.text()
    assert "8,030,261,248" in dialog.card.text.text()
    assert dialog.table.model().rowCount() >= 40


@pytest.mark.parametrize(
    ("words", "kind", "objective"),
    [
        ("bert", "encoder", "Masked"),
        ("t5 google", "encoder-decoder", "span"),
        ("llama meta", "decoder", "causal"),
    ],
)
def test_words_find_models_whose_card_says_how_they_were_trained(
    dialog: ModelDialog, words: str, kind: str, objective: str
) -> None:
    dialog.kind.setCurrentText(kind)
    QTest.keyClicks(dialog.search, words)
    assert 0 < dialog.table.model().rowCount() < 20
    QTest.keyClick(dialog.search, Qt.Key.Key_Down)
    assert objective.lower() in dialog.card.text.text().lower()


def test_what_nothing_has_leaves_nothing_to_use(dialog: ModelDialog) -> None:
    QTest.keyClicks(dialog.search, "no such model")
    assert dialog.table.model().rowCount() == 0
    assert not dialog.use.isEnabled()


def test_return_takes_the_model(dialog: ModelDialog, qtbot: QtBot) -> None:
    QTest.keyClicks(dialog.search, "gpt-2 xl")
    QTest.keyClick(dialog.search, Qt.Key.Key_Down)
    with qtbot.waitSignal(dialog.chosen) as heard:
        QTest.keyClick(dialog.search, Qt.Key.Key_Return)
    assert heard.args == ["gpt2-xl"]


def test_about_names_versions_licences_and_privacy(qtbot: QtBot) -> None:
    dialog = AboutDialog()
    qtbot.addWidget(dialog)
    for words in ("LGPL", "SIL Open Font License", "Apache", "numpy 2.", "does not use the network"):
        assert words in dialog.text.text()
