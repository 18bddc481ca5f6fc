"""Stand-ins for NVIDIA's management library: one in C for the child process, one in Python for this one."""

import ctypes
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

MIB = 2**20
SOURCE = Path(__file__).with_name("fake_nvml.c")
COMPILER = shutil.which("cc") or shutil.which("gcc")
needs_compiler = pytest.mark.skipif(
    COMPILER is None or os.name != "posix", reason="the fake NVML library needs a C compiler on Linux"
)


def build(folder: Path, *options: str) -> Path:
    """Compiles the library as libnvidia-ml.so.1 into `folder` and gives that folder."""
    assert COMPILER is not None
    library = folder / "libnvidia-ml.so.1"
    command = [COMPILER, "-shared", "-fPIC", "-Wall", "-Werror", *options, "-o", str(library), str(SOURCE)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return folder


def card(index: int | str, name: str, total: int, free: int, **more: object) -> dict[str, object]:
    """The lines of one card or instance; sizes in MiB."""
    facts = {"name": name, "uuid": f"GPU-{index}", "total": total * MIB, "free": free * MIB, **more}
    return {f"{index}.{key}": value for key, value in facts.items()}


def said(lines: Mapping[str, object]) -> str:
    """The value of FAKE_NVML."""
    return "\n".join(f"{key}={value}" for key, value in lines.items())


class PythonFake:
    """A library of Python functions, found by pynvml as it finds those of a real one."""

    def __init__(self, cards: list[tuple[bytes, bytes, int, int]]) -> None:
        self.cards = cards

    def nvmlInitWithFlags(self, _flags: int) -> int:  # noqa: N802 - NVML's own spelling
        return 0

    def nvmlDeviceGetCount_v2(self, count: object) -> int:  # noqa: N802 - NVML's own spelling
        count._obj.value = len(self.cards)  # type: ignore[attr-defined]
        return 0

    def nvmlDeviceGetHandleByIndex_v2(self, index: ctypes.c_uint, handle: object) -> int:  # noqa: N802 - the same
        pointer = ctypes.cast(ctypes.c_void_p(index.value + 1), type(handle._obj))  # type: ignore[attr-defined]
        ctypes.memmove(ctypes.addressof(handle._obj), ctypes.byref(pointer), 8)  # type: ignore[attr-defined]
        return 0

    def _card(self, handle: object) -> tuple[bytes, bytes, int, int]:
        address = ctypes.cast(handle, ctypes.c_void_p).value  # type: ignore[arg-type]
        assert address is not None
        return self.cards[address - 1]

    def nvmlDeviceGetName(self, handle: object, buffer: ctypes.Array[ctypes.c_char], _size: object) -> int:  # noqa: N802 - the same
        buffer.value = self._card(handle)[0]
        return 0

    def nvmlDeviceGetUUID(self, handle: object, buffer: ctypes.Array[ctypes.c_char], _size: object) -> int:  # noqa: N802 - the same
        buffer.value = self._card(handle)[1]
        return 0

    def nvmlDeviceGetMemoryInfo(self, handle: object, memory: object) -> int:  # noqa: N802 - the same
        _, _, memory._obj.total, memory._obj.free = self._card(handle)  # type: ignore[attr-defined]
        return 0
