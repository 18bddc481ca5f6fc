"""The line that says which model is being read, with a way to leave it."""

from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QSizePolicy, QWidget

from llmplanner.app.jobs import Job

PATIENCE = 120  # ms that a job may take before it is spoken of


class Reading(QWidget):
    """Hidden while nothing is read, and while what is read has only begun."""

    def __init__(self) -> None:
        super().__init__()
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
        self._begun.timeout.connect(self.show)
        self.hide()

    def follow(self, job: Job | None) -> None:
        """Speaks of a job once it has taken a while; None: it has ended."""
        if job is None:
            self._begun.stop()
            self.hide()
            return
        self.text.setText(f"{job.title}…")
        self.text.setToolTip(job.title)
        self._begun.start()
