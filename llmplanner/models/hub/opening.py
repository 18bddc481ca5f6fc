"""Opens a model of the hub by its id, from its config and the headers of its weights, never the weights."""

import io
import os
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from platformdirs import user_cache_path

from llmplanner.core.checkpoint import Amount, Checkpoint
from llmplanner.core.errors import BadInput
from llmplanner.core.tensors import parameters
from llmplanner.models import config as configs
from llmplanner.models import files
from llmplanner.models.checkpoints import safetensors
from llmplanner.models.files import Config, Opened
from llmplanner.models.gguf import opening as gguf_models
from llmplanner.models.gguf import reader as gguf
from llmplanner.models.hub.access import ANYBODY, Access, Asked
from llmplanner.models.hub.cache import Cache, Snapshot
from llmplanner.models.hub.client import HUGGING_FACE, Client
from llmplanner.models.hub.repository import Repositories
from llmplanner.resources import read_file

Header = TypeVar("Header")
MOST_SHARDS = 1000  # files of one checkpoint; the largest published ones have some 200
AT_ONCE = 8  # headers asked for side by side
USUAL = "Q4_K_M"  # what llama.cpp takes of a repository with many files
MOST_TOKEN = 1000  # bytes
SHARD = re.compile(r"model-\d{5}-of-(?P<count>\d{5})\.safetensors")
GGUF_SHARD = re.compile(r"(?P<stem>.+)-\d{5}-of-(?P<count>\d{5})\.gguf")


def opened(wanted: Asked, access: Access = ANYBODY) -> Opened:
    """The model with this id. Raises BadInput."""
    endpoint = os.environ.get("HF_ENDPOINT") or HUGGING_FACE
    token = saved_token() if access.token else None
    client = None if access.offline else Client(endpoint, token, access.stopped)
    cache = Cache(user_cache_path("llmplanner", appauthor=False) / "hub")
    return opened_from(wanted, Repositories(client, cache))


def saved_token() -> str:
    """The token that Hugging Face's own programs keep. Raises BadInput where there is none."""
    stated = os.environ.get("HF_TOKEN", "").strip()
    if stated:
        return stated
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    path = Path(os.environ.get("HF_TOKEN_PATH") or home / "token")
    try:
        return read_file(path, MOST_TOKEN).decode("ascii").strip()
    except (BadInput, UnicodeDecodeError) as error:
        raise BadInput(
            f"There is no Hugging Face token in HF_TOKEN or in {path}; log in with `hf auth login` first.",
            "model",
        ) from error


def opened_from(wanted: Asked, repositories: Repositories) -> Opened:
    """The model with this id, of these repositories. Raises BadInput."""
    snapshot = repositories.snapshot(wanted.name)
    where = f"{wanted.name} on the hub, commit {snapshot.commit[:8]}, read {snapshot.read}"
    config = None
    if "config.json" in snapshot.files:
        config = configs.parsed(
            repositories.content(snapshot, "config.json"), f"The config.json of {wanted.name}"
        )
    found = _opened(wanted, snapshot, config, repositories, where)
    note = " ".join(filter(None, (found.model.note, *repositories.notes)))
    model = replace(found.model, name=wanted.name.rpartition("/")[2], note=note)
    licence = {} if snapshot.licence is None else {"license": snapshot.licence}
    return replace(found, model=model, config={**found.config, **licence})


def _opened(
    wanted: Asked, snapshot: Snapshot, config: Config | None, repositories: Repositories, where: str
) -> Opened:
    """The model of what the repository holds: safetensors before GGUF before PyTorch, unless one is named."""
    weights = () if wanted.wanted else _safetensors(snapshot)
    if weights:
        parts = _headers(safetensors.read_from, repositories, snapshot, weights)
        header = safetensors.join(parts, files.packed_bits(config))
        return files.opened(header, config, wanted.name, where)
    ggufs = _ggufs(snapshot)
    if ggufs:
        return _gguf(wanted, snapshot, ggufs, repositories, where)
    if wanted.wanted:
        raise BadInput(
            f"{wanted.name} holds no GGUF file, so no {wanted.wanted}; ask for it without.", "model"
        )
    if config is None:
        raise BadInput(
            f"{wanted.name} holds neither a config.json nor weights in safetensors or GGUF; choose another.",
            "model",
        )
    model = configs.from_config(config, wanted.name, where)
    return Opened(replace(model, checkpoint=_pickled(snapshot, parameters(model).total, where)), config)


