"""The export dialog: writes the chosen kind, says why it cannot, and stays open then."""

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from llmplanner.app.dialogs.export import TEXT_INSET, ExportDialog
from llmplanner.app.theme import style_sheet
from llmplanner.charts.palette import LIGHT
from tests.charts.figures import memory


@pytest.fixture
def dialog(qtbot: QtBot) -> ExportDialog:
    made = ExportDialog(memory())
    qtbot.addWidget(made)
    made.open()
    return made


def test_it_writes_the_size_that_is_typed(dialog: ExportDialog, qtbot: QtBot, tmp_path: Path) -> None:
    dialog.size_across.setValue(640)
    dialog.size_down.setValue(320)
    dialog.dpi.setValue(96)
    with qtbot.waitSignal(dialog.saved):
        dialog.save_to(tmp_path / "chart.png")
    assert QImage(str(tmp_path / "chart.png")).width() == 640
    assert not dialog.isVisible()


def test_a_folder_that_is_not_there_is_said(dialog: ExportDialog, qtbot: QtBot, tmp_path: Path) -> None:
    dialog.save_to(tmp_path / "absent" / "chart.png")
    qtbot.waitUntil(lambda: "cannot be written" in dialog.message.text())
    assert dialog.isVisible()
    assert dialog.save_button.isEnabled()
    assert list(tmp_path.iterdir()) == []


def test_a_picture_too_large_cannot_be_saved(dialog: ExportDialog) -> None:
    dialog.size_across.setValue(20_000)
    dialog.size_down.setValue(20_000)
    assert "million dots" in dialog.message.text()
    assert not dialog.save_button.isEnabled()


@pytest.mark.parametrize(
    ("suffix", "dots", "shapes"), [(".png", True, False), (".svg", False, True), (".pdf", False, False)]
)
def test_only_what_matters_can_be_set(dialog: ExportDialog, suffix: str, dots: bool, shapes: bool) -> None:
    dialog.kind.setCurrentIndex(dialog.kind.findData(suffix))
    assert dialog.dpi.isEnabled() is dots
    assert dialog.outlines.isEnabled() is shapes


def test_every_control_has_a_name_and_a_tip(dialog: ExportDialog) -> None:
    fields = (dialog.kind, dialog.size_across, dialog.size_down, dialog.dpi, dialog.light, dialog.outlines)
    for field in (*fields, dialog.save_button, dialog.copy_button):
        assert field.toolTip()
        assert field.accessibleName() or field.property("text")
        assert field.focusPolicy() & Qt.FocusPolicy.TabFocus


def test_the_numbers_can_be_read_in_their_styled_fields(
    dialog: ExportDialog,
) -> None:
    dialog.setStyleSheet(style_sheet(LIGHT))
    QApplication.processEvents()
    for field in (dialog.size_across, dialog.size_down, dialog.dpi):
        entry = field.lineEdit()
        assert entry.width() > entry.fontMetrics().horizontalAdvance(entry.text()) + 2 * TEXT_INSET
