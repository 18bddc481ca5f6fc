"""Which GPUs: this computer's or the catalogue's, how many, and how the work is split over them."""

from typing import TYPE_CHECKING

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QPushButton

from llmplanner import plan_fields
from llmplanner.app.cards import note
from llmplanner.app.fields import ChoiceField, CountField, SearchField
from llmplanner.app.panels import Panel
from llmplanner.app.session import Session, State
from llmplanner.core.errors import BadInput
from llmplanner.core.machine import Device, alike
from llmplanner.core.model import Model
from llmplanner.core.quantities import GIB
from llmplanner.core.sharding import device_model
from llmplanner.plans import is_uuid
from llmplanner.workloads import split_of

if TYPE_CHECKING:
    from llmplanner.gpus.local import Probe

MOST_HEADS = 128  # of a layer, in the models there are
LOOKING = "Looking at this computer's GPUs…"
ZERO = (
    (0, "0: nothing is split"),
    (1, "1: optimizer state"),
    (2, "2: and gradients"),
    (3, "3: and weights"),
)


class MachinePanel(Panel):
    """The GPU, its count and the split. `refresh` asks for another look at this computer's cards."""

    refresh = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__("Machine")
        self._session = session
        self._gpu = SearchField(
            "GPU", "A card of this computer, or one of the catalogue: type a part of its name."
        )
        self._count = CountField(
            plan_fields.Field("GPUs", "count", high=1_000_000), "How many of these GPUs."
        )
        self._tensor = CountField(
            plan_fields.Field("Tensor parallel", "count", high=1_000_000),
            "GPUs that share every layer by dividing heads and feed-forward. The rest works on other data.",
        )
        self._zero = ChoiceField(
            "ZeRO stage",
            "What data-parallel GPUs divide among themselves instead of each keeping it all.",
            ZERO,
        )
        self.fields = {"gpu": self._gpu, "count": self._count, "tp": self._tensor, "zero": self._zero}
        self.about = note()
        self.seen = note()
        self.seen.hide()
        look = QPushButton("Look again")
        look.setProperty("small", True)
        look.setToolTip("Reads this computer's GPUs and their free memory once more.")
        look.clicked.connect(self.refresh)
        self.look = look
        self._lay_out()
        self._gpu.entered.connect(lambda gpu: session.edit(gpu=gpu))
        self._count.entered.connect(self._ask_count)
        self._tensor.entered.connect(lambda size: self._split(split_of(session.state.draft).devices, size))
        self._zero.entered.connect(lambda stage: session.edit(zero=stage))

    def _lay_out(self) -> None:
        self.head.addWidget(self.look)
        self.rows.addWidget(self._gpu)
        self.rows.addWidget(self.about)
        self.rows.addWidget(self.seen)
        for field in (self._count, self._tensor, self._zero):
            self.rows.addWidget(field)

    def offer(self, local: tuple[Device, ...], catalogue: tuple[tuple[object, str], ...]) -> None:
        """Takes what can be chosen: this computer's cards, then (id, name) of the catalogue."""
        here: list[tuple[object, str]] = []
        if local:
            best = max(local, key=lambda device: device.memory_free or 0)
            here.append(("local", _title("local", (best,))))
        if len(local) > 1:
            here += [(device.uuid, _title(device.uuid, (device,))) for device in local if device.uuid]
        self._gpu.offer((*here, *catalogue))

    def show_looking(self) -> None:
        """Says that this computer's cards are being looked at."""
        self._say(LOOKING)

    def show_looked(self) -> None:
        """Takes that away again where the look ended without a result."""
        if self.seen.text() == LOOKING:
            self._say("")

    def show_probe(self, probe: "Probe") -> None:
        """Says what was seen, where it is not simply one card that works."""
        without = {"no-library": "no NVIDIA driver", "no-gpu": "no GPU"}.get(probe.state)
        if without is not None:
            self._say(f"This computer has {without}: plan for any card of the catalogue.")
        else:
            plain = probe.state == "ok" and not probe.troubles and all(map(_tells_all, probe.devices))
            self._say("" if plain else probe.message)
        self.seen.setToolTip(probe.message)

    def _say(self, sentence: str) -> None:
        self.seen.setText(sentence)
        self.seen.setVisible(bool(sentence))

    def show_state(self, state: State) -> None:
        """Shows a plan's machine. Emits nothing."""
        draft, plan = state.draft, state.plan
        devices = plan.machine.devices
        different = devices[:1] if alike(devices) else devices
        self._gpu.show_value(_title(draft.gpu, different))
        here = "Here: " if plan.machine.local else ""
        several = len(different) > 1
        lines = (_about(device, f"{device.name}: " if several else here) for device in different)
        self.about.setText("\n".join(dict.fromkeys(lines)))
        self._count.show_value(plan.split.devices)
        self._tensor.show_value(plan.split.tensor)
        self._tensor.setVisible(plan.split.devices > 1)
        self._zero.show_value(draft.zero)
        self._zero.setVisible(plan.split.data > 1 and draft.task != "serve")

    def _ask_count(self, devices: int) -> None:
        state = self._session.state
        if state.draft.task != "serve":
            tensor = state.plan.split.tensor
            self._split(devices, tensor if devices % tensor == 0 else 1)
        elif _divides(state.plan.model, devices):
            self._split(devices, devices)
        else:
            self._count.show_problem(_counts(state.plan.model, devices))

    def _split(self, devices: int, tensor: int) -> None:
        model = self._session.state.plan.model
        if devices % tensor:
            self._tensor.show_problem(f"{devices:,} GPUs cannot be shared out in groups of {tensor:,}.")
        elif _divides(model, tensor):
            self._session.edit(count=devices, dp=devices // tensor, tp=tensor)
        else:
            self._tensor.show_problem(_counts(model, tensor))


def _divides(model: Model, devices: int) -> bool:
    """Whether each of so many GPUs can have its part of every layer."""
    try:
        device_model(model, devices)
    except BadInput:
        return False
    return True


def _counts(model: Model, devices: int) -> str:
    """Why a count cannot be taken, and which can."""
    *some, most = (f"{count:,}" for count in range(1, MOST_HEADS + 1) if _divides(model, count))
    which = f"{', '.join(some)} or {most}" if some else most
    return f"The layers of {model.name} cannot be divided over {devices:,} GPUs; take {which}."


def _title(gpu: str, devices: tuple[Device, ...]) -> str:
    """The plan's choice of cards as its field shows it: this computer's own and one by UUID differ."""
    names = " + ".join(dict.fromkeys(device.name for device in devices))
    if gpu == "local":
        return f"This computer · {names}"
    return f"{names} · {gpu}" if is_uuid(gpu) else names


def _tells_all(device: Device) -> bool:
    return not device.unified and device.memory_total is not None and device.memory_free is not None


def _about(device: Device, place: str) -> str:
    """One line on a card: what it holds, and what of it is free."""
    if device.memory_total is None:
        return "No GPU was seen here. Choose one of the catalogue by a part of its name."
    total = f"{device.memory_total / GIB:,.2f} GiB"
    if device.memory_free is None:
        return f"{place}{total}, with nothing on it"
    return f"{place}{device.memory_free / GIB:,.2f} of {total} free now"