def _safetensors(snapshot: Snapshot) -> tuple[str, ...]:
    """The files of the checkpoint: one, or a whole set. Raises BadInput where some of the set are missing."""
    if files.SAFETENSORS in snapshot.files:
        return (files.SAFETENSORS,)
    shards = sorted(name for name in snapshot.files if SHARD.fullmatch(name))
    counts = {int(match["count"]) for name in shards if (match := SHARD.fullmatch(name)) is not None}
    if counts and counts != {len(shards)}:
        raise BadInput(
            f"{snapshot.id} has {len(shards)} of the {max(counts)} files of its checkpoint; "
            "it is being uploaded, or broken.",
            "model",
        )
    if shards:
        return tuple(shards)
    single = [name for name in snapshot.files if name.endswith(".safetensors") and "/" not in name]
    return (single[0],) if len(single) == 1 and "config.json" in snapshot.files else ()


def _ggufs(snapshot: Snapshot) -> dict[str, tuple[str, ...]]:
    """The GGUF models of a repository by the name of their first file, each with all of its files."""
    models: dict[str, list[str]] = {}
    for name in sorted(snapshot.files):
        if name.endswith(".gguf") and "mmproj" not in name.lower():
            match = GGUF_SHARD.fullmatch(name)
            models.setdefault(match["stem"] if match else name, []).append(name)
    return {names[0]: tuple(names) for names in models.values()}


def _gguf(
    wanted: Asked,
    snapshot: Snapshot,
    models: dict[str, tuple[str, ...]],
    repositories: Repositories,
    where: str,
) -> Opened:
    """The model that is named after the colon; where none is, the usual one."""
    named = [name for name in models if (wanted.wanted or USUAL).lower() in name.lower()]
    if wanted.wanted and not named:
        others = ", ".join(list(models)[:5])
        raise BadInput(f"{wanted.name} has no GGUF file called {wanted.wanted}; it has {others}.", "model")
    chosen = min(named, key=len) if named else next(iter(models))
    if len(models) > 1 and not wanted.wanted:
        repositories.notes.append(
            f"The repository holds {len(models)} GGUF models and {chosen} is taken; "
            f"name another after a colon, as in {wanted.name}:Q8_0."
        )
    origin = f"{chosen} of {where}"
    headers = _headers(gguf.read_from, repositories, snapshot, models[chosen])
    header = headers[0] if len(headers) == 1 else gguf.join(origin, len(headers), headers)
    model, config = gguf_models.opened(header, wanted.name, origin)
    return Opened(model, config, header.tensors)


def _headers(
    read: Callable[[io.BufferedReader, int, str], Header],
    repositories: Repositories,
    snapshot: Snapshot,
    names: Sequence[str],
) -> list[Header]:
    """The headers of these files, side by side, by the reader of their format. Raises BadInput."""
    if len(names) > MOST_SHARDS:
        raise BadInput(
            f"{snapshot.id} keeps its checkpoint in {len(names):,} files, and at most {MOST_SHARDS:,} are "
            "asked for; download the model and open it.",
            "model",
        )

    def header(name: str) -> Header:
        remote = repositories.head(snapshot, name)
        found = read(io.BufferedReader(remote), remote.size, f"{name} of {snapshot.id}")
        repositories.keep(snapshot, name, remote)
        return found

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(header, names))


def _pickled(snapshot: Snapshot, elements: int, where: str) -> Checkpoint | None:
    """The bytes of a checkpoint of PyTorch files, by their sizes alone."""
    sizes = [
        size
        for name, size in snapshot.files.items()
        if name.startswith("pytorch_model") and name.endswith(".bin")
    ]
    if not sizes:
        return None
    amount = Amount("storage", len(sizes), elements, sum(sizes))
    return Checkpoint("PyTorch", (amount,), f"sizes of the files of {where}", exact=False)
