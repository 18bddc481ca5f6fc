"""The Qt window. Holds widgets and the current plan; no formula, no file format."""

import gc

# Before Qt: PySide6 reads the source of every module that is imported after it (to find `__feature__`).
import llmplanner.advice
import llmplanner.charts.memory  # noqa: F401 - as said above

gc.set_threshold(20_000, 20, 20)  # the start makes tens of thousands of objects, and nearly all of them stay
