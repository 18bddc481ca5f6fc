"""The calculation core: pure functions over frozen dataclasses. No Qt, no I/O, no clock."""
