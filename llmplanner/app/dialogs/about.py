"""Versions, licences, and what the program does with the user's data."""

from importlib.metadata import PackageNotFoundError, version

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication, QDialog, QDialogButtonBox, QLabel, QVBoxLayout, QWidget

from llmplanner.app.faults import versions

LIBRARIES = (  # distribution, licence
    ("PySide6-Essentials", "Qt for Python, LGPL-3.0"),
    ("numpy", "BSD-3-Clause"),
    ("pyqtgraph", "MIT"),
    ("nvidia-ml-py", "BSD-3-Clause"),
    ("msgspec", "BSD-3-Clause"),
    ("platformdirs", "MIT"),
    ("psutil", "BSD-3-Clause"),
    ("urllib3", "MIT"),
    ("certifi", "MPL-2.0"),
)

EDGE = 24  # px


class AboutDialog(QDialog):
    """About LLM Planner."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("About LLM Planner")
        self.setMinimumWidth(620)
        title = QLabel("LLM Planner")
        title.setProperty("role", "big")
        self.text = QLabel(text())
        self.text.setWordWrap(True)
        self.text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        copy = buttons.addButton("Copy details", QDialogButtonBox.ButtonRole.ActionRole)
        copy.setToolTip("Puts these versions onto the clipboard.")
        copy.clicked.connect(lambda: QApplication.clipboard().setText(text()))
        buttons.rejected.connect(self.reject)
        buttons.button(QDialogButtonBox.StandardButton.Close).setToolTip("Closes this window.")
        rows = QVBoxLayout(self)
        rows.setContentsMargins(EDGE, EDGE, EDGE, 16)
        rows.setSpacing(12)
        for part in (title, self.text, buttons):
            rows.addWidget(part)
        self.text.setMinimumHeight(self.text.heightForWidth(self.minimumWidth() - 2 * EDGE))


def text() -> str:
    """What the dialog says and copies."""
    used = "\n".join(f"{name} {_version(name)} · {licence}" for name, licence in LIBRARIES)
    return (
        "Does this model fit, on which hardware, how long will it take, what will it cost?\n\n"
        f"{versions()}\n\nLLM Planner is under the Apache License 2.0. It uses:\n{used}\n"
        "Inter, the typeface · SIL Open Font License 1.1\n\n"
        "Qt is used under the LGPL: its libraries are separate files, and you may replace them.\n\n"
        "Privacy: LLM Planner counts nothing and sends nothing of yours. It uses the network only where you "
        "ask for a model by an id such as Qwen/Qwen3-8B: then it reads that model's config and headers from "
        "huggingface.co."
    )


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "(version not known)"
