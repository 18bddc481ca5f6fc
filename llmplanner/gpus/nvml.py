"""The calls to NVIDIA's management library, which may crash or hang: only the probe's child makes them.

Source: nvml.h of driver 590 and nvidia-ml-py 13. Every answer is optional beyond init, count and handle.
"""

import ctypes
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeVar

import pynvml

from llmplanner.gpus.report import Card, CardState, DriverState, MemorySource, Report

TEXT_BYTES = 96  # NVML_DEVICE_NAME_V2_BUFFER_SIZE, NVML_DEVICE_UUID_V2_BUFFER_SIZE
MOST_CARDS = 256  # in one computer; a library that claims more is not believed
MOST_INSTANCES = 64  # MIG instances of one card; seven today
MOST_MEMORY = 2**50  # bytes of one card; more is a marker for "not known" or nonsense

STATES: dict[int, DriverState] = {
    pynvml.NVML_ERROR_LIBRARY_NOT_FOUND: "no-library",
    pynvml.NVML_ERROR_DRIVER_NOT_LOADED: "driver-not-loaded",
    pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: "driver-library-mismatch",
    pynvml.NVML_ERROR_NO_PERMISSION: "no-permission",
    pynvml.NVML_ERROR_FUNCTION_NOT_FOUND: "driver-too-old",
}
CARD_STATES: dict[int, CardState] = {
    pynvml.NVML_ERROR_GPU_IS_LOST: "lost",
    pynvml.NVML_ERROR_RESET_REQUIRED: "lost",
    pynvml.NVML_ERROR_NO_PERMISSION: "no-permission",
}
WDDM = 0  # NVML_DRIVER_WDDM

Answer = TypeVar("Answer")


class Refused(Exception):  # noqa: N818 - an answer of the library, not an error of ours
    """NVML answered with an error code. pynvml's own exception cannot be compared or hashed."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


def ask(function: Callable[..., Answer], *arguments: object) -> Answer:
    """Calls a function of pynvml. Raises Refused with NVML's code."""
    try:
        return function(*arguments)
    except pynvml.NVMLError as error:
        raise Refused(int(error.value)) from error
    except pynvml.NVMLLibraryMismatchError as error:
        raise Refused(pynvml.NVML_ERROR_FUNCTION_NOT_FOUND) from error


def look(library: ctypes.CDLL | None = None) -> Report:
    """The driver and its cards as they are now. `library` is what was loaded; None: pynvml finds it."""
    if library is not None:
        pynvml.nvmlLib = library
    try:
        _start()
    except Refused as refused:
        return Report(STATES.get(refused.code, "nvml-error"), refused.code)
    driver = _version()
    try:
        count = ask(pynvml.nvmlDeviceGetCount)
    except Refused as refused:
        return Report(STATES.get(refused.code, "nvml-error"), refused.code, driver=driver)
    if count > MOST_CARDS:
        return Report("nvml-error", detail=f"it claims {count} GPUs", driver=driver)
    cards = tuple(card for index in range(count) for card in _numbered(index))
    return Report("ok" if cards else "no-gpu", driver=driver, cards=cards)


def _start() -> None:
    """Starts the library; drivers before R396 know only the older call, which pynvml leaves out."""
    try:
        ask(pynvml.nvmlInit)
    except Refused as refused:
        older = getattr(pynvml.nvmlLib, "nvmlInit_v2", None)
        if refused.code != pynvml.NVML_ERROR_FUNCTION_NOT_FOUND or older is None:
            raise
        code = int(older())
        if code != pynvml.NVML_SUCCESS:
            raise Refused(code) from refused


def _version() -> str | None:
    """The driver's version; None where what it says is not one."""
    text = _text("nvmlSystemGetDriverVersion")
    return text if text is not None and re.fullmatch(r"[\w.+-]+", text, re.ASCII) else None


def _numbered(index: int) -> Iterator[Card]:
    return (replace(card, index=index) for card in _cards_at(index))


