"""What the window remembers between starts: its size, its theme, the last plan; and where the log lies."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import get_args

import msgspec
from PySide6.QtCore import QByteArray, QSettings

from llmplanner.app.theme import Choice
from llmplanner.core.errors import BadInput
from llmplanner.core.machine import Machine
from llmplanner.plans import SUFFIX, Draft, read, write
from llmplanner.resources import user_folder

PAGES = "pages/"  # before the names of what the pages remember
LOG_BYTES = 500_000  # beyond which the log begins anew; the one before is kept


class Settings:
    """Kept in `folder`: settings.ini and the last plan. Settings that cannot be used count as absent."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or user_folder()
        self.file = self.folder / "settings.ini"
        self.last_plan = self.folder / f"last{SUFFIX}"
        self._ini = QSettings(str(self.file), QSettings.Format.IniFormat)
        self.forgotten = False  # reset, and nothing changed since: there is nothing to keep

    @property
    def theme(self) -> Choice:
        """The chosen theme."""
        stored = self._ini.value("theme", "system")
        return next((choice for choice in get_args(Choice) if choice == stored), "system")

    @theme.setter
    def theme(self, choice: Choice) -> None:
        self._ini.setValue("theme", choice)

    @property
    def geometry(self) -> QByteArray:
        """The window's place and size as Qt saves it; empty at first."""
        stored = self._ini.value("geometry", QByteArray())
        return stored if isinstance(stored, QByteArray) else QByteArray()

    @geometry.setter
    def geometry(self, geometry: QByteArray) -> None:
        self._ini.setValue("geometry", geometry)

    @property
    def folder_of_plans(self) -> str:
        """Where plans were last opened or saved."""
        return str(self._ini.value("folder", str(Path.home())))

    @folder_of_plans.setter
    def folder_of_plans(self, folder: str) -> None:
        self._ini.setValue("folder", folder)

    @property
    def sends_token(self) -> bool:
        """Whether huggingface.co may be sent the saved token."""
        return bool(self._ini.value("sends_token", defaultValue=False, type=bool))

    @sends_token.setter
    def sends_token(self, sends: bool) -> None:
        self._ini.setValue("sends_token", sends)

    @property
    def recent(self) -> list[tuple[str, str]]:
        """The models that were opened, the newest first: what they were asked for by, and their names."""
        try:
            return msgspec.json.decode(str(self._ini.value("recent", "[]")), type=list[tuple[str, str]])
        except msgspec.DecodeError:
            return []

    @recent.setter
    def recent(self, models: list[tuple[str, str]]) -> None:
        self._ini.setValue("recent", msgspec.json.encode(models).decode())

    @property
    def pages(self) -> dict[str, str]:
        """What the pages remember beside the plan, by name."""
        names = [name for name in self._ini.allKeys() if name.startswith(PAGES)]
        return {name.removeprefix(PAGES): str(self._ini.value(name, "")) for name in names}

    @pages.setter
    def pages(self, kept: Mapping[str, str]) -> None:
        for name, text in kept.items():
            self._ini.setValue(PAGES + name, text)

    @property
    def machine(self) -> Machine | None:
        """This computer's cards as they were last seen, with nothing said of their free memory."""
        stored = self._ini.value("machine", "")
        try:
            machine = msgspec.json.decode(str(stored), type=Machine) if stored else None
        except msgspec.DecodeError:
            return None
        if machine is None:
            return None
        return Machine(tuple(replace(device, memory_free=None) for device in machine.devices), local=True)

    @machine.setter
    def machine(self, machine: Machine | None) -> None:
        self._ini.setValue("machine", msgspec.json.encode(machine).decode() if machine else "")

    def load_plan(self) -> Draft | None:
        """The last plan, or None where there is none. Raises BadInput for one that cannot be read."""
        return read(self.last_plan) if self.last_plan.exists() else None

    def set_aside_plan(self) -> Path:
        """Keeps the file of a last plan that cannot be used beside the one to come; where."""
        kept = self.last_plan.with_name(f"{self.last_plan.name}.bak")
        try:
            self.last_plan.replace(kept)
        except OSError as error:  # then nothing can be written in its place either
            logging.getLogger(__name__).warning("%s cannot be kept: %s", self.last_plan, error)
            return self.last_plan
        return kept

    def save_plan(self, draft: Draft) -> None:
        """Keeps the plan for the next start. A folder that cannot be written is noted in the log."""
        try:
            write(self.last_plan, draft)
        except BadInput as error:
            logging.getLogger(__name__).warning("%s", error)

    def reset(self) -> None:
        """Forgets everything."""
        self._ini.clear()
        self._ini.sync()
        self.last_plan.unlink(missing_ok=True)
        self.forgotten = True


def log_file() -> Path:
    """Where the log lies."""
    from llmplanner.cli.places import log_file as place  # noqa: PLC0415 - not before the first picture

    return place()


def start_log() -> None:
    """Writes warnings and errors to the log file; without a writable folder, to standard error alone."""
    path = log_file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.stat().st_size > LOG_BYTES:
            path.replace(path.with_suffix(".old.log"))
        handler: logging.Handler = logging.FileHandler(path, encoding="utf-8")
    except OSError:
        handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.getLogger().addHandler(handler)
