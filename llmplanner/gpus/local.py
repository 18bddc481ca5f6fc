"""The GPUs of this computer: runs the probe in a child process and says what it found, in sentences."""

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

import msgspec

from llmplanner.core.machine import Device, Machine
from llmplanner.gpus import catalogue
from llmplanner.gpus.report import Card, Report

if TYPE_CHECKING:
    import subprocess

TIMEOUT = 90 if sys.platform == "win32" else 30  # seconds; ollama's runner.go allows the same
MAX_OUTPUT = 1_000_000  # bytes; a report on eight cards is two thousand
UNKNOWN_ERROR = 999  # NVML_ERROR_UNKNOWN, which a fresh process may not meet again
PRIVATE_ARGUMENT = "--probe-gpus"  # a bundled program has no interpreter to call and calls itself

SENTENCES = {  # by state: what is the matter, and what to do
    "binding-missing": (
        "The package nvidia-ml-py is missing from this installation ({detail}); install LLM Planner again."
    ),
    "no-library": (
        "No NVIDIA driver was found on this computer ({detail}). If it has an NVIDIA GPU, install NVIDIA's "
        "driver; otherwise plan for a GPU of the catalogue."
    ),
    "driver-not-loaded": (
        "NVIDIA's driver is installed but not running; restart the computer, or load its kernel module "
        "(in WSL, update the driver in Windows)."
    ),
    "driver-library-mismatch": (
        "NVIDIA's driver was updated while it ran, and its parts no longer agree; restart the computer to "
        "finish the update."
    ),
    "no-permission": (
        "This user may not ask NVIDIA's driver; run as a user with access to /dev/nvidia* "
        "(in a container, pass the GPU through)."
    ),
    "driver-too-old": "NVIDIA's driver is too old to be asked for its GPUs; update it.",
    "nvml-error": (
        "NVIDIA's driver gave an error ({detail}); restart the computer, or the container that this runs in."
    ),
    "no-gpu": (
        "NVIDIA's driver is running and sees no GPU; check that the card is seated and, in a container, "
        "passed through."
    ),
    "crashed": (
        "NVIDIA's driver library crashed while it was asked ({detail}); restart the computer. "
        "Planning for a GPU of the catalogue works without it."
    ),
    "hung": (
        "NVIDIA's driver did not answer within {detail}; try again, and restart the computer if it stays so."
    ),
    "no-answer": "The look at the GPUs gave no answer that can be read ({detail}); try again.",
}
TROUBLES = {  # of one card, after its name
    "lost": (
        "no longer answers the driver (error {code}); restart the computer, and check its power and seating "
        "if it happens again"
    ),
    "no-permission": "may not be used by this user (error {code}); ask for access to its device file",
    "unreadable": "cannot be read (error {code}); restart the computer",
    "mig-without-instance": (
        "is in MIG mode and has no instance; create one with `nvidia-smi mig -cgi`, or turn the mode off"
    ),
}


@dataclass(frozen=True, slots=True)
class Unusable:
    """A card that is there and cannot be used. None: the driver does not say."""

    index: int | None
    uuid: str | None
    name: str | None
    state: str  # a key of TROUBLES
    code: int  # NVML's
    message: str


@dataclass(frozen=True, slots=True)
class Probe:
    """What one look at the GPUs found. `devices` are those that can be used."""

    state: str  # ok, or why there is no device: a key of SENTENCES or of TROUBLES
    message: str
    devices: tuple[Device, ...] = ()
    driver: str | None = None
    unusable: tuple[Unusable, ...] = ()
    code: int = 0  # NVML's return code where the state is not ok

    @property
    def troubles(self) -> tuple[str, ...]:
        """A sentence for each card that is there and cannot be used."""
        return tuple(card.message for card in self.unusable)

    @property
    def machine(self) -> Machine:
        """This computer as a machine; it has no devices where none can be used."""
        return Machine(self.devices, local=True)


def command() -> list[str]:
    """The argument list of the child process, for QProcess or subprocess."""
    if getattr(sys, "frozen", False):
        return [sys.executable, PRIVATE_ARGUMENT]
    root = str(Path(__file__).resolve().parents[2])
    code = f"import sys; sys.path.append({root!r}); from llmplanner.gpus.probe import main; main()"
    return [sys.executable, "-P", "-c", code]  # -P: no module of the working directory may step in


def look() -> Probe:
    """Looks at the GPUs now. Takes a tenth of a second as a rule and TIMEOUT seconds at most."""
    probe = _look_once()
    return _look_once() if probe.code == UNKNOWN_ERROR else probe


