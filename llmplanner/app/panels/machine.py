"""Which GPUs: this computer's or the catalogue's, how many, and how the work is split over them."""

from math import prod
from typing import TYPE_CHECKING

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QPushButton

from llmplanner.app.cards import note
from llmplanner.app.fields import SearchField
from llmplanner.app.panels import Panel
from llmplanner.app.panels.controls import control
from llmplanner.app.panels.form import Form
from llmplanner.app.panels.workload import OF_MACHINE
from llmplanner.app.session import Session, State
from llmplanner.comparison import AS_THEY_COME, SIZES
from llmplanner.core.errors import BadInput
from llmplanner.core.machine import Device, alike
from llmplanner.core.model import Experts, Model
from llmplanner.core.plan import Split
from llmplanner.core.quantities import GIB
from llmplanner.core.sharding import device_model
from llmplanner.plan_fields import used
from llmplanner.plans import Draft, is_uuid

if TYPE_CHECKING:
    from llmplanner.gpus.local import Probe

TIP = "A card of this computer, or one of the catalogue: type a part of its name."
MOST_HEADS = 128  # of a layer, in the models there are
LOOKING = "Looking at this computer's GPUs…"
WAYS = ("tp", "pp", "cp", "ep")  # sizes of a split beside the data-parallel one
FIRST = frozenset({"count", "tp", "dp", "zero"})


class MachinePanel(Panel):
    """The GPU, its count and the split. `refresh` asks for another look at this computer's cards."""

    refresh = Signal()

    def __init__(self, session: Session) -> None:
        super().__init__("Machine")
        self._session = session
        self._gpu = SearchField("GPU", TIP)
        self._form = Form(session, "machine", control, after=self._gpu.entry)
        self.fold = self._form.fold
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
        self._form.entered.connect(self._enter)
        self.show_state(session.state)

    def _lay_out(self) -> None:
        self.head.addWidget(self.look)
        self.rows.addWidget(self._gpu)
        self.rows.addWidget(self.about)
        self.rows.addWidget(self.seen)
        self.rows.addWidget(self._form)

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
        self._gpu.box.setToolTip(f"{', '.join(dict.fromkeys(device.name for device in different))}. {TIP}")
        here = "Here: " if plan.machine.local else ""
        several = len(different) > 1
        lines = (_about(device, f"{device.name}: " if several else here) for device in different)
        self.about.setText("\n".join(dict.fromkeys(lines)))
        self._form.show_fields(draft, *_placed(state))
        self.fields = {"gpu": self._gpu, **self._form.fields}
        split = plan.split
        sizes = {"count": split.devices, "tp": split.tensor, "dp": split.data}
        for name, size in sizes.items():
            if name in self.fields:
                self.fields[name].show_value(size)

    def reveal(self, name: str) -> bool:
        """Opens the fold where the field of that name is in it."""
        seen = self._form.reveal(name)
        self.fields = {"gpu": self._gpu, **self._form.fields}
        return seen or name == "gpu"

    # What the user enters

    def _enter(self, name: str, value: object) -> None:
        if name == "count":
            self._ask_count(int(str(value)))
        elif name in {*WAYS, "dp"}:
            self._ask_size(name, int(str(value)))
        else:
            self._session.edit(**{name: value})

    def _ask_count(self, devices: int) -> None:
        """So many GPUs: the sizes of the split stay where they divide them."""
        state = self._session.state
        split, field = state.plan.split, self._form.fields["count"]
        if state.draft.engine == "llama.cpp" and state.draft.task == "serve":
            self._session.edit(count=devices, dp=None, tp=None)  # whole layers are shared out
            return
        ways = _ways(split)
        others = prod(ways.values()) // split.tensor
        if state.draft.task == "serve" and split.data == 1 and devices % others == 0:
            ways["tp"] = devices // others
            if not _divides(state.plan.model, ways["tp"]):
                field.show_problem(_counts(state.plan.model, ways["tp"]))
                return
        elif devices % prod(ways.values()):
            ways = dict.fromkeys(WAYS, 1)
        self._edit(devices, ways)

    def _ask_size(self, name: str, size: int) -> None:
        """Another size of the split. More groups of data take more GPUs; the other sizes share those there
        are, or as many as they need.
        """
        split, field = self._session.state.plan.split, self._form.fields[name]
        ways = _ways(split) | ({} if name == "dp" else {name: size})
        shared = prod(ways.values())
        devices = size * shared if name == "dp" else max(split.devices, shared)
        if devices % shared:
            field.show_problem(f"{devices:,} GPUs cannot be shared out in groups of {shared:,}.")
        elif name == "tp" and not _divides(self._session.state.plan.model, size):
            field.show_problem(_counts(self._session.state.plan.model, size))
        else:
            self._edit(devices, ways)

    def _edit(self, devices: int, ways: dict[str, int]) -> None:
        """So many GPUs, split in these ways; data parallelism takes what they leave."""
        data = devices // prod(ways.values())
        stated = {"dp": data, "tp": ways["tp"]}
        entries = {name: size if size > 1 else None for name, size in stated.items()}
        self._session.edit(count=devices, **{**ways, **entries})


def _ways(split: Split) -> dict[str, int]:
    """The sizes of a split beside the data-parallel one, by the names of a draft's fields."""
    return dict(zip(WAYS, (split.tensor, split.pipeline, split.context, split.expert), strict=True))


def _placed(state: State) -> tuple[list[str], list[str]]:
    """The names of the fields that are always seen, and of those behind More, in their order.

    What is of no use to this split is left out, unless it is set.
    """
    draft, split = state.draft, state.plan.split
    useful = {
        "tp": split.devices > 1,
        "zero": split.data > 1,
        "sharding": draft.zero > 0,
        "hybrid": draft.zero > 0,
        "sequence_parallel": split.tensor > 1,
        "pipeline_chunks": split.pipeline > 1,
        "dp": split.devices > 1,
        "ep": _has_experts(state.plan.model),
        "tensor_split": split.devices > 1,
        "offload_to": draft.offload != "none",
    }
    if draft.engine == "llama.cpp" and draft.task == "serve":
        useful["tp"] = False
    names = sorted(
        (
            name
            for name in used(draft.task, draft.engine, draft.method)
            if name in OF_MACHINE - {"gpu"} and (useful.get(name, True) or _is_set(draft, name))
        ),
        key="runtime".__eq__,  # last
    )
    return [name for name in names if name in FIRST], [name for name in names if name not in FIRST]


def _is_set(draft: Draft, name: str) -> bool:
    """Whether the plan states what is not so by itself. One GPU in a group is nobody's wish."""
    value = getattr(draft, name)
    return value != getattr(AS_THEY_COME, name) and (name not in SIZES or value > 1)


def _has_experts(model: Model) -> bool:
    return any(
        isinstance(group.layer.feed_forward, Experts) for stack in model.stacks for group in stack.groups
    )


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
    names = devices[0].name if len(devices) == 1 else f"{len(devices)} GPUs"  # their names stand beneath
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
