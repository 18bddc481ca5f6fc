"""What the menus and buttons do: plans and configs opened and saved, dialogs shown."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from PySide6.QtCore import QObject

from llmplanner import plans
from llmplanner.app.recent import Recent
from llmplanner.app.settings import Settings, log_file
from llmplanner.app.window import Window
from llmplanner.core.errors import BadInput

PLAN_FILTER = f"Plans (*{plans.SUFFIX})"
MODEL_FILES = "*.json *.safetensors *.gguf *.bin *.pt *.pth"
MODEL_FILTER = f"Models ({MODEL_FILES})"
PLANS_AND_MODELS = f"Plans and models ({MODEL_FILES})"
ALL_FILTER = "All files (*)"


class Actions(QObject):
    """Carries out what the window asks for by name."""

    def __init__(self, window: Window, settings: Settings) -> None:
        super().__init__(window)
        self._window, self._settings = window, settings
        self._acts: Mapping[str, Callable[[], None]] = {
            "open": self.open,
            "save": self.save,
            "open_model": self.open_model,
            "open_folder": self.open_folder,
            "card": self.show_card,
            "tensors": self.show_tensors,
            "export": self.export,
            "models": self.choose_model,
            "fit": self.make_it_fit,
            "paths": self.show_paths,
            "reset": self.reset,
            "about": self.show_about,
        }
        window.ask.connect(lambda name: self._acts[name]())
        window.ask_model.connect(self.use_model)
        window.dropped.connect(self.open_file)
        Recent(window, settings)
        window.token.toggled.connect(self._allow_token)
        window.token.setChecked(settings.sends_token)

    def _allow_token(self, allowed: bool) -> None:
        """Lets huggingface.co see the saved token, or not."""
        self._window.session.sends_token = self._settings.sends_token = allowed

    def open(self) -> None:
        """Asks for a plan file or a model's file."""
        self._open_with(f"{PLANS_AND_MODELS};;{PLAN_FILTER};;{MODEL_FILTER}")

    def open_model(self) -> None:
        """Asks for a model's file."""
        self._open_with(f"{MODEL_FILTER};;{ALL_FILTER}")

    def _open_with(self, kinds: str) -> None:
        from PySide6.QtWidgets import QFileDialog  # noqa: PLC0415 - two milliseconds of every start

        file, _ = QFileDialog.getOpenFileName(self._window, "Open", self._settings.folder_of_plans, kinds)
        if file:
            self._settings.folder_of_plans = str(Path(file).parent)
            self.open_file(file)

    def open_folder(self) -> None:
        """Asks for the folder of a model."""
        from PySide6.QtWidgets import QFileDialog  # noqa: PLC0415 - as above

        folder = QFileDialog.getExistingDirectory(
            self._window, "Open a model's folder", self._settings.folder_of_plans
        )
        if folder:
            self._settings.folder_of_plans = str(Path(folder).parent)
            self.use_model(folder)

    def open_file(self, file: str) -> None:
        """Opens a plan file, or else a model. A file that cannot be used changes nothing."""
        session = self._window.session
        if not plans.is_plan(Path(file)):
            self.use_model(file)
            return
        self._window.forget_messages()
        session.stop_reading()
        try:
            draft = plans.read(Path(file))
        except BadInput as error:
            self._window.show_notice(str(error))
            return
        session.replace(draft, text=f"opening of {Path(file).name}")

    def use_model(self, model: str) -> None:
        """Takes a model by name or path."""
        self._window.forget_messages()
        self._window.session.choose_model(model)

    def save(self) -> None:
        """Asks for a place and writes the plan there."""
        from PySide6.QtWidgets import QFileDialog  # noqa: PLC0415 - as above

        model = self._window.session.state.plan.model.name.replace("/", "-")
        start = Path(self._settings.folder_of_plans) / f"{model}{plans.SUFFIX}"
        file, _ = QFileDialog.getSaveFileName(self._window, "Save the plan", str(start), PLAN_FILTER)
        if file:
            self.save_to(Path(file if file.endswith(plans.SUFFIX) else file + plans.SUFFIX))

    def save_to(self, path: Path) -> None:
        """Writes the plan, whole or not at all."""
        self._window.show_notice("")
        try:
            plans.write(path, self._window.session.state.draft)
        except BadInput as error:
            self._window.show_notice(str(error))
            return
        self._settings.folder_of_plans = str(path.parent)
        self._window.status.showMessage(f"Saved as {path}", 5000)

    def export(self) -> None:
        """Offers the visible page's chart as a file."""
        from llmplanner.app.dialogs.export import ExportDialog  # noqa: PLC0415 - not before it is asked for

        ExportDialog(self._window.page.figure(), self._window).open()

    def choose_model(self) -> None:
        """Shows the catalogue of models with their cards."""
        from llmplanner.app.dialogs.models import ModelDialog  # noqa: PLC0415 - not before it is asked for

        dialog = ModelDialog(self._window.session, self._window.looks.theme, self._window)
        dialog.chosen.connect(self.use_model)
        dialog.open()

    def show_card(self) -> None:
        """Shows what the plan's model is."""
        from llmplanner.app.dialogs.card import CardDialog  # noqa: PLC0415 - not before it is asked for

        dialog = CardDialog(self._window.session, self._window)
        dialog.tensors.connect(self.show_tensors)
        dialog.open()

    def show_tensors(self) -> None:
        """Lists the tensors of the plan's model."""
        from llmplanner.app.dialogs.tensors import TensorDialog  # noqa: PLC0415 - not before it is asked for

        TensorDialog(self._window.session, self._window).open()

    def make_it_fit(self) -> None:
        """Lists the changes of the plan that help."""
        from llmplanner.app.dialogs.fit import FitDialog  # noqa: PLC0415 - not before it is asked for

        dialog = FitDialog(self._window.session, self._window)
        dialog.open()

    def show_about(self) -> None:
        """Shows versions and licences."""
        from llmplanner.app.dialogs.about import AboutDialog  # noqa: PLC0415 - not before it is asked for

        AboutDialog(self._window).open()

    def show_paths(self) -> None:
        """Says where settings, the last plan and the log lie."""
        from PySide6.QtWidgets import QMessageBox  # noqa: PLC0415 - as above

        box = QMessageBox(
            QMessageBox.Icon.Information, "Where files lie", "", QMessageBox.StandardButton.Close
        )
        box.setParent(self._window, box.windowFlags())
        box.setText(
            f"Settings: {self._settings.file}\n\nThe last plan: {self._settings.last_plan}\n\n"
            f"The log: {log_file()}\n\nPlans are saved where you choose."
        )
        box.open()

    def reset(self) -> None:
        """Asks, then forgets the settings and shows what a first start shows."""
        from PySide6.QtWidgets import QMessageBox  # noqa: PLC0415 - as above

        answer = QMessageBox.question(
            self._window,
            "Reset settings",
            "Forget the theme, the window's size and the last plan? Saved plan files stay.",
        )
        if answer is QMessageBox.StandardButton.Yes:
            window, session = self._window, self._window.session
            session.kept.clear()
            window.looks.choose("system")
            window.token.setChecked(False)
            first = plans.EXAMPLE
            session.replace(first if session.local is None else replace(first, gpu="local"), text="reset")
            window.forget_messages()
            window.remake_pages()
            self._settings.reset()  # last: what was done until here was kept
