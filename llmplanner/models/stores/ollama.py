"""Ollama's store: manifests/<host>/<namespace>/<model>/<tag> name blobs by their digest.

Layout: Ollama server/manifest.go, server/layer.go. The layer of media type ...image.model is a GGUF without a
suffix; newer models made of safetensors have a layer for each tensor.
"""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

from llmplanner.core.errors import BadInput
from llmplanner.models.stores.found import Found
from llmplanner.resources import read_file

WHERE = "Ollama"
DEFAULT_HOST, DEFAULT_NAMESPACE = "registry.ollama.ai", "library"
MODEL, TENSOR = "application/vnd.ollama.image.model", "application/vnd.ollama.image.tensor"
DIGEST = re.compile(r"sha256[:-]([0-9a-fA-F]{64})")
MOST_MANIFEST = (
    10_000_000  # bytes; a model of a layer for each tensor has a manifest of some hundred kilobytes
)
LEVELS = 4  # host, namespace, model, tag


def find(folder: Path) -> Iterator[Found | str]:
    """The models of the store. Raises OSError where it cannot be read."""
    for path in _manifests(folder / "manifests", LEVELS):
        name = _name(path)
        try:
            model = _model(path, name, folder / "blobs")
        except (BadInput, ValueError, RecursionError) as error:
            yield f"{WHERE}: the manifest of {name} is left out: {error}"
            continue
        if model is not None:
            yield model


def _manifests(folder: Path, levels: int) -> Iterator[Path]:
    with os.scandir(folder) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        if levels > 1 and entry.is_dir(follow_symlinks=False):
            yield from _manifests(Path(entry.path), levels - 1)
        elif levels == 1 and entry.is_file(follow_symlinks=False):
            yield Path(entry.path)


def _name(path: Path) -> str:
    """As `ollama list` prints it: llama3.1:8b, with its namespace and host where these are not the usual."""
    host, namespace, model, tag = path.parts[-LEVELS:]
    parts = [model] if namespace == DEFAULT_NAMESPACE else [namespace, model]
    if host != DEFAULT_HOST:
        parts = [host, namespace, model]
    return f"{'/'.join(parts)}:{tag}"


def _model(path: Path, name: str, blobs: Path) -> Found | None:
    """The model of a manifest; None for one that lies elsewhere, on a server. Raises BadInput, ValueError."""
    manifest = json.loads(read_file(path, MOST_MANIFEST, name="it"))
    layers = manifest.get("layers") if isinstance(manifest, dict) else None
    if not isinstance(layers, list):
        raise BadInput("it has no list of layers.")
    files = [_blob(layer, blobs) for layer in layers if _is(layer, MODEL)]
    if files:
        size, note = _size(files[0])
        return Found(name, WHERE, files[0], "GGUF", size, None, note)
    tensors = [_blob(layer, blobs) for layer in layers if _is(layer, TENSOR)]
    if not tensors:
        return None
    total = sum(_size(tensor)[0] for tensor in tensors)
    return Found(name, WHERE, path, "safetensors", total, None, "kept by Ollama as one file a tensor")


def _is(layer: object, media_type: str) -> bool:
    return isinstance(layer, dict) and layer.get("mediaType") == media_type


def _blob(layer: dict[str, object], blobs: Path) -> Path:
    found = DIGEST.fullmatch(str(layer.get("digest")))
    if found is None:
        raise BadInput("a layer's digest is not a SHA-256.")
    return blobs / f"sha256-{found[1].lower()}"


def _size(blob: Path) -> tuple[int, str]:
    try:
        return blob.stat().st_size, ""
    except FileNotFoundError:
        return 0, "its file is missing; pull it again"
    except OSError as error:
        return 0, f"its file cannot be read: {error.strerror}"
