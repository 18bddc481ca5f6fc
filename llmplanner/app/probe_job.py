"""The look at this computer's GPUs as a job."""

from PySide6.QtCore import QObject, QProcess, QTimer

from llmplanner.app.jobs import Job
from llmplanner.gpus import local

SECOND = 1000  # milliseconds


class ProbeJob(Job):
    """One look at this computer's GPUs, in a child process with a time limit. Its result is a local.Probe."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__("Looking for GPUs", parent)
        self._again = True
        self._limit = QTimer(self)
        self._limit.setSingleShot(True)
        self._limit.timeout.connect(self._late)
        self._child = QProcess(self)
        self._child.finished.connect(self._read)
        self._child.errorOccurred.connect(self._broken)

    def start(self) -> None:
        """Begins the child process."""
        super().start()
        program, *arguments = local.command()
        self._limit.start(local.TIMEOUT * SECOND)
        self._child.start(program, arguments)

    def cancel(self) -> None:
        """Ends the child process."""
        self._stop()
        super().cancel()

    def _stop(self) -> None:
        self._limit.stop()
        self._child.blockSignals(True)
        self._child.kill()
        self._child.waitForFinished(SECOND)
        self._child.blockSignals(False)

    def _late(self) -> None:
        self._stop()
        self._finish(local.timed_out())

    def _broken(self, error: QProcess.ProcessError) -> None:
        if error is QProcess.ProcessError.FailedToStart:
            self._limit.stop()
            self._finish(local.read(b"", -1))

    def _read(self, code: int, status: QProcess.ExitStatus) -> None:
        self._limit.stop()
        crashed = status is QProcess.ExitStatus.CrashExit
        output = bytes(self._child.readAllStandardOutput().data())
        probe = local.read(output, -1 if crashed else code)
        if probe.code == local.UNKNOWN_ERROR and self._again:
            self._again = False
            self.start()
            return
        self._finish(probe)
