"""Whether a window could open on this computer."""

import ctypes
import os
import sys
from pathlib import Path


def has_display() -> bool:
    """Whether a display is named and answers. Qt ends the process where it finds none."""
    if sys.platform in {"win32", "darwin"}:
        return True
    return _wayland_answers() or _x11_answers()


def _wayland_answers() -> bool:
    name, folder = os.environ.get("WAYLAND_DISPLAY"), os.environ.get("XDG_RUNTIME_DIR", "")
    return bool(name) and (Path(folder) / str(name)).is_socket()


def _x11_answers() -> bool:
    """A DISPLAY left over from another session is named and does not answer."""
    if not os.environ.get("DISPLAY"):
        return False
    try:
        xcb = ctypes.CDLL("libxcb.so.1")
    except OSError:
        return False
    xcb.xcb_connect.restype = ctypes.c_void_p
    connection = ctypes.c_void_p(xcb.xcb_connect(None, None))
    answers = xcb.xcb_connection_has_error(connection) == 0
    xcb.xcb_disconnect(connection)
    return bool(answers)
