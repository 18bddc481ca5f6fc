"""The line at the bottom: the hardware that was seen and when, and the jobs that run."""

from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QDateTime, QLocale
from PySide6.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QPushButton, QStatusBar, QWidget

from llmplanner.app.jobs import Job
from llmplanner.core.machine import Device
from llmplanner.core.quantities import GIB

if TYPE_CHECKING:
    from llmplanner.gpus.local import Probe

HEIGHT = 28  # px
BUSY_WIDTH, BUSY_HEIGHT = 96, 8  # px


class Status(QStatusBar):
    """The window's status bar."""

    def __init__(self) -> None:
        super().__init__()
        self.setSizeGripEnabled(False)
        self.setFixedHeight(HEIGHT)  # nothing above moves when a job comes or goes
        self.hardware = QLabel("This computer's GPUs were not looked at yet.")
        self.hardware.setContentsMargins(8, 0, 8, 0)
        self.addWidget(self.hardware, 1)
        self._rows: dict[Job, QWidget] = {}

    def follow(self, job: Job) -> None:
        """Shows a job from its start to its end."""
        row = QWidget()
        line = QHBoxLayout(row)
        line.setContentsMargins(0, 0, 8, 0)
        line.setSpacing(8)
        busy = QProgressBar()
        busy.setRange(0, 0)
        busy.setFixedWidth(BUSY_WIDTH)
        busy.setTextVisible(False)
        busy.setFixedHeight(BUSY_HEIGHT)
        busy.setToolTip(f"{job.title}: how long it takes is not known.")
        busy.setAccessibleName(job.title)
        cancel = QPushButton("Cancel")
        cancel.setToolTip(f"Ends this job: {job.title.lower()}.")
        cancel.setProperty("small", True)
        cancel.clicked.connect(job.cancel)
        for part in (QLabel(f"{job.title}…"), busy, cancel):
            line.addWidget(part)
        self._rows[job] = row
        self.addPermanentWidget(row)
        job.ended.connect(partial(self._forget, job))

    def _forget(self, job: Job) -> None:
        row = self._rows.pop(job, None)
        if row is not None:
            self.removeWidget(row)
            row.deleteLater()

    def show_probe(self, probe: "Probe") -> None:
        """Says what was seen of this computer's GPUs, and when."""
        time = QLocale.system().toString(QDateTime.currentDateTime().time(), QLocale.FormatType.ShortFormat)
        self.hardware.setText(f"{_seen(probe)} · seen at {time}")
        self.hardware.setToolTip(probe.message)


def _seen(probe: "Probe") -> str:
    if not probe.devices:
        return f"No GPU to plan with here ({REASONS.get(probe.state, 'see the tool tip')})"
    driver = f"NVIDIA driver {probe.driver} · " if probe.driver else ""
    shown = " · ".join(_card(device) for device in probe.devices[:2])
    more = f" · and {len(probe.devices) - 2} more" if len(probe.devices) > 2 else ""  # noqa: PLR2004 - as shown
    lost = f" · {len(probe.troubles)} not usable" if probe.troubles else ""
    return driver + shown + more + lost


def _card(device: Device) -> str:
    if device.memory_total is None:
        return f"{device.name}, memory not told"
    total = f"{device.memory_total / GIB:,.2f} GiB"
    if device.memory_free is None:
        return f"{device.name}, {total}"
    return f"{device.name}, {device.memory_free / GIB:,.2f} of {total} free"


REASONS = {
    "binding-missing": "nvidia-ml-py is missing",
    "no-library": "no NVIDIA driver",
    "driver-not-loaded": "the driver is not running",
    "driver-library-mismatch": "the driver waits for a restart",
    "no-permission": "no permission to ask the driver",
    "driver-too-old": "the driver is too old",
    "nvml-error": "the driver gave an error",
    "no-gpu": "the driver sees no GPU",
    "crashed": "the driver's library crashed",
    "hung": "the driver did not answer",
    "no-answer": "the look gave no answer",
    "lost": "the card does not answer",
    "unreadable": "the card cannot be read",
    "mig-without-instance": "MIG mode without an instance",
}
