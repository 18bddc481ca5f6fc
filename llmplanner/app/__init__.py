"""The Qt window. Holds widgets and the current plan; no formula, no file format."""
