"""The table of tensors: sums that others counted, orders and searches that stay quick at 200,000 rows."""

import csv
import time
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from llmplanner.app.dialogs.card import CardDialog
from llmplanner.app.dialogs.tensors import TensorDialog, TensorRows
from llmplanner.app.session import Session
from llmplanner.app.tensor_list import TensorList, tensor_list
from llmplanner.core.checkpoint import StoredTensor
from llmplanner.plans import Draft

MANY = 200_000
QUICK = 0.1  # s
WORDS = ("gate", "up", "down")


def many() -> tuple[StoredTensor, ...]:
    return tuple(
        StoredTensor(
            f"model.layers.{index // 3000}.mlp.experts.{index // 3 % 1000}.{WORDS[index % 3]}_proj.weight",
            (2048 + index % 7, 7168),
            ("BF16", "F8_E4M3")[index % 2],
            (2048 + index % 7) * 7168,
            (2048 + index % 7) * 7168 * (2 - index % 2),
        )
        for index in range(MANY)
    )


@pytest.fixture(scope="module")
def large() -> TensorList:
    return tensor_list(many())


@pytest.fixture
def dialog(qtbot: QtBot) -> TensorDialog:
    session = Session(Draft(model="llama-3.1-8b", gpu="rtx-4090"))
    shown = TensorDialog(session)
    shown.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, on=False)
    qtbot.addWidget(shown)
    with qtbot.waitExposed(shown):
        shown.show()
    qtbot.waitUntil(lambda: shown.rows.rowCount() > 0)
    return shown


def column(dialog: TensorDialog, number: int) -> list[str]:
    rows = dialog.rows
    return [str(rows.index(row, number).data()) for row in range(rows.rowCount())]


def click_head(dialog: TensorDialog, number: int) -> None:
    header = dialog.table.horizontalHeader()
    place = QPoint(header.sectionViewportPosition(number) + 20, header.height() // 2)
    QTest.mouseClick(header.viewport(), Qt.MouseButton.LeftButton, pos=place)


def test_it_lists_what_the_published_files_hold(dialog: TensorDialog) -> None:
    assert dialog.rows.rowCount() == 291  # tensors of meta-llama/Llama-3.1-8B's safetensors index
    assert "8,030,261,248" in dialog.total.text()
    assert "16,060,522,496 bytes" in dialog.total.text()  # total_size of the same index
    assert "model.layers.0.self_attn.q_proj.weight" in column(dialog, 0)


def test_words_find_and_the_total_is_of_what_is_shown(dialog: TensorDialog) -> None:
    QTest.keyClicks(dialog.search, "LAYERS.31. mlp")
    assert column(dialog, 0) == [f"model.layers.31.mlp.{word}_proj.weight" for word in WORDS]
    assert dialog.total.text().startswith("3 tensors · 176M parameters (176,160,768)")
    QTest.keyClicks(dialog.search, " nothing")
    assert dialog.rows.rowCount() == 0
    assert dialog.total.text().startswith("No tensor")


def test_a_click_on_a_head_sorts_and_layers_count_as_people_do(dialog: TensorDialog) -> None:
    QTest.keyClicks(dialog.search, "input_layernorm")
    click_head(dialog, 0)
    names = column(dialog, 0)
    assert [int(name.split(".")[2]) for name in names] == sorted(range(32), reverse=True) or [
        int(name.split(".")[2]) for name in names
    ] == list(range(32))
    dialog.search.clear()
    click_head(dialog, 4)
    first = column(dialog, 4)
    click_head(dialog, 4)
    second = column(dialog, 4)
    sizes = [int(text.replace(",", "")) for text in first]
    assert sizes in (sorted(sizes), sorted(sizes, reverse=True))
    assert [int(text.replace(",", "")) for text in second] == sizes[::-1]


def test_what_is_shown_is_saved(dialog: TensorDialog, qtbot: QtBot, tmp_path: Path) -> None:
    QTest.keyClicks(dialog.search, "layers.2. proj")
    file = tmp_path / "tensors.csv"
    with qtbot.waitSignal(dialog.save_to(file).ended):
        pass
    with file.open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    assert [row["name"] for row in rows] == column(dialog, 0)
    assert rows[0]["shape"] == "4096x4096"
    assert int(rows[0]["bytes"]) == 4096 * 4096 * 2
    dialog.save_to(tmp_path / "no" / "such" / "folder.csv")
    qtbot.waitUntil(dialog.problem.isVisible)
    assert "folder" in dialog.problem.text()


@pytest.mark.parametrize("text", ["", "gate", "experts.77. up f8", "nothing like it"])
@pytest.mark.parametrize("number", range(5))
def test_two_hundred_thousand_rows_are_found_and_sorted_at_once(
    large: TensorList, text: str, number: int
) -> None:
    rows = TensorRows()
    rows.take(large)
    begun = time.process_time()
    rows.find(text)
    rows.sort(number, Qt.SortOrder.DescendingOrder)
    large.total(rows.shown)
    assert time.process_time() - begun < QUICK
    wanted = [row for row in range(MANY) if all(word in large.words[row] for word in text.split())]
    assert sorted(rows.shown.tolist()) == wanted
    places = large.places[number][rows.shown]
    assert bool(np.all(places[:-1] >= places[1:]))


def test_a_files_own_words_steer_nothing() -> None:
    name = "a\n\u202eb\x1b[31m<b>x</b>" + "y" * 400
    shown = tensor_list((StoredTensor(name, (), "F32", 1, 4),))
    text = shown.cell(0, 0)
    assert 200 < len(text) <= 256
    assert text.isprintable()
    assert shown.cell(0, 1) == "one number"
    assert shown.table(np.array([0]))[1][0] == text


def test_the_card_of_a_released_model_and_of_a_changed_one(qtbot: QtBot) -> None:
    session = Session(Draft(model="llama-3.1-8b", gpu="rtx-4090"))
    released = CardDialog(session)
    qtbot.addWidget(released)
    assert released.card.title.text() == "Llama 3.1 8B"
    assert "Best use" in released.card.text()
    session.change("layers", 40)
    changed = CardDialog(session)
    qtbot.addWidget(changed)
    assert changed.card.title.text() == "Llama 3.1 8B (changed)"
    assert "40 layers" in changed.card.text()
    assert "layers 40 instead of 32" in changed.card.text()


def test_a_shape_of_very_many_sizes_fits_its_cell() -> None:
    shown = tensor_list((StoredTensor("a", (1,) * 330_000, "F32", 1, 4), StoredTensor("b", (), "F32", 1, 4)))
    assert len(shown.cell(0, 1)) < 80
    assert "330,000" in shown.cell(0, 1)
    assert shown.cell(1, 1) == "one number"
