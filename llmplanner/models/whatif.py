"""The what-if: a model's sizes changed by hand, in the words of its own config.

Families call one size by many names. The right entry is found by trying: it is the one that, changed, changes
that size of the model which is built from it. So whatever a reader understands can be changed, and what an
architecture fixes is not offered.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from llmplanner.core.errors import BadInput
from llmplanner.core.model import Attention, Experts, FeedForward, LatentAttention, Layer, Model
from llmplanner.models.config import from_config

# Groups of entries that mean the same; the first group that the architecture obeys counts.
KEYS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "layers": (
        (
            "num_hidden_layers",
            "num_layers",
            "n_layer",
            "n_layers",
            "num_decoder_layers",
            "encoder_layers",
            "decoder_layers",
        ),
    ),
    "hidden_size": (("hidden_size", "d_model", "n_embd", "n_embed", "dim", "model_dim"),),
    "heads": (
        (
            "num_attention_heads",
            "num_heads",
            "n_head",
            "n_heads",
            "encoder_attention_heads",
            "decoder_attention_heads",
        ),
    ),
    "kv_heads": (("num_key_value_heads", "num_kv_heads", "n_head_kv"),),
    "head_dim": (("head_dim", "d_kv", "kv_channels"),),
    "feed_forward": (
        ("intermediate_size", "d_ff", "n_inner", "ffn_dim", "encoder_ffn_dim", "decoder_ffn_dim"),
        ("moe_intermediate_size", "expert_ffn_hidden_size"),
        ("ffn_hidden_size", "d_inner", "dff", "dim_ff"),
        ("intermediate_size_mlp", "dense_intermediate_size"),
        ("hidden_dim",),
    ),
    "vocab_size": (("vocab_size", "padded_vocab_size"),),
    "experts": (("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts"),),
    "experts_per_token": (("num_experts_per_tok", "moe_topk", "moe_k", "top_k_experts"),),
}
FOLLOWING = ("word_embed_proj_dim", "embedding_size", "lru_width")  # where they equal the hidden size
MOST_LISTS = 100  # of one config that go by layer
DEPTH = 2  # levels of tables in which a language model's entries lie: thinker_config.text_config
QUANTIZATION = frozenset({"quantization_config", "compression_config", "quantization"})
INDEX_WORDS = ("layers", "ids", "idxs", "indices")  # ends of the names of lists of layers' numbers


@dataclass(frozen=True, slots=True)
class Place:
    """Where a config states a size: the tables that lead there, and the entries that all hold it."""

    path: tuple[str, ...]
    keys: tuple[str, ...]


def sizes(model: Model) -> dict[str, int]:
    """The sizes that a model has, by the names of a plan's changes.

    Where layers differ, those of the first one that has the part count; towers of unequal depth have no
    common number of layers.
    """
    layers = [group.layer for stack in model.stacks for group in stack.groups]
    found = {"hidden_size": model.hidden_size, "vocab_size": model.vocab_size}
    depths = {stack.depth for stack in model.stacks}
    if len(depths) == 1:
        found["layers"] = depths.pop()
    found |= _attention_sizes(layers) | _feed_forward_sizes(layers)
    return {name: found[name] for name in KEYS if name in found}


def _attention_sizes(layers: list[Layer]) -> dict[str, int]:
    attention = next((layer.attention for layer in layers if layer.attention is not None), None)
    if isinstance(attention, Attention):
        return {"heads": attention.heads, "kv_heads": attention.kv_heads, "head_dim": attention.key_dim}
    return {"heads": attention.heads} if isinstance(attention, LatentAttention) else {}


def _feed_forward_sizes(layers: list[Layer]) -> dict[str, int]:
    dense = next(
        (layer.feed_forward for layer in layers if isinstance(layer.feed_forward, FeedForward)), None
    )
    mixture = next((layer.feed_forward for layer in layers if isinstance(layer.feed_forward, Experts)), None)
    found = {"feed_forward": dense.width} if dense is not None else {}
    if mixture is not None:
        found |= {"experts": mixture.count, "experts_per_token": mixture.top_k}
        found.setdefault("feed_forward", mixture.expert.width)
    return found


def offered(config: Mapping[str, object]) -> dict[str, int]:
    """The sizes of a config's model that can be changed, and what they are. Raises BadInput."""
    there = sizes(_built(config))
    return {name: value for name, value in there.items() if _place(config, name, there) is not None}


def changed(config: Mapping[str, object], changes: Mapping[str, int]) -> Mapping[str, object]:
    """The config with other sizes. Raises BadInput, which names a size as "changes.heads".

    Lists with an entry for each layer go on in their pattern. Keys and values of multi-head attention keep as
    many heads as the queries have.
    """
    there = sizes(_built(config))
    wanted = dict(changes)
    if "heads" in wanted and there.get("kv_heads") == there.get("heads"):
        wanted.setdefault("kv_heads", wanted["heads"])
    places = {name: _place(config, name, there) for name in wanted}
    table = config
    for name, place in places.items():
        if place is not None:
            table = _with(table, place, wanted[name], there[name])
    result = sizes(_checked(table, {name: places[name] for name in changes}))
    for name, value in changes.items():
        if result.get(name) != value:
            raise BadInput("This architecture does not let that size be changed.", f"changes.{name}")
    return table


