"""What the probe's child process tells its parent, as JSON: facts and error codes, no sentences."""

from dataclasses import dataclass
from typing import Literal

DriverState = Literal[
    "ok",
    "binding-missing",
    "no-library",
    "driver-not-loaded",
    "driver-library-mismatch",
    "no-permission",
    "driver-too-old",
    "nvml-error",
    "no-gpu",
]
CardState = Literal["ok", "lost", "no-permission", "unreadable", "mig-without-instance"]
MemorySource = Literal["nvml", "system", "zero", "none"]


@dataclass(frozen=True, slots=True)
class Card:
    """One GPU, or one MIG instance of it. None: the driver does not say. Bytes."""

    state: CardState
    code: int = 0  # NVML's return code where the state is not ok
    uuid: str | None = None
    name: str | None = None
    # system: NVML refuses to tell its memory; zero: it tells none. The sizes are then the computer's.
    memory: MemorySource = "none"
    total: int | None = None
    free: int | None = None
    reserved: int | None = None
    wddm: bool = False
    index: int | None = None  # the driver's; of a MIG instance, its card's


@dataclass(frozen=True, slots=True)
class Report:
    """The driver's state and the cards that it lists, in its order."""

    state: DriverState
    code: int = 0  # NVML's return code
    detail: str = ""  # the loader's own words where the library could not be loaded
    driver: str | None = None
    cards: tuple[Card, ...] = ()
