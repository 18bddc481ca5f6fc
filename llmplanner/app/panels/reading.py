"""The line that says which model is being read, with a way to leave it."""

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QSizePolicy, QWidget

from llmplanner.app.jobs import Job

PATIENCE = 120  # ms that a job may take before it is spoken of


class Reading(QWidget):
    """Hidden while nothing is read, and while what is read has only begun. Then it stands in for a label."""

    def __init__(self, instead: QWidget) -> None:
        super().__init__()
        self._instead = instead
        self.text = QLabel()
        self.text.setProperty("role", "mute")
        self.text.setTextFormat(Qt.TextFormat.PlainText)
        self.text.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.cancel = QPushButton("Cancel")
        self.cancel.setProperty("small", True)
        self.cancel.setToolTip("Stops reading; the plan keeps the model that it has.")
        line = QHBoxLayout(self)
        line.setContentsMargins(0, 0, 0, 0)
        line.setSpacing(8)
        line.addWidget(self.text, 1)
        line.addWidget(self.cancel)
        self._begun = QTimer(self)
        self._begun.setSingleShot(True)
        self._begun.setInterval(PATIENCE)
        self._begun.timeout.connect(self._appear)
        self._title = ""
        self.hide()

    def follow(self, job: Job | None) -> None:
        """Speaks of a job once it has taken a while; None: it has ended."""
        if job is None:
            self._begun.stop()
            self.hide()
            self._instead.show()
            return
        self._title = job.title
        self._elide()
        self.text.setToolTip(job.title)
        self._begun.start()

    def _appear(self) -> None:
        """Takes the place of the label that it stands for, so that nothing below moves."""
        self.setFixedHeight(max(self._instead.height(), self.sizeHint().height()))
        self._instead.hide()
        self.show()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Shows as much of the name as there is room for."""
        super().resizeEvent(event)
        self._elide()

    def _elide(self) -> None:
        room = self.text.width()
        self.text.setText(
            self.text.fontMetrics().elidedText(f"{self._title}…", Qt.TextElideMode.ElideMiddle, room)
        )
