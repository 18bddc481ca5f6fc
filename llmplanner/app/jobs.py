"""Work off the GUI thread: each job says what it does, can be cancelled, and hands back its result."""

import gc
from collections.abc import Callable
from threading import Thread

from PySide6.QtCore import QObject, Signal

from llmplanner.core.errors import BadInput


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
    """A function in a thread of its own. A cancelled one runs to its end, and its result is dropped.

    Until then the job keeps itself alive, for the thread emits its signals, and the garbage collector rests:
    in a thread it would destroy widgets that are no longer used, which Qt allows the GUI thread alone.
    """

    _came = Signal(object)
    _broke = Signal(str)

    def __init__(self, title: str, work: Callable[[], object]) -> None:
        super().__init__(title)
        self._work = work
        self._came.connect(self._take)
        self._broke.connect(self._give_up)

    def start(self) -> None:
        """Begins the thread."""
        super().start()
        _at_work.add(self)
        gc.disable()
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
                self._broke.emit(problem)
        if not problem:
            self._came.emit(result)

    def _take(self, result: object) -> None:
        self._leave()
        self._finish(result)

    def _give_up(self, sentence: str) -> None:
        self._leave()
        self._fail(sentence)

    def _leave(self) -> None:
        _at_work.discard(self)
        if not _at_work:
            gc.enable()


_at_work: set[ThreadJob] = set()  # those whose thread runs