def _look_once() -> Probe:
    import subprocess  # noqa: PLC0415 - a plan for a card of the catalogue does without

    try:
        child = subprocess.Popen(command(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    except OSError as error:
        return _failed("no-answer", f"the process did not start: {error.strerror}")
    output: list[bytes] = []
    # A thread reads: a process that hangs inside the kernel keeps its pipe open even when it is killed.
    reader = Thread(target=lambda: output.append(_output(child)), daemon=True)
    reader.start()
    reader.join(TIMEOUT)
    if reader.is_alive():
        child.kill()
        reader.join(1)
        return timed_out()
    return read(output[0], child.wait())


def _output(child: "subprocess.Popen[bytes]") -> bytes:
    """What the child prints until it ends; it is killed when it prints too much."""
    with child:
        stream = child.stdout
        data = stream.read(MAX_OUTPUT + 1) if stream is not None else b""
        if len(data) > MAX_OUTPUT:
            child.kill()
    return data


def timed_out() -> Probe:
    """The answer when the child was killed because it took longer than TIMEOUT."""
    return _failed("hung", f"{TIMEOUT} seconds")


def read(output: bytes, returncode: int) -> Probe:
    """The probe from what the child printed and how it ended (QProcess: -1 for a crash)."""
    if not output and returncode != 0:
        return _failed("crashed", f"exit code {returncode}")
    if len(output) > MAX_OUTPUT:
        return _failed("no-answer", "it is too long")
    try:
        report = msgspec.json.decode(output, type=Report)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _failed("no-answer", "it is not a whole report")
    return _probe(report)


def _failed(state: str, detail: str, driver: str | None = None, code: int = 0) -> Probe:
    return Probe(state, SENTENCES[state].format(detail=detail), driver=driver, code=code)


def _probe(report: Report) -> Probe:
    if report.state != "ok":
        return _failed(report.state, report.detail or f"error {report.code}", report.driver, report.code)
    good = [card for card in report.cards if card.state == "ok"]
    bad = tuple(_unusable(card) for card in report.cards if card.state != "ok")
    troubles = [card.message for card in bad]
    if not good:
        return Probe(bad[0].state, " ".join(troubles), (), report.driver, bad, bad[0].code)
    seen: set[str] = set()
    devices = tuple(_device(_believed(card), seen) for card in good)
    return Probe("ok", " ".join((_summary(devices), *troubles)), devices, report.driver, bad)


def _unusable(card: Card) -> Unusable:
    """What is the matter with a card, told by all that tells it from its like."""
    index = None if card.index is None else f"GPU {card.index}"
    told = ", ".join(each for each in (index, card.uuid) if each is not None)
    name = card.name or "A GPU of this computer"
    who = f"{name} ({told})" if told else name
    message = f"{who} {TROUBLES[card.state].format(code=card.code)}."
    return Unusable(card.index, card.uuid, card.name, card.state, card.code, message)


def _believed(card: Card) -> Card:
    """The card without the computer's memory where it has its own, and the driver only fails to tell it.

    NVML refuses the question for cards that share memory, and for none other; a total of zero says less.
    """
    shares = catalogue.shares_memory(card.name or "")
    if (card.memory == "system" and shares is False) or (card.memory == "zero" and shares is not True):
        return replace(card, memory="none", total=None, free=None)
    return card


def _summary(devices: tuple[Device, ...]) -> str:
    """How many cards there are, and what is to be known of their memory."""
    sentences = ["1 GPU can be used." if len(devices) == 1 else f"{len(devices)} GPUs can be used."]
    for device in devices:
        if device.unified:
            sentences.append(f"{device.name} has no memory of its own: it uses the computer's.")
        elif device.memory_total is None:
            sentences.append(f"{device.name} does not tell its memory; a verdict on it cannot be given.")
        elif device.memory_free is None:
            sentences.append(f"{device.name} does not tell its free memory; the empty card is judged.")
    return " ".join(sentences)


def _device(card: Card, seen: set[str]) -> Device:
    """A card as the core's device, with what the catalogue knows of it. `seen` are the UUIDs taken so far."""
    uuid = card.uuid if card.uuid not in seen else None  # two cards cannot be told apart by one UUID
    if uuid is not None:
        seen.add(uuid)
    unified = card.memory in {"system", "zero"}
    known = catalogue.match(card.name or "", None if unified else card.total)
    same_total = known is not None and known.memory_bytes == card.total
    return Device(
        name=card.name or "NVIDIA GPU without a name",
        memory_total=card.total,
        memory_free=card.free,
        memory_reserved=card.reserved,
        memory_usable=known.memory_usable_bytes if known is not None and same_total else None,
        uuid=uuid,
        unified=unified,
        wddm=card.wddm,
        peak_flops=known.peak_flops if known is not None else {},
        bandwidth=known.bandwidth if known is not None else None,
        watts=known.watts if known is not None else None,
        price_per_hour=known.price_usd_per_hour if known is not None else None,
        catalogue_name=known.name if known is not None else None,
    )
