"""The window: the plan at the left, the verdict on top, four pages, and what runs in the status bar."""

from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import cast

from PySide6.QtCore import QEvent, QMimeData, QObject, QSize, Qt, QTimer, Signal
from PySide6.QtGui import (
    QCloseEvent,
    QDragEnterEvent,
    QDragLeaveEvent,
    QDropEvent,
    QKeySequence,
    QPaintEvent,
    QResizeEvent,
)
from PySide6.QtWidgets import (
    QGridLayout,
    QHBoxLayout,
    QMainWindow,
    QMenu,
    QScrollArea,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from llmplanner.advice import changes, told
from llmplanner.app.drop_hint import DropHint
from llmplanner.app.fields import Field
from llmplanner.app.jobs import Job
from llmplanner.app.menu import LINE, Entry, add_choice, add_entry, add_menu
from llmplanner.app.notice import Notice
from llmplanner.app.plan_pane import PlanPane
from llmplanner.app.session import Session, State
from llmplanner.app.status import Status
from llmplanner.app.tabs import Tab
from llmplanner.app.theme import GAP, MARGIN, THEME_CHOICES, Choice, Looks
from llmplanner.app.verdict_bar import VerdictBar
from llmplanner.core.machine import Machine, alike

PAUSE = 60  # ms without an edit, after which the change that helps most is looked for
FIRST_SIZE = QSize(1280, 800)
LEAST_SIZE = QSize(860, 500)
TITLE_BAR = 40  # px that the desktop puts above the window
LEAST_PAGE = 760  # px of width; in a narrower window a page scrolls

FOR_GATED = (
    "For gated models. Off, no token is read or sent; on, it goes to huggingface.co and to no other host."
)

PAGES = (
    ("Memory", "llmplanner.app.tabs.memory", "MemoryTab"),
    ("Quantization", "llmplanner.app.tabs.quantization", "QuantizationTab"),
    ("Compute budget", "llmplanner.app.tabs.compute", "ComputeTab"),
    ("Scaling curves", "llmplanner.app.tabs.scaling", "ScalingTab"),
)


class Page(QScrollArea):
    """The place of a page: empty until the page is made. It scrolls where the window has not the room."""

    def __init__(self, module: str, name: str) -> None:
        super().__init__()
        self.module, self._class = module, name
        self.tab: Tab | None = None
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # what it holds takes the keyboard
        self.setCornerWidget(QWidget())  # else a frame is painted where both scroll bars meet
        self._inside = QWidget()
        self._grid = QGridLayout(self._inside)
        self._grid.setContentsMargins(0, GAP, 0, 0)
        self._grid.setColumnMinimumWidth(0, LEAST_PAGE)
        self.setWidget(self._inside)

    def make(self, session: Session, looks: Looks) -> Tab:
        """The page itself, made on the first call."""
        if self.tab is None:
            widget = getattr(import_module(self.module), self._class)(session)
            self.tab = cast("Tab", widget)
            self.tab.show_theme(looks.theme)
            self._grid.addWidget(widget, 0, 0)
        return self.tab

    def unmake(self) -> None:
        """Leaves the place empty again."""
        if self.tab is not None:
            cast("QWidget", self.tab).deleteLater()
            self.tab = None

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Gives the page what room there is."""
        self._fit()
        super().resizeEvent(event)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Follows a page that needs more room, or less."""
        if event.type() is QEvent.Type.LayoutRequest and watched is self._inside:
            self._fit()
        return super().eventFilter(watched, event)

    def _fit(self) -> None:
        """The size of the viewport, or the least that the page can do with; Qt's own way takes its hint."""
        self._inside.resize(self.viewport().size().expandedTo(self._grid.totalMinimumSize()))


class Window(QMainWindow):
    """Shows the session's state and passes on what the user asks for (actions.py)."""

    ask = Signal(str)  # an action by name (actions.py)
    ask_model = Signal(str)  # a model by what it was opened by
    dropped = Signal(str)  # the path of a file or folder
    look_again = Signal()
    painted = Signal()  # once: the first picture is on the screen
    closing = Signal()

    def __init__(self, session: Session, looks: Looks) -> None:
        super().__init__()
        self.session, self.looks = session, looks
        self._was_painted = False
        self.setAcceptDrops(True)
        self.setMinimumSize(LEAST_SIZE)
        self.resize(FIRST_SIZE.boundedTo(self.screen().availableSize() - QSize(0, TITLE_BAR)))
        self.plan = PlanPane(session)
        self.verdict = VerdictBar()
        self.notice = Notice()
        self.tabs = QTabWidget()
        self.status = Status()
        self.hint = DropHint(self)
        self._advise = QTimer(self)
        self._advise.setSingleShot(True)
        self._advise.setInterval(PAUSE)
        self._lay_out()
        self._make_menus()
        self._connect()
        self.show_state(session.state)
        looks.dress()

    def _lay_out(self) -> None:
        self.tabs.setDocumentMode(True)
        self.tabs.tabBar().setDrawBase(False)
        self.tabs.tabBar().setAccessibleName("Pages")
        self.pages = tuple(Page(module, name) for _, module, name in PAGES)
        for (title, _, _), page in zip(PAGES, self.pages, strict=True):
            self.tabs.addTab(page, title)
        main = QWidget()
        rows = QVBoxLayout(main)
        rows.setContentsMargins(MARGIN, 16, MARGIN, GAP)
        rows.setSpacing(GAP)
        rows.addWidget(self.verdict)
        rows.addWidget(self.notice)
        rows.addWidget(self.tabs, 1)
        whole = QWidget()
        columns = QHBoxLayout(whole)
        columns.setContentsMargins(0, 0, 0, 0)
        columns.setSpacing(0)
        columns.addWidget(self.plan)
        columns.addWidget(main, 1)
        self.setCentralWidget(whole)
        self.setStatusBar(self.status)

    def _make_menus(self) -> None:
        self._make_file_menu()
        self._make_edit_menu()
        self._make_plan_menu()
        self._make_view_menu()
        add_menu(
            self,
            "&Help",
            (
                Entry("Where &files lie…", self._ask("paths")),
                Entry("&Reset settings…", self._ask("reset")),
                LINE,
                Entry("&About LLM Planner", self._ask("about")),
            ),
        )

    def _ask(self, name: str) -> Callable[[], None]:
        return partial(self.ask.emit, name)

    def _make_file_menu(self) -> None:
        keys = QKeySequence.StandardKey
        file = add_menu(
            self,
            "&File",
            (
                Entry("&Open a plan or a model…", self._ask("open"), keys.Open),
                Entry("Open a model's &folder…", self._ask("open_folder"), "Ctrl+Shift+O"),
                Entry("&Save the plan as…", self._ask("save"), keys.Save),
                LINE,
                Entry("&Export the chart…", self._ask("export"), "Ctrl+E"),
                LINE,
                Entry("&Quit", self.close, "Ctrl+Q"),
            ),
        )
        self.recent = QMenu("Open &recent", file)
        file.insertMenu(file.actions()[2], self.recent)

    def _make_edit_menu(self) -> None:
        keys, steps = QKeySequence.StandardKey, self.session.steps
        edit = add_menu(self, "&Edit", ())
        for action, key in (
            (steps.createUndoAction(edit, "&Undo"), keys.Undo),
            (steps.createRedoAction(edit, "&Redo"), keys.Redo),
        ):
            action.setShortcuts(QKeySequence.keyBindings(key))
            edit.addAction(action)

    def _make_plan_menu(self) -> None:
        refresh = QKeySequence.StandardKey.Refresh
        plan = add_menu(
            self,
            "&Plan",
            (
                Entry("&Choose a model…", self._ask("models"), "Ctrl+M"),
                Entry("&Make it fit…", self._ask("fit"), "Ctrl+F"),
                Entry("&Look at this computer's GPUs again", self.look_again.emit, refresh),
            ),
        )
        self.token = plan.addAction("Send my saved &token to huggingface.co")
        self.token.setCheckable(True)
        self.token.setToolTip(FOR_GATED)

    def _make_view_menu(self) -> None:
        view = add_menu(
            self,
            "&View",
            tuple(
                Entry(title, partial(self.tabs.setCurrentIndex, index), f"Ctrl+{index + 1}")
                for index, (title, _, _) in enumerate(PAGES)
            ),
        )
        view.addSeparator()
        for entry in (
            Entry("The model's &card…", self._ask("card"), "Ctrl+I"),
            Entry("The model's te&nsors…", self._ask("tensors"), "Ctrl+T"),
            LINE,
        ):
            add_entry(view, entry)
        add_choice(view, "&Theme", THEME_CHOICES, self.looks.choice, self._choose_theme)

    def _connect(self) -> None:
        self.session.changed.connect(self.show_state)
        self.session.met.connect(self.show_met)
        self.session.refused.connect(self.show_problem)
        self._advise.timeout.connect(self._show_hint)
        self.looks.changed.connect(self._repaint)
        self.tabs.currentChanged.connect(lambda _index: self.show_page())
        self.plan.machine.refresh.connect(self.look_again)
        self.plan.model.ask.connect(self.ask)
        self.verdict.make_it_fit.connect(partial(self.ask.emit, "fit"))
        self.verdict.export.connect(partial(self.ask.emit, "export"))

    # What is shown

    def show_state(self, state: State) -> None:
        """Shows another plan's state; what was said of the one before is answered by it."""
        self.show_notice("")
        self._show(state)

    def show_met(self, state: State) -> None:
        """Shows what follows from the cards that were seen; messages and what is being typed stay."""
        pending = [(field, field.pending()) for field in self.findChildren(Field)]
        self._show(state)
        for field, kept in pending:
            if kept is not None:
                field.put_back(kept)

    def forget_messages(self) -> None:
        """Takes away what was said of entries and files."""
        self.show_notice("")
        self.plan.show_state(self.session.state)

    def _show(self, state: State) -> None:
        """Shows a state in the plan, the verdict and the visible page; the others follow when shown."""
        self.plan.show_state(state)
        self.verdict.show_state(state)
        self._advise.start()
        self.show_page()
        self.setWindowTitle(f"{state.plan.model.name} on {_machine(state.plan.machine)} · LLM Planner")

    def _show_hint(self) -> None:
        """Says which change helps most; tried once the edits pause, for it takes some twenty estimates."""
        state = self.session.state
        best = next(iter(changes(state.draft, state.plan.model, self.session.local, cards=False)), None)
        self.verdict.show_hint("" if best is None else told(best, state.verdict.decisive.state))

    def remake_pages(self) -> None:
        """Makes the pages anew: they forget what they were told."""
        for page in self.pages:
            page.unmake()
        self.show_page()

    def show_page(self) -> None:
        """Brings the visible page up to date."""
        self.page.show_state(self.session.state)

    @property
    def page(self) -> Tab:
        """The visible page."""
        return self.pages[self.tabs.currentIndex()].make(self.session, self.looks)

    def show_problem(self, field: str, sentence: str) -> None:
        """Says why an entry was refused: at its field, or above the pages where that is not seen."""
        if not self.plan.show_problem(field, sentence):
            self.show_notice(sentence)

    def show_notice(self, sentence: str) -> None:
        """A sentence above the pages; an empty one takes it away."""
        self.notice.say(sentence)

    def follow(self, job: Job) -> None:
        """Shows a job in the status bar and starts it."""
        self.status.follow(job)
        job.failed.connect(self.show_notice)
        job.start()

    def _choose_theme(self, choice: str) -> None:
        self.looks.choose(cast("Choice", choice))

    def _repaint(self) -> None:
        for page in self.pages:
            if page.tab is not None:
                page.tab.show_theme(self.looks.theme)
        self.show_page()

    # What the user does to the window itself

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Takes files and folders, and says so."""
        paths = _files(event.mimeData())
        if paths:
            event.acceptProposedAction()
            self.hint.offer(paths)

    def dragLeaveEvent(self, event: QDragLeaveEvent) -> None:
        """Takes the hint away."""
        self.hint.hide()
        super().dragLeaveEvent(event)

    def dropEvent(self, event: QDropEvent) -> None:
        """Passes on the file, or the folder of several files of one model."""
        self.hint.hide()
        paths = _files(event.mimeData())
        if paths:
            event.acceptProposedAction()
            self.dropped.emit(str(paths[0] if len(paths) == 1 else paths[0].parent))

    def closeEvent(self, event: QCloseEvent) -> None:
        """Lets what listens keep the plan and the window's place."""
        self.closing.emit()
        super().closeEvent(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Says once that the window has been painted."""
        super().paintEvent(event)
        if not self._was_painted:
            self._was_painted = True
            QTimer.singleShot(0, self, self.painted.emit)


def _machine(machine: Machine) -> str:
    """The machine in the title: "2 × H100 SXM5 80GB"."""
    devices, count = machine.devices, len(machine.devices)
    names = {device.name for device in (devices[:1] if alike(devices) else devices)}
    if len(names) > 1:
        return f"{count} GPUs"
    return f"{count} × {names.pop()}" if count > 1 else names.pop()


def _files(data: QMimeData) -> list[Path]:
    """The files and folders that are dragged."""
    return [Path(url.toLocalFile()) for url in data.urls() if url.isLocalFile()]
