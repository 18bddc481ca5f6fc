"""Puts a plan together: what the user stated, the model and the machine that the names stand for."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from llmplanner.core.card_support import check_card
from llmplanner.core.checkpoint import Checkpoint, StoredTensor
from llmplanner.core.errors import BadInput, short
from llmplanner.core.formats import format_named
from llmplanner.core.machine import Device, Machine
from llmplanner.core.model import Kind, Model
from llmplanner.core.plan import (
    FineTune,
    Plan,
    Pretrain,
    Serve,
    Weights,
)
from llmplanner.core.recipes import RECIPES, stored_as
from llmplanner.core.tensors import inventory, parameters
from llmplanner.gpus import catalogue as gpu_catalogue
from llmplanner.models import catalogue as model_catalogue
from llmplanner.models import config as model_config
from llmplanner.models import whatif
from llmplanner.models.entries import plain
from llmplanner.models.hub.access import ANYBODY, Access, Asked, asked
from llmplanner.models.quantized import quantization
from llmplanner.plan_fields import CHANGES
from llmplanner.plans import Draft, checked, is_uuid, precision_of
from llmplanner.resources import is_there, user_folder
from llmplanner.workloads import GIB, base_of, dropped, engine_of, runtime_of, serve_of, split_of, train_of

if TYPE_CHECKING:
    from llmplanner.core.budget import Budget
    from llmplanner.models.files import Opened
    from llmplanner.models.stores.found import Found

LONGEST_NAME = 300  # letters of the path or id in a plan, where it is told
TOKENS_PER_PARAMETER = (
    20  # Hoffmann et al. 2022 (arXiv:2203.15556), a reading of Table 3, not a law of the paper
)
RELATIVE_CONTEXT = (
    512  # tokens, for positions without a limit: T5's training (arXiv:1910.10683, section 3.1.2)
)


@dataclass(frozen=True, slots=True)
class Chosen:
    """A model that a name or a path stands for; its config and its files' bytes where it came from a file."""

    model: Model
    config: Mapping[str, object] | None = None
    checkpoint: Checkpoint | None = None
    tensors: tuple[StoredTensor, ...] = ()  # the file's own table, where one was read


@dataclass(frozen=True, slots=True)
class Tensors:
    """The tensors of a plan's model, and a sentence on where they are from."""

    tensors: tuple[StoredTensor, ...]
    note: str


def model_named(
    text: str,
    config: Mapping[str, object] | None = None,
    held: Checkpoint | None = None,
    access: Access = ANYBODY,
) -> Chosen:
    """The model of a catalogue name, a path, a name in a store of this computer, or an id. Raises BadInput.

    `config` and `held` are what a plan file kept of such a path or id: they are used as they are, the file
    may be gone by now. The hub is asked, as `access` says, only for an id of which nothing here knows.
    """
    path = _path(text)
    if config is None and in_catalogue(text) and not is_there(path):
        return Chosen(model_catalogue.model(text, user_folder() / "models"))
    from llmplanner.models import files  # noqa: PLC0415 - all readers of files; a start needs none of them

    if config is not None:
        name, source = short(files.name_of(path), LONGEST_NAME), short(text, LONGEST_NAME)
        model = model_config.from_config(config, name, source)
        return Chosen(model if held is None else replace(model, checkpoint=held), config, held)
    wanted = asked(text)
    if (path.suffix.lower() in files.SUFFIXES and wanted is None) or is_there(path):
        return _chosen(files.open_path(path))
    own = user_folder() / "models"
    if model_catalogue.knows(text, own):
        return Chosen(model_catalogue.model(text, own))
    found = _stored(text)
    if found is not None and not (wanted and found.note):  # what is not whole here, the hub has
        opened = files.open_path(found.path)  # a store's file may be called by its digest alone
        return _chosen(replace(opened, model=replace(opened.model, name=plain(found.name))))
    return _asked(wanted, access) if wanted else Chosen(model_catalogue.model(text, own))


def _asked(wanted: Asked, access: Access) -> Chosen:
    """A model of the hub. Raises BadInput."""
    from llmplanner.models.hub import opening  # noqa: PLC0415 - the HTTP library, which most plans do not need

    return _chosen(opening.opened(wanted, access))


def _stored(text: str) -> "Found | None":
    """The model that `models` lists under this name among those on this computer. Raises BadInput."""
    from llmplanner.models import stores  # noqa: PLC0415 - most plans do not look into them

    return stores.named(text, stores.stores(stores.own_folders(user_folder() / stores.FOLDERS)))


def _chosen(opened: "Opened") -> Chosen:
    return Chosen(opened.model, opened.config, opened.model.checkpoint, opened.tensors)


