"""From an edit of the plan to the painted Memory tab, 95th percentile, beside the 16 ms of a 60 Hz frame.

The edits go through the session, by turns of the context, the batch, the weights' and the cache's format.
"""

import os
import statistics
import time
from collections.abc import Iterator
from itertools import count, islice

from benchmarks.measure import Row

EDITS = 200
FRAME = 16e-3  # seconds
SETTLED = 0.5  # seconds from the first picture until nothing of the start is left to do


def changes() -> Iterator[dict[str, object]]:
    """Edits without end."""
    for step in count():
        yield {"context": 1024 + 64 * step}
        yield {"batch": 2 + step % 8}
        yield {"weights": ("int8", "bf16")[step % 2]}
        yield {"kv": ("fp8-e4m3", "bf16")[step % 2]}


def edits() -> list[float]:
    """Seconds from each of many edits to the end of the repaint that it asks for."""
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    from PySide6.QtWidgets import QApplication  # noqa: PLC0415 - the platform is chosen first

    from llmplanner.app.main import example_window  # noqa: PLC0415 - as above
    from llmplanner.app.theme import ARGUMENTS  # noqa: PLC0415 - as above

    app = QApplication(ARGUMENTS)
    window = example_window()
    window.resize(1280, 800)
    window.show()
    settled = time.perf_counter() + SETTLED
    while time.perf_counter() < settled:
        app.processEvents()
    taken = []
    for change in islice(changes(), EDITS):
        start = time.perf_counter()
        window.session.edit(**change)
        app.processEvents()  # the queued paint events; the chart, the table and the verdict among them
        taken.append(time.perf_counter() - start)
    return taken


def rows() -> list[Row]:
    """One row: the 95th percentile within a frame."""
    taken = edits()
    ninety_five = statistics.quantiles(taken, n=20)[-1]
    return [Row("edit to paint, 95th percentile", ninety_five, "one frame at 60 Hz", FRAME, 1.0)]
