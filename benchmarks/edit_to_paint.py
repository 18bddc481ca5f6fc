"""From an edit of the plan to the painted Memory tab, 95th percentile, beside the 16 ms of a 60 Hz frame."""

import os
import statistics
import time

from benchmarks.measure import Row

EDITS = 200
FRAME = 16e-3  # seconds


def edits() -> list[float]:
    """Seconds from each of many edits of the context to the end of the repaint that it asks for."""
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    from PySide6.QtWidgets import QApplication  # noqa: PLC0415 - the platform is chosen first

    from llmplanner.app.main import example_window  # noqa: PLC0415

    app = QApplication([])
    window = example_window()
    window.resize(1280, 800)
    window.show()
    for _ in range(20):
        app.processEvents()
    taken = []
    for number in range(EDITS):
        start = time.perf_counter()
        window.session.edit(context=1024 + 64 * (number + 1))
        app.processEvents()  # the queued paint events; the chart, the table and the verdict among them
        taken.append(time.perf_counter() - start)
    return taken


def rows() -> list[Row]:
    """One row: the 95th percentile within a frame."""
    taken = edits()
    ninety_five = statistics.quantiles(taken, n=20)[-1]
    return [Row("edit to paint, 95th percentile", ninety_five, "one frame at 60 Hz", FRAME, 1.0)]