def reading_of(text: str) -> str:
    """What is done to read a model, for the line that says so; the hub is named where it will be asked."""
    wanted = asked(text)
    if wanted is not None and not is_there(_path(text)):
        return f"Asking huggingface.co for {wanted.name}"
    return f"Reading {_path(text).name or text}"


def with_model(draft: Draft, text: str, chosen: Chosen) -> Draft:
    """The same plan with another model. Token counts beyond its context come down to it."""
    context = _within(chosen.model, draft.context)
    return replace(
        draft,
        model=text,
        config=chosen.config,
        checkpoint=chosen.checkpoint,
        changes=None,
        weights=draft.weights if chosen.model.checkpoint is None else None,
        context=context,
        prompt=min(draft.prompt, context) if draft.prompt else draft.prompt,
        sequence=_within(chosen.model, draft.sequence),
    )


def _within(model: Model, tokens: int) -> int:
    """So many tokens, or as many as the model takes. A decoder that states no limit takes them all."""
    if model.context_length is None and model.kind is Kind.DECODER:
        return tokens
    return min(tokens, model.context_length or RELATIVE_CONTEXT)


def model_of(draft: Draft, access: Access = ANYBODY) -> Model:
    """The plan's model, with the sizes that the plan changes of it. Raises BadInput."""
    return changed_model(model_named(draft.model, draft.config, draft.checkpoint, access), draft)


def changed_model(chosen: Chosen, draft: Draft) -> Model:
    """The model that the draft's name stands for, with the sizes that it changes. Raises BadInput."""
    if not draft.changes:
        return chosen.model
    config, own = config_of(draft.model, chosen.config), whatif.sizes(chosen.model)
    changed = model_config.from_config(
        whatif.changed(config, draft.changes), f"{chosen.model.name} (changed)", chosen.model.source
    )
    told = ", ".join(
        f"{CHANGES[name].label.lower()} {size:,} instead of {own[name]:,}"
        for name, size in draft.changes.items()
    )
    stored, said = _stored_again(chosen.model, changed)
    return replace(
        changed,
        checkpoint=stored,
        source=f"{chosen.model.source}; changed by hand",
        note=f"Changed by hand: {told}. {said}{chosen.model.note}".strip(),
    )


def _stored_again(model: Model, changed: Model) -> tuple[Checkpoint | None, str]:
    """How the changed model would be stored, and a sentence on it, where the model's files say how it is.

    Its own bytes hold no longer. A quantization that is known by name is made again; else the format counts
    in which the model computes.
    """
    if model.checkpoint is None or changed.checkpoint is not None:
        return changed.checkpoint, ""
    label = model.checkpoint.label
    key = next((one.key for one in RECIPES.values() if label in {one.name, one.key}), None)
    if key is None:
        return None, f"The weights of its file are {label}; changed, they count as {changed.dtype.upper()}. "
    return _stored_as(changed, key), f"Its weights are what {label} would make of it. "


def tensors_of(draft: Draft, chosen: Chosen, model: Model) -> Tensors:
    """The tensors of the plan's model: those of its file, or those that its architecture has.

    Reads the file again where a plan has outlived its table; may take a second. Raises BadInput.
    """
    own = chosen.tensors
    if not own and chosen.model.checkpoint is not None and is_there(_path(draft.model)):
        own = model_named(draft.model).tensors
    if own and not draft.changes:
        return Tensors(own, f"As the header of {draft.model} lists them.")
    table = quantization.table_in(config_of(draft.model, chosen.config))
    quantized = quantization.stored_tensors(model, table) if table is not None else ()
    if quantized:
        return Tensors(quantized, f"Derived from the architecture and how it is quantized: {model.source}.")
    stored = format_named(model.dtype)
    derived = tuple(
        StoredTensor(one.name, one.shape, stored.name, one.elements, stored.bytes_for(one.elements))
        for one in inventory(model)
    )
    return Tensors(derived, f"Derived from the architecture, each in {stored.name}: {model.source}.")


def entry_of(draft: Draft) -> model_catalogue.Entry | None:
    """The catalogue's entry of a plan's model; None where it is from a file. Raises BadInput."""
    if draft.config is not None:
        return None
    return model_catalogue.entry(draft.model, user_folder() / "models")


def in_catalogue(text: str) -> bool:
    """Whether a text is a name of the catalogue, and no more than one file need be read."""
    return text.strip().lower() in model_catalogue.names(user_folder() / "models")


def sizes_of(text: str, chosen: Chosen) -> dict[str, int]:
    """A model's own sizes, those that a what-if can change. Raises BadInput."""
    return whatif.offered(config_of(text, chosen.config))


def config_of(text: str, config: Mapping[str, object] | None) -> Mapping[str, object]:
    """The config.json of a model: of its file, or of its catalogue entry. Raises BadInput."""
    return model_catalogue.entry(text, user_folder() / "models").config if config is None else config


