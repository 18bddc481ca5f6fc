"""Makes Qt's Python types on the GUI thread, before a thread imports modules that use them.

PySide makes a type when it is first touched. A thread that touches one while the GUI thread handles events
has been seen to end the process (a segmentation fault, PySide6 6.11.3); types that are already made are safe.
"""

from collections.abc import Callable
from types import ModuleType

from PySide6 import QtCore, QtGui, QtWidgets
from PySide6.QtCore import QTimer


def make_types(
    done: Callable[[], None], modules: tuple[ModuleType, ...] = (QtCore, QtGui, QtWidgets)
) -> None:
    """Makes the types of one module in each turn of the event loop, some 35 ms, then calls `done`."""
    if not modules:
        done()
        return
    for name in dir(modules[0]):
        getattr(modules[0], name)
    QTimer.singleShot(0, lambda: make_types(done, modules[1:]))