def _cards_at(index: int) -> Iterator[Card]:
    """The card at an index, or its MIG instances where it is divided."""
    try:
        handle = ask(pynvml.nvmlDeviceGetHandleByIndex, index)
    except Refused as refused:
        yield Card(CARD_STATES.get(refused.code, "unreadable"), refused.code)
        return
    if not _divided(handle):
        yield _card(handle)
        return
    instances = list(_instances(handle))
    if not instances:
        yield Card("mig-without-instance", uuid=_text("nvmlDeviceGetUUID", handle), name=_name(handle))
    for instance in instances:
        yield _card(instance)


def _divided(handle: object) -> bool:
    """Whether the card runs in MIG mode, in which only its instances can be used."""
    try:
        current, _ = ask(pynvml.nvmlDeviceGetMigMode, handle)
    except Refused:
        return False
    return bool(current == pynvml.NVML_DEVICE_MIG_ENABLE)


def _instances(handle: object) -> Iterator[object]:
    """The handles of a card's MIG instances; their indices may have holes."""
    try:
        most = ask(pynvml.nvmlDeviceGetMaxMigDeviceCount, handle)
    except Refused:
        return
    for index in range(min(most, MOST_INSTANCES)):
        try:
            yield ask(pynvml.nvmlDeviceGetMigDeviceHandleByIndex, handle, index)
        except Refused:
            continue


def _card(handle: object) -> Card:
    """All that is asked of one card or instance."""
    uuid, name = _text("nvmlDeviceGetUUID", handle), _name(handle)
    try:
        total, free, reserved = _memory(handle)
    except Refused as refused:
        if refused.code == pynvml.NVML_ERROR_NOT_SUPPORTED:
            return _of_the_computer(uuid, name, "system")
        state = CARD_STATES.get(refused.code, "ok")  # a card whose memory alone is unreadable is still a card
        return Card(state, refused.code, uuid, name, wddm=_wddm(handle))
    if total == 0:
        return _of_the_computer(uuid, name, "zero")
    if total > MOST_MEMORY:
        return Card("ok", 0, uuid, name, wddm=_wddm(handle))
    return Card(
        "ok",
        0,
        uuid,
        name,
        "nvml",
        total,
        free if free <= total else None,
        reserved if reserved is not None and reserved <= total else None,
        _wddm(handle),
    )


def _of_the_computer(uuid: str | None, name: str | None, memory: MemorySource) -> Card:
    """A card of which NVML gives no total, as of one without memory of its own (GB10, Jetson)."""
    import psutil  # noqa: PLC0415 - half of the probe's time, and few cards need it

    found = psutil.virtual_memory()
    return Card("ok", 0, uuid, name, memory, int(found.total), int(found.available))


def _memory(handle: object) -> tuple[int, int, int | None]:
    """Total, free and reserved bytes. Drivers before R510 lack version 2, some refuse it. Raises Refused."""
    try:
        second = ask(pynvml.nvmlDeviceGetMemoryInfo, handle, pynvml.nvmlMemory_v2)
    except Refused as refused:
        if refused.code in CARD_STATES:
            raise
        try:
            first = ask(pynvml.nvmlDeviceGetMemoryInfo, handle)
        except Refused as again:
            raise refused if again.code == pynvml.NVML_ERROR_FUNCTION_NOT_FOUND else again from refused
        return int(first.total), int(first.free), None
    return int(second.total), int(second.free), int(second.reserved)


def _wddm(handle: object) -> bool:
    """Whether Windows' display driver model manages the memory."""
    try:
        return bool(ask(pynvml.nvmlDeviceGetCurrentDriverModel, handle) == WDDM)
    except Refused:
        return sys.platform == "win32"


def _name(handle: object) -> str | None:
    return _text("nvmlDeviceGetName", handle)


def _text(function: str, *handle: object) -> str | None:
    """A text of the library. pynvml's own functions fail where it is not UTF-8."""
    buffer = ctypes.create_string_buffer(TEXT_BYTES + 1)
    try:
        code = getattr(pynvml.nvmlLib, function)(*handle, buffer, ctypes.c_uint(TEXT_BYTES))
    except AttributeError:  # a library that lacks the function
        return None
    if code != pynvml.NVML_SUCCESS:
        return None
    text = buffer.value.decode(errors="replace")
    return "".join(letter for letter in text if letter.isprintable()).strip() or None
