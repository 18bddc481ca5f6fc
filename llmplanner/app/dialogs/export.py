"""Asks how a chart is to be written as a file, shows how it will look, and writes it off the GUI thread."""

from pathlib import Path

from PySide6.QtCore import QDir, QSize, Qt, Signal
from PySide6.QtGui import QGuiApplication, QPainter, QPaintEvent, QPalette
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from llmplanner.app.fields import scroll_past
from llmplanner.app.jobs import ThreadJob
from llmplanner.app.problem import Problem
from llmplanner.charts import export
from llmplanner.charts.draw import draw
from llmplanner.charts.figure import Figure
from llmplanner.charts.palette import DARK, LIGHT
from llmplanner.charts.render import Look, clipboard
from llmplanner.core.errors import BadInput

KINDS = (
    (".png", "PNG picture"),
    (".svg", "SVG drawing"),
    (".pdf", "PDF page"),
    (".csv", "CSV table"),
)
SIDES = (export.LEAST, export.MOST)  # pixels
DPIS = (export.LEAST_DPI, export.MOST_DPI)
MIDDLE = 128  # lightness between a dark and a light palette
TEXT_INSET = 7  # px, so that numbers stand beneath the text of the box above


class Preview(QWidget):
    """The figure as the file will show it, made smaller."""

    def __init__(self, figure: Figure) -> None:
        super().__init__()
        self._figure = figure
        self._look = Look()
        self.setMinimumSize(320, 200)
        self.setAccessibleName("Preview")
        self.setAccessibleDescription(figure.description)
        self.setToolTip("How the file will look.")

    def show_look(self, look: Look) -> None:
        """Takes another size or theme."""
        self._look = look
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: ARG002 - the whole is painted
        """Paints the figure at its size, scaled into the widget."""
        look = self._look
        scale = min(self.width() / look.width, self.height() / look.height)
        with QPainter(self) as painter:
            painter.translate(
                (self.width() - look.width * scale) / 2, (self.height() - look.height * scale) / 2
            )
            painter.scale(scale, scale)
            draw(painter, look.width, look.height, self._figure, look.theme)


