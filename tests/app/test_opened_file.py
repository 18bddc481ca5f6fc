"""A GGUF file in the window: what it holds, its card and tensors, its quantization carried over, its plan."""

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from llmplanner.app.dialogs.card import CardDialog
from llmplanner.app.dialogs.tensors import TensorDialog
from llmplanner.app.fields import HEADING, ChoiceField
from llmplanner.app.main import example_window
from llmplanner.app.session import Session
from llmplanner.app.window import Window
from llmplanner.core.plan import Plan
from llmplanner.plans import read, write
from tests.models.gguf_writer import write as write_gguf

HIDDEN, WIDTH, LAYERS, WORDS = 256, 512, 4, 1024
F32, Q8_0 = 0, 8  # ggml types
Q8_BYTES, Q8_BLOCK = 34, 32  # of a block: 32 numbers of a byte, and their FP16 scale
NOTHING_CHOSEN = "As stored · Q8_0"


@pytest.fixture
def gguf(tmp_path: Path) -> Path:
    """A Llama so small that its file can be counted by hand, all matrices in Q8_0."""
    keys = {
        "general.architecture": "llama",
        "general.file_type": 7,
        "general.license": "apache-2.0",
        "general.name": "Tiny\u202e <b>Llama</b>",
        "llama.block_count": LAYERS,
        "llama.context_length": 2048,
        "llama.embedding_length": HIDDEN,
        "llama.feed_forward_length": WIDTH,
        "llama.attention.head_count": 4,
        "llama.attention.head_count_kv": 2,
        "llama.vocab_size": WORDS,
    }
    tensors: list[tuple[str, tuple[int, ...]]] = [
        ("token_embd.weight", (WORDS, HIDDEN)),
        ("output.weight", (WORDS, HIDDEN)),
    ]
    tensors.append(("output_norm.weight", (HIDDEN,)))
    for layer in range(LAYERS):
        prefix = f"blk.{layer}."
        tensors += [(f"{prefix}{name}_norm.weight", (HIDDEN,)) for name in ("attn", "ffn")]
        tensors += [(f"{prefix}attn_{name}.weight", (HIDDEN, HIDDEN)) for name in ("q", "output")]
        tensors += [(f"{prefix}attn_{name}.weight", (HIDDEN // 2, HIDDEN)) for name in ("k", "v")]
        tensors += [(f"{prefix}ffn_{name}.weight", (WIDTH, HIDDEN)) for name in ("gate", "up")]
        tensors.append((f"{prefix}ffn_down.weight", (HIDDEN, WIDTH)))
    sized = []
    for name, shape in tensors:
        elements = shape[0] * (shape[1] if len(shape) > 1 else 1)
        vector = len(shape) == 1
        size = 4 * elements if vector else elements // Q8_BLOCK * Q8_BYTES
        sized.append((name, shape, F32 if vector else Q8_0, size))
    return write_gguf(tmp_path / "tiny-Q8_0.gguf", keys, sized)


MATRICES = 2 * WORDS * HIDDEN + LAYERS * (3 * HIDDEN * HIDDEN + 3 * WIDTH * HIDDEN)
VECTORS = HIDDEN * (2 * LAYERS + 1)
BYTES = MATRICES // Q8_BLOCK * Q8_BYTES + 4 * VECTORS


@pytest.fixture
def window(qtbot: QtBot, gguf: Path) -> Window:
    window = example_window()
    qtbot.addWidget(window)
    with qtbot.waitExposed(window):
        window.show()
    window.session.edit(weights="int4")
    with qtbot.waitSignal(window.session.changed):
        window.session.choose_model(str(gguf))
    return window


def plan(window: Window) -> Plan:
    return window.session.state.plan


def test_the_panel_says_how_the_file_holds_its_weights(window: Window) -> None:
    said = window.plan.model.about.text().replace("\N{NO-BREAK SPACE}", " ")
    assert said == "Q8_0 · 2.93 MiB · 2.89M parameters · 2k context"
    weights = window.plan.workload.fields["weights"]
    assert isinstance(weights, ChoiceField)
    assert weights.box.currentText() == NOTHING_CHOSEN
    held = plan(window).model.checkpoint
    assert held is not None
    assert held.bytes == BYTES


def test_other_weights_are_offered_in_groups(window: Window) -> None:
    weights = window.plan.workload.fields["weights"]
    assert isinstance(weights, ChoiceField)
    box = weights.box
    headings = [box.itemText(row) for row in range(box.count()) if box.itemData(row) == HEADING]
    assert headings[:2] == ["Number formats", "llama.cpp"]
    assert all(
        not box.model().flags(box.model().index(row, 0)) & Qt.ItemFlag.ItemIsEnabled
        for row in range(box.count())
        if box.itemData(row) == HEADING
    )
    row = box.findText("Q4_K_M")
    box.setCurrentIndex(row)
    box.activated.emit(row)
    assert window.session.state.draft.weights == "q4_k_m"
    window.session.undo()
    assert box.currentText() == NOTHING_CHOSEN


def test_a_changed_file_is_quantized_anew(window: Window) -> None:
    window.session.change("layers", 2 * LAYERS)
    held = plan(window).model.checkpoint
    assert held is not None
    assert held.label == "Q8_0"
    assert held.elements == MATRICES + VECTORS + (MATRICES - 2 * WORDS * HIDDEN) + 2 * LAYERS * HIDDEN
    assert "what Q8_0 would make of it" in window.plan.model.note.text()


def test_its_plan_outlives_the_file(window: Window, gguf: Path, tmp_path: Path) -> None:
    path = tmp_path / "plan.llmplan.json"
    write(path, window.session.state.draft)
    gguf.unlink()
    found = Session(read(path))
    assert found.state.plan.model.checkpoint == plan(window).model.checkpoint
    assert found.state.verdict == window.session.state.verdict
    found.change("layers", 2 * LAYERS)
    assert found.state.plan.model.layers == 2 * LAYERS


def test_its_card_and_its_tensors(window: Window, qtbot: QtBot) -> None:
    card = CardDialog(window.session, window)
    said = card.card.text()
    assert "apache-2.0" in said
    assert f"{BYTES:,} bytes" in said
    assert "Tiny <b>Llama</b>" in said  # as it stands there, without what turns the reading direction
    table = TensorDialog(window.session, window)
    qtbot.waitUntil(lambda: table.rows.rowCount() == 3 + 9 * LAYERS)
    assert f"{BYTES:,} bytes" in table.total.text()
    QTest.keyClicks(table.search, "q8_0 blk.3")
    assert table.rows.rowCount() == 7
    card.close()
    table.close()
