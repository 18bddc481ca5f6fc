"""Work off the GUI thread: each job says what it does, can be cancelled, and hands back its result."""

import logging
from collections.abc import Callable
from threading import Thread

from PySide6.QtCore import QObject, QProcess, QTimer, Signal, SignalInstance

from llmplanner.core.errors import BadInput
from llmplanner.gpus import local

SECOND = 1000  # milliseconds


class Job(QObject):
    """`done` carries the result; `failed` a sentence. `ended` follows both, and a cancel alone."""

    done = Signal(object)
    failed = Signal(str)
    ended = Signal()

    def __init__(self, title: str, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.title = title
        self.running = False

    def start(self) -> None:
        """Begins; returns at once."""
        self.running = True

    def cancel(self) -> None:
        """Ends without a result."""
        if self.running:
            self.running = False
            self.ended.emit()

    def _finish(self, result: object) -> None:
        if self.running:
            self.running = False
            self.done.emit(result)
            self.ended.emit()

    def _fail(self, sentence: str) -> None:
        if self.running:
            self.running = False
            self.failed.emit(sentence)
            self.ended.emit()


class ThreadJob(Job):
    """A function in a thread of its own. A cancelled one runs to its end, and its result is dropped."""

    _came = Signal(object)
    _broke = Signal(str)

    def __init__(self, title: str, work: Callable[[], object], parent: QObject | None = None) -> None:
        super().__init__(title, parent)
        self._work = work
        self._came.connect(self._finish)
        self._broke.connect(self._fail)

    def start(self) -> None:
        """Begins the thread."""
        super().start()
        Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        problem = f"{self.title} failed in a way that was not foreseen; the log has the details."
        try:
            result = self._work()
            problem = ""
        except BadInput as error:
            problem = str(error)
        finally:  # an exception that nobody foresaw goes on to the log, and the job still ends
            if problem:
                self._emit(self._broke, problem)
        if not problem:
            self._emit(self._came, result)

    def _emit(self, signal: SignalInstance, value: object) -> None:
        try:
            signal.emit(value)
        except RuntimeError:  # the window was closed and took this job with it
            logging.getLogger(__name__).info("%s ended after the window was closed.", self.title)


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
