"""What follows the first picture: the look at the GPUs, the names to choose from, the pages not yet seen."""

from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, cast

from PySide6.QtCore import QObject, QTimer

from llmplanner.app.jobs import Job, ThreadJob
from llmplanner.app.qt_types import make_types
from llmplanner.app.settings import Settings
from llmplanner.app.window import PAGES, Window
from llmplanner.core.machine import Device
from llmplanner.gpus import catalogue as gpu_catalogue

if TYPE_CHECKING:
    from llmplanner.gpus.local import Probe

PAUSE = 30  # ms between pages made ahead, so that the window answers meanwhile
SAVE_DELAY = 800  # ms from the last change to the saved plan

Names = tuple[
    tuple[tuple[str, str], ...], tuple[tuple[str, str], ...]
]  # (name, title) of models, and of GPUs


class Starter(QObject):
    """Completes a window that was just shown, and keeps its plan and settings for the next start.

    With `untouched`, the plan is the example: it moves to this computer's card where there is one.
    """

    def __init__(self, window: Window, settings: Settings, *, untouched: bool) -> None:
        super().__init__(window)
        self._window, self._settings, self._untouched = window, settings, untouched
        self._gpus: tuple[tuple[str, str], ...] = ()
        self._save = QTimer(self)
        self._save.setSingleShot(True)
        self._save.setInterval(SAVE_DELAY)
        self._save.timeout.connect(self._keep_plan)
        window.painted.connect(self.begin)
        window.look_again.connect(self.probe)
        window.closing.connect(self._keep)
        window.session.changed.connect(self._keep_soon)
        window.session.kept_more.connect(self._save.start)
        window.looks.changed.connect(lambda _theme: self._keep_theme())

    def begin(self) -> None:
        """Starts everything that could wait for the first picture."""
        self.probe()
        self._run(ThreadJob("Reading the catalogues", _names), self._offer)
        make_types(self._load_pages)

    def _load_pages(self) -> None:
        self._run(ThreadJob("Loading the pages", _import_pages), lambda _done: self._make_next())

    def probe(self) -> None:
        """Looks at this computer's GPUs."""
        from llmplanner.app.probe_job import ProbeJob  # noqa: PLC0415 - not before the first picture

        self._window.plan.machine.show_looking()
        job = ProbeJob(self)
        job.ended.connect(job.deleteLater)
        job.ended.connect(self._window.plan.machine.show_looked)
        self._run(job, self.meet)

    def _run(self, job: Job, done: Callable[[object], None]) -> None:
        job.done.connect(done)
        self._window.closing.connect(job.cancel)
        self._window.follow(job)

    def _offer(self, names: object) -> None:
        if isinstance(names, tuple):
            models, self._gpus = names
            self._window.plan.model.offer(models)
            self._window.plan.machine.offer(self._local_devices(), self._gpus)

    def _local_devices(self) -> tuple[Device, ...]:
        local = self._window.session.local
        return local.devices if local is not None else ()

    def meet(self, result: object) -> None:
        """Takes what a look at the GPUs has found."""
        probe = cast("Probe", result)
        window, session = self._window, self._window.session
        machine = probe.machine if probe.devices else None
        moves = self._untouched and machine is not None and not session.steps.count()
        self._untouched = False
        self._settings.machine = machine
        session.meet(machine, replace(session.state.draft, gpu="local") if moves else None)
        window.status.show_probe(probe)
        window.plan.machine.show_probe(probe)
        window.plan.machine.offer(probe.devices, self._gpus)

    def _make_next(self) -> None:
        """Makes one page that was not seen yet, and the next a moment later."""
        page = next((page for page in self._window.pages if page.tab is None), None)
        if page is not None:
            page.make(self._window.session, self._window.looks)
            QTimer.singleShot(PAUSE, self, self._make_next)

    def _keep_soon(self) -> None:
        self._settings.forgotten = False
        self._save.start()

    def _keep_plan(self) -> None:
        if self._settings.forgotten:
            return
        self._settings.save_plan(self._window.session.state.draft)
        self._settings.pages = self._window.session.kept

    def _keep_theme(self) -> None:
        self._settings.theme = self._window.looks.choice

    def _keep(self) -> None:
        if self._settings.forgotten:
            return
        self._keep_plan()
        self._keep_theme()
        self._settings.geometry = self._window.saveGeometry()


def _names() -> Names:
    from llmplanner.app.shelf import shelf  # noqa: PLC0415 - not before the first picture

    models = tuple((item.key, item.title) for item in shelf().items)
    gpus = tuple((gpu.id, gpu.name) for gpu in gpu_catalogue.catalogue())
    return models, gpus


def _import_pages() -> None:
    for _, module, _ in PAGES:
        import_module(module)