def _built(config: Mapping[str, object]) -> Model:
    """The model without its quantization, on which no size depends and which takes much longer."""
    table = {key: value for key, value in config.items() if key not in QUANTIZATION}
    for key, inner in table.items():
        if isinstance(inner, dict):
            table[key] = {name: value for name, value in inner.items() if name not in QUANTIZATION}
    return from_config(table, "", "With these sizes")


def _checked(table: Mapping[str, object], places: Mapping[str, Place | None]) -> Model:
    """The changed model. What is wrong with it is told of the size that it is about, or of the last one."""
    try:
        return _built(table)
    except BadInput as error:
        about = [name for name, place in places.items() if place is not None and error.field in place.keys]
        raise BadInput(str(error), f"changes.{(about or list(places))[-1]}") from error


def _place(config: Mapping[str, object], name: str, there: Mapping[str, int]) -> Place | None:
    """Where the config states a size; None where no entry changes it."""
    if name not in there:
        return None
    value = _another(name, there)
    candidates = _candidates(config, name)
    obeyed = (place for place in candidates if _obeys(_with(config, place, value, there[name]), name, value))
    return next(obeyed, None)


def _another(name: str, there: Mapping[str, int]) -> int:
    """Another value that a size can take whatever the others are."""
    value = there[name]
    if name == "kv_heads":
        return 1 if value > 1 else there["heads"]
    if name == "experts_per_token":
        return value - 1 if value > 1 else 2
    return 2 * value


def _obeys(table: Mapping[str, object], name: str, value: int) -> bool:
    try:
        return sizes(_built(table)).get(name) == value
    except BadInput:
        return False


def _candidates(config: Mapping[str, object], name: str) -> Iterator[Place]:
    """Where a size may be stated: what the file states goes before what its class takes by default."""
    tables = list(_tables(config, ()))
    for group in KEYS[name]:
        for path, table in tables:
            stated = tuple(key for key in group if table.get(key) is not None)
            if stated:
                yield Place(path, stated)
        towers = tuple(key for key in group if key.startswith(("encoder_", "decoder_")))
        for path, _ in tables:
            yield from (Place(path, (key,)) for key in group)
            if towers:
                yield Place(path, towers)


def _tables(
    config: Mapping[str, object], path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], Mapping[str, object]]]:
    """The tables that may hold a language model's entries, innermost first."""
    if len(path) < DEPTH:
        for key, value in config.items():
            if isinstance(value, dict) and any(group in value for group in KEYS["layers"][0]):
                yield from _tables(value, (*path, key))
    yield path, config


def _with(config: Mapping[str, object], place: Place, value: int, before: int) -> Mapping[str, object]:
    """The config with a size put in its place, where it was `before`, and with what goes by that size."""
    if place.path:
        first, *rest = place.path
        inner = config[first]
        if not isinstance(inner, dict):
            return config
        return {**config, first: _with(inner, Place(tuple(rest), place.keys), value, before)}
    more: dict[str, object] = {}
    if place.keys[0] in KEYS["layers"][0]:
        more = _stretched(config, before, value)
    elif place.keys[0] in KEYS["hidden_size"][0]:
        more = {key: value for key in FOLLOWING if config.get(key) == before}
    return {**config, **more, **dict.fromkeys(place.keys, value)}


def _stretched(table: Mapping[str, object], before: int, after: int) -> dict[str, object]:
    """The lists of a table that go by layer, for another number of layers."""
    found: dict[str, object] = {}
    for key, value in table.items():
        if isinstance(value, list) and len(value) == before:
            period = _period(value)
            found[key] = [value[index % period] for index in range(after)]
        elif isinstance(value, str) and len(value) == before and key.endswith("pattern"):
            period = _period(value)
            found[key] = "".join(value[index % period] for index in range(after))
        elif isinstance(value, list) and key.endswith(INDEX_WORDS) and all(type(i) is int for i in value):
            found[key] = [index for index in value if index < after]
        if len(found) > MOST_LISTS:
            raise BadInput(
                "The config has more lists with an entry for each layer than any model.", "changes"
            )
    return found


def _period(items: list[object] | str) -> int:
    """The shortest pattern that repeats throughout; all of them where none does."""
    ends = [0] * len(items)  # how much of the beginning each place repeats: Knuth, Morris and Pratt
    length = 0
    for index in range(1, len(items)):
        while length and items[index] != items[length]:
            length = ends[length - 1]
        length += items[index] == items[length]
        ends[index] = length
    return len(items) - ends[-1]
