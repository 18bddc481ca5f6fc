"""From the start of the process to the first painted window, beside a bare QMainWindow with four empty tabs.

Both run on the screen that there is (DISPLAY), else offscreen. Ours is painted when the verdict, the fields,
the table of terms and the memory bar are: the example plan is computed and shown.
"""

import os
import sys
import tempfile

from benchmarks.measure import Row, in_turn, wall

BARE = """
import os, numpy
from PySide6.QtWidgets import QApplication, QMainWindow, QTabWidget, QWidget
class Window(QMainWindow):
    def paintEvent(self, event):
        super().paintEvent(event)
        os._exit(0)
app = QApplication([])
window = Window()
tabs = QTabWidget()
for name in ("Memory", "Quantization", "Compute budget", "Scaling curves"):
    tabs.addTab(QWidget(), name)
window.setCentralWidget(tabs)
window.resize(1280, 800)
window.show()
app.exec()
"""
OURS = """
import os
import llmplanner.cli  # what `python -m llmplanner` imports before it opens the window
import llmplanner.app.main as program
class Timed(program.Window):
    def __init__(self, session, looks):
        super().__init__(session, looks)
        self.painted.connect(lambda: os._exit(0))
program.Window = Timed
program.main([])
"""


def rows() -> list[Row]:
    """One row: at most 1.6 times the bare window."""
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # a user's second start finds every module compiled
    with tempfile.TemporaryDirectory() as home:
        os.environ |= {"HOME": home, "XDG_CONFIG_HOME": home, "XDG_STATE_HOME": home, "XDG_CACHE_HOME": home}
        ours, floor = in_turn(
            lambda: wall([sys.executable, "-c", OURS]), lambda: wall([sys.executable, "-c", BARE]), rounds=15
        )
    return [Row("first painted window", ours, "bare window, four tabs, NumPy", floor, 1.6)]
