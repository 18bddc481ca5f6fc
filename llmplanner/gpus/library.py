"""Finds and loads NVIDIA's management library, before anything that needs it is imported."""

import ctypes
import sys

# Where the loader does not look by itself: NixOS, and Windows' driver inside WSL.
LIBRARIES = (
    "libnvidia-ml.so.1",
    "/run/opengl-driver/lib/libnvidia-ml.so.1",
    "/usr/lib/wsl/lib/libnvidia-ml.so.1",
)


def load() -> ctypes.CDLL | None:
    """The library; None on Windows, where pynvml knows the places. Raises OSError with the loader's words."""
    if sys.platform == "win32":
        return None
    reason = None
    for path in LIBRARIES:
        try:
            return ctypes.CDLL(path)
        except OSError as error:
            reason = reason or error
    raise OSError(str(reason))
