"""What the window says while a file is dragged over it."""

from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QWidget

LONGEST = 60  # characters of a name


class DropHint(QLabel):
    """Covers the window's middle and says what will be opened. Hidden otherwise; it takes no mouse."""

    def __init__(self, window: QWidget) -> None:
        super().__init__(window)
        self._window = window
        self.setObjectName("drop")
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.hide()

    def offer(self, paths: list[Path]) -> None:
        """Names the file, or the folder that several files lie in."""
        path = paths[0] if len(paths) == 1 else paths[0].parent
        name = path.name if len(path.name) <= LONGEST else f"{path.name[:LONGEST]}…"
        self.setText(
            f"Drop to open {name}\n\nA plan, a config.json, .safetensors, .gguf, .bin, or a model's folder"
        )
        self.setGeometry(self._window.rect())
        self.raise_()
        self.show()