def _path(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError:  # ~name of a user who is not there
        return Path(text)


def machine_named(draft: Draft, local: Machine | None) -> Machine:
    """The devices that the plan takes, as many as its split asks for. Raises BadInput.

    `local` is this computer's machine, as the probe saw it. Of its cards a split takes those with most free
    memory; with none seen, the machine is one unknown device, and the verdict cannot tell.
    """
    count = split_of(draft).devices
    if draft.gpu != "local" and not is_uuid(draft.gpu):
        _refuse_file(draft.gpu)
        return Machine((gpu_catalogue.by_name(draft.gpu).device(),) * count)
    seen = local.devices if local is not None else ()
    if is_uuid(draft.gpu):
        if count > 1:
            raise BadInput(
                f"A UUID names one GPU and the plan asks for {count}; lower the count or take local.", "count"
            )
        seen = tuple(device for device in seen if device.uuid == draft.gpu)
    if not seen:
        return Machine((Device("No GPU seen", None),) * count, local=True)
    if count > len(seen):
        raise BadInput(
            f"The plan asks for {count:,} GPUs, this computer has {len(seen)}; "
            "lower the count or name a GPU of the catalogue.",
            "count",
        )
    return Machine(tuple(sorted(seen, key=_room, reverse=True)[:count]), local=True)


def _refuse_file(gpu: str) -> None:
    if Path(gpu).suffix.lower() in {".xml", ".json", ".csv", ".toml", ".txt"}:
        raise BadInput(
            f"Reading GPUs from a file such as {gpu} comes in a later version; "
            "name a GPU of the catalogue, or local.",
            "gpu",
        )


def _room(device: Device) -> int:
    """Free memory, for taking the emptiest card first; a card that does not tell comes last."""
    return device.memory_free if device.memory_free is not None else -1


def plan_of(draft: Draft, model: Model, machine: Machine) -> Plan:
    """The core's plan. Raises BadInput, naming the field that cannot be used as it is."""
    checked(draft)
    weights = weights_of(draft, model)
    workload: Serve | FineTune | Pretrain
    if draft.task == "serve":
        workload = serve_of(draft, model, weights)
    elif draft.task == "finetune":
        workload = FineTune(train_of(draft, model))
    else:
        workload = Pretrain(train_of(draft, model), tokens_of(draft, model))
    split, engine = split_of(draft), engine_of(draft)
    if draft.host_memory is not None:
        machine = replace(machine, host_memory=round(draft.host_memory * GIB))
    trained = model if draft.task == "serve" else dropped(draft, model)
    plan = Plan(trained, workload, machine, split, weights, engine, runtime_of(draft))
    check_card(plan)
    return plan


def weights_of(draft: Draft, model: Model) -> Weights:
    """How served weights are stored: as the plan says, else as the model's files do. Raises BadInput."""
    asked_for = base_of(draft, model)
    if asked_for is not None:
        return _stored_as(model, asked_for) if asked_for in RECIPES else format_named(asked_for, "weights")
    return model.checkpoint or format_named(model.dtype)


@lru_cache(maxsize=32)  # an edit elsewhere in the plan asks for the same files again: 15 ms of a 405B
def _stored_as(model: Model, key: str) -> Checkpoint:
    return stored_as(model, key)


def tokens_of(draft: Draft, model: Model) -> int:
    """Training tokens: those stated, or 20 for each parameter that works on a token."""
    if draft.tokens is not None:
        return draft.tokens
    return TOKENS_PER_PARAMETER * (draft.parameters or parameters(model).active)


def budget_of(draft: Draft, model: Model, machine: Machine) -> "Budget":
    """What training the plan's parameters on its tokens takes, whatever the plan's task is."""
    from llmplanner.core.budget import (  # noqa: PLC0415 - a tenth of the start of `fit` and of the window
        COMPUTES_IN,
        Budget,
        counted_training_flops,
        dense_peak,
    )
    from llmplanner.core.flops import training_flops  # noqa: PLC0415 - the same

    counts = parameters(model)
    tokens = tokens_of(draft, model)
    device = machine.devices[0]
    peak = dense_peak(device, precision_of(draft))
    stated = draft.parameters
    kind = model.kind if stated is None else Kind.DECODER
    active = counts.active if stated is None else stated
    return Budget(
        parameters=counts.total if stated is None else stated,
        active=active,
        tokens=tokens,
        flops=float(training_flops(active, tokens, kind)),
        counted=counted_training_flops(model, tokens, draft.sequence) if stated is None else None,
        device=device,
        devices=len(machine.devices),
        wanted=COMPUTES_IN[precision_of(draft)][0],
        format=peak[0] if peak else None,
        peak=peak[1] if peak else None,
        efficiency=draft.efficiency,
        price=draft.price_per_hour if draft.price_per_hour is not None else device.price_per_hour,
        pue=draft.pue,
    )
