"""A label of so many lines and no more: what has no room in them is in its tool tip, and nothing moves."""

from bisect import bisect_left

from PySide6.QtCore import QRect, Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QLabel

ANY_HEIGHT = 100_000  # px


class Elided(QLabel):
    """`said` is the whole text, which `say` sets: what may be cut, then what is kept."""

    def __init__(self, lines: int) -> None:
        super().__init__()
        self.said = ""
        self._first, self._kept = "", ""
        self._height = lines * self.fontMetrics().lineSpacing()
        self.setWordWrap(True)
        self.setFixedHeight(self._height)
        self.setAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)

    def say(self, text: str, kept: str = "") -> None:
        """Shows a text, or as much of it as there is room for beside what is `kept` at its end."""
        self._first, self._kept = text, kept
        self.said = _joined(text, kept)
        self._fit()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Shows more or less of the text."""
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        kept = self._kept if not self._is_too_long(f"… {self._kept}") else ""
        words = (self._first if kept else self.said).split(" ")
        if not self._is_too_long(self.said):
            shown = self.said
        else:
            most = bisect_left(
                range(1, len(words)), True, key=lambda n: self._is_too_long(_cut(words, n, kept))
            )
            shown = _cut(words, max(most, 1), kept)
        if shown != self.text():
            self.setText(shown)
        self.setToolTip(self.said if shown != self.said else "")

    def _is_too_long(self, text: str) -> bool:
        room = QRect(0, 0, self.width(), ANY_HEIGHT)
        wrapped = self.fontMetrics().boundingRect(room, Qt.TextFlag.TextWordWrap, text)
        return wrapped.height() > self._height


def _cut(words: list[str], count: int, kept: str) -> str:
    return _joined(f"{' '.join(words[:count]).rstrip('.,:;')}…", kept)


def _joined(first: str, kept: str) -> str:
    return f"{first} {kept}" if first and kept else first or kept
