"""Which layers of a decoder see a sliding window only, as each family's entries say it."""

from collections.abc import Callable

from llmplanner.models.entries import MOST_LAYERS, MOST_ROWS, Entries


def layer_types(entries: Entries, count: int) -> tuple[str, ...]:
    """What the file says of each layer's attention; empty where it says nothing. Raises BadInput."""
    types = entries.texts("layer_types")
    if types and len(types) != count:
        name = entries.own("num_hidden_layers")
        raise entries.refuse(
            "layer_types", f"has {len(types):,} entries, but {name} is {count:,}; correct one"
        )
    unknown = set(types) - {"full_attention", "sliding_attention"}
    if unknown:
        raise entries.refuse(
            "layer_types", f'names "{min(unknown)[:40]}", a kind of layer that is not supported'
        )
    return types


def _width(entries: Entries, name: str = "sliding_window") -> int | None:
    """Tokens of the window. Null is none, and so is 0, which Qwen2 MoE writes where its window is off."""
    return entries.optional_size(name, MOST_ROWS, least=0) or None


def uniform_window(entries: Entries, count: int) -> tuple[int | None, ...]:
    """Every layer slides where the file states a window (Mistral)."""
    return (_width(entries),) * count


def switched_window(entries: Entries, count: int) -> tuple[int | None, ...]:
    """A window that is stated counts only where use_sliding_window says so (Qwen2, Qwen3)."""
    window = _width(entries) if entries.flag("use_sliding_window") else None
    if window is None:
        return (None,) * count
    first = entries.size("max_window_layers", MOST_LAYERS, least=0)
    types = layer_types(entries, count) or tuple(
        "sliding_attention" if index >= first else "full_attention" for index in range(count)
    )
    return tuple(window if kind == "sliding_attention" else None for kind in types)


def alternating_window(entries: Entries, count: int) -> tuple[int | None, ...]:
    """All layers but every n-th slide (Gemma 2, Gemma 3)."""
    return _typed_window(entries, count, lambda index, period: (index + 1) % period == 0)


def leading_window(entries: Entries, count: int) -> tuple[int | None, ...]:
    """All layers but the first of every n slide (CWM, ModernBERT)."""
    return _typed_window(entries, count, lambda index, period: index % period == 0)


def _typed_window(entries: Entries, count: int, full: Callable[[int, int], bool]) -> tuple[int | None, ...]:
    """The layers that layer_types calls sliding; where the file has none, those that are not `full`."""
    window = _width(entries)
    if window is None:
        return (None,) * count
    types = layer_types(entries, count)
    if types:
        return tuple(window if kind == "sliding_attention" else None for kind in types)
    period = entries.size("sliding_window_pattern", MOST_LAYERS)
    return tuple(None if full(index, period) else window for index in range(count))


def gated_window(entries: Entries, count: int) -> tuple[int | None, ...]:
    """A window on every layer or, where use_sliding_window is off, on none (Qwen3 MoE)."""
    return uniform_window(entries, count) if entries.flag("use_sliding_window") else (None,) * count


def typed_window(entries: Entries, count: int) -> tuple[int | None, ...]:
    """A window on every layer but those that layer_types calls full (Ministral)."""
    window = _width(entries)
    types = layer_types(entries, count) or ("sliding_attention",) * count
    return tuple(window if kind == "sliding_attention" else None for kind in types)


def nope_window(entries: Entries, count: int) -> tuple[int | None, ...]:
    """The layers that layer_types calls sliding or, by use_sliding_window, those not rotated (SmolLM3)."""
    window = _width(entries)
    types = layer_types(entries, count)
    if types:
        return tuple(window if kind == "sliding_attention" else None for kind in types)
    if not entries.flag("use_sliding_window"):
        return (None,) * count
    period = entries.size("no_rope_layer_interval", MOST_LAYERS)
    rotated = entries.indices("no_rope_layers") or tuple((i + 1) % period for i in range(count))
    if len(rotated) != count:
        raise entries.refuse(
            "no_rope_layers", f"has {len(rotated):,} entries, not one for each of {count:,} layers"
        )
    return tuple(None if each else window for each in rotated)


def ruled_window(
    full: Callable[[Entries, int], bool], sliding: str = "sliding_attention", width: str = "sliding_window"
) -> Callable[[Entries, int], tuple[int | None, ...]]:
    """The layers that layer_types names so slide; where the file has no list, those that are not `full`."""

    def windows(entries: Entries, count: int) -> tuple[int | None, ...]:
        window = _width(entries, width)
        types = stated_kinds(entries, "layer_types", count, ("full_attention", sliding))
        return tuple(
            window if (types[index] == sliding if types else not full(entries, index)) else None
            for index in range(count)
        )

    return windows


def stated_kinds(entries: Entries, name: str, count: int, known: tuple[str, ...]) -> tuple[str, ...]:
    """What a list says of each layer, one of `known`; empty where the file has none. Raises BadInput."""
    types = entries.texts(name)
    if types and len(types) != count:
        layers = entries.own("num_hidden_layers")
        raise entries.refuse(name, f"has {len(types):,} entries, but {layers} is {count:,}; correct one")
    unknown = set(types) - set(known)
    if unknown:
        raise entries.refuse(name, f'names "{min(unknown)[:40]}"; the known kinds are {", ".join(known)}')
    return types
