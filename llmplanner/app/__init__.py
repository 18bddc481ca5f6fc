"""The Qt window. Holds widgets and the current plan; no formula, no file format."""

import gc

gc.set_threshold(20_000, 20, 20)  # the start makes tens of thousands of objects, and nearly all of them stay