class ExportDialog(QDialog):
    """Kind of file, size, dots per inch, ground. `saved` carries the path once the file is there."""

    saved = Signal(str)

    def __init__(self, figure: Figure, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Export chart")
        self._figure = figure
        dark = self.palette().color(QPalette.ColorRole.Window).lightness() < MIDDLE
        self._theme = DARK if dark else LIGHT
        self._job: ThreadJob | None = None
        self.kind = QComboBox()
        scroll_past(self.kind)
        for suffix, name in KINDS:
            self.kind.addItem(name, suffix)
        self.size_across = _number(800, SIDES, " px", "Width", "At 96 pixels per inch.")
        self.size_down = _number(450, SIDES, " px", "Height", "At 96 pixels per inch.")
        self.dpi = _number(192, DPIS, " dpi", "Dots per inch", "Of a PNG: 96 for screens, 300 for print.")
        self.light = QCheckBox("Light background")
        self.light.setChecked(True)
        self.light.setToolTip("Light colours, for paper and slides, whatever the window shows.")
        self.outlines = QCheckBox("Text as shapes")
        self.outlines.setChecked(True)
        self.outlines.setToolTip("The same letters on every computer; else a program may take another font.")
        self.preview = Preview(figure)
        self.message = Problem()
        self._lay_out()
        self._connect()
        self._follow()

    def _lay_out(self) -> None:
        form = QFormLayout()
        for label, field in (
            ("&File", self.kind),
            ("&Width", self.size_across),
            ("&Height", self.size_down),
            ("&Dots per inch", self.dpi),
            ("", self.light),
            ("", self.outlines),
        ):
            form.addRow(label, field)
            field.setAccessibleName(field.accessibleName() or label.replace("&", "") or "Option")
        self.kind.setToolTip(
            "PNG for screens and slides, SVG and PDF for print at any size, CSV for the numbers."
        )
        middle = QHBoxLayout()
        middle.setSpacing(16)
        middle.addLayout(form)
        middle.addWidget(self.preview, 1)
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.save_button = self.buttons.addButton("&Save as…", QDialogButtonBox.ButtonRole.AcceptRole)
        self.save_button.setToolTip("Choose where the file goes.")
        self.copy_button = self.buttons.addButton("C&opy", QDialogButtonBox.ButtonRole.ActionRole)
        self.copy_button.setToolTip("Puts the chart onto the clipboard as image, SVG and table.")
        rows = QVBoxLayout(self)
        rows.setContentsMargins(24, 24, 24, 16)
        rows.setSpacing(12)
        rows.addLayout(middle, 1)
        rows.addWidget(self.message)
        rows.addWidget(self.buttons)
        self.resize(QSize(760, 380))

    def _connect(self) -> None:
        self.kind.currentIndexChanged.connect(self._follow)
        for number in (self.size_across, self.size_down, self.dpi):
            number.valueChanged.connect(self._follow)
        self.light.toggled.connect(self._follow)
        self.outlines.toggled.connect(self._follow)
        self.buttons.accepted.connect(self.ask)
        self.buttons.rejected.connect(self.reject)
        self.copy_button.clicked.connect(self.copy)

    def look(self) -> Look:
        """What the entries say."""
        return Look(
            width=self.size_across.value(),
            height=self.size_down.value(),
            dpi=self.dpi.value(),
            theme=LIGHT if self.light.isChecked() else self._theme,
            outlines=self.outlines.isChecked(),
        )

    def suffix(self) -> str:
        """The kind of file that is chosen."""
        return str(self.kind.currentData())

    def _follow(self) -> None:
        """Offers what the kind of file takes, and shows how it will look, or why it cannot be made."""
        suffix, look = self.suffix(), self.look()
        picture = suffix != ".csv"
        for field in (self.size_across, self.size_down, self.light):
            field.setEnabled(picture)
        self.light.setEnabled(picture and self._theme is DARK)
        self.dpi.setEnabled(suffix == ".png")
        self.outlines.setEnabled(suffix == ".svg")
        self.preview.setVisible(picture)
        self.preview.show_look(look)
        try:
            export.check_size(look.width, look.height, look.dpi if suffix == ".png" else 96)
        except BadInput as error:
            self._say(str(error))
            self.save_button.setEnabled(False)
        else:
            self._say("")
            self.save_button.setEnabled(True)

    def _say(self, sentence: str) -> None:
        self.message.setText(sentence)
        self.message.setVisible(bool(sentence))

    def ask(self) -> None:
        """Asks for a place and writes the file there."""
        suffix = self.suffix()
        name = dict(KINDS)[suffix]
        start = QDir.home().filePath(f"{self._figure.name}{suffix}")
        file, _ = QFileDialog.getSaveFileName(self, "Export chart", start, f"{name} (*{suffix})")
        if file:
            self.save_to(Path(file if file.lower().endswith(suffix) else file + suffix))

    def save_to(self, path: Path) -> None:
        """Writes the file in a thread; closes when it is there, or says why not."""
        figure, look = self._figure, self.look()
        job = ThreadJob(f"Writing {path.name}", lambda: export.save(figure, path, look))
        job.done.connect(lambda _: self._saved(path))
        job.failed.connect(self._failed)
        self._job = job
        self.setCursor(Qt.CursorShape.BusyCursor)
        self.save_button.setEnabled(False)
        job.start()

    def _saved(self, path: Path) -> None:
        self.unsetCursor()
        self.saved.emit(str(path))
        self.accept()

    def _failed(self, sentence: str) -> None:
        self.unsetCursor()
        self.save_button.setEnabled(True)
        self._say(sentence)

    def copy(self) -> None:
        """Puts the chart onto the clipboard."""
        look = self.look()
        try:
            export.check_size(look.width, look.height, look.dpi)
        except BadInput as error:
            self._say(str(error))
            return
        QGuiApplication.clipboard().setMimeData(clipboard(self._figure, look))


def _number(value: int, ends: tuple[int, int], unit: str, name: str, tip: str) -> QSpinBox:
    """A field for a whole number."""
    field = QSpinBox()
    scroll_past(field)
    field.setRange(*ends)
    field.setValue(value)
    field.setSuffix(unit)
    field.lineEdit().setTextMargins(TEXT_INSET, 0, 0, 0)
    field.setSingleStep(10)
    field.setAccessibleName(name)
    field.setToolTip(tip)
    return field
