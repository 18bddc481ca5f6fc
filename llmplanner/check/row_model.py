"""The model of a row that states its sizes: model_type, layers, widths, heads, experts, vocabulary.

Families call one size by many names and ignore what they do not know, so every size is stated under all of
its names. What a row does not state (positions, biases) is found by the parameters that it counts.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import lru_cache

from llmplanner.check.answer import Row
from llmplanner.check.cells import count, float_of, fraction, text, whole
from llmplanner.core.errors import BadInput, quoted
from llmplanner.core.model import Model
from llmplanner.core.tensors import parameters
from llmplanner.models.config import from_config
from llmplanner.models.families import DIALECTS
from llmplanner.models.families.dialect import Dialect

Table = dict[str, object]

MOST_OFF = 100  # times: a model whose parameters differ by more than a hundredth is not the row's
POSITIONS = 1024  # tried first
NAMES: Mapping[str, tuple[str, ...]] = {
    "layers": (
        *("num_hidden_layers", "num_layers", "n_layer", "n_layers", "num_decoder_layers"),
        *("encoder_layers", "decoder_layers"),
    ),
    "hidden": ("hidden_size", "d_model", "n_embd", "n_embed", "dim", "model_dim", "word_embed_proj_dim"),
    "heads": (
        *("num_attention_heads", "num_heads", "n_head", "n_heads"),
        *("encoder_attention_heads", "decoder_attention_heads"),
    ),
    "ffn": (
        *("intermediate_size", "d_ff", "n_inner", "ffn_dim", "encoder_ffn_dim", "decoder_ffn_dim"),
        *("ffn_hidden_size", "d_inner", "hidden_dim", "intermediate_size_mlp", "dense_intermediate_size"),
    ),
    "vocab": ("vocab_size",),
}
KEY_HEADS = ("num_key_value_heads", "num_kv_heads", "n_head_kv")
HEAD_WIDTH = ("head_dim", "d_kv")
EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")
CHOSEN = ("num_experts_per_tok", "num_experts_per_token", "moe_topk", "moe_k", "top_k_experts")
EXPERT_WIDTH = ("moe_intermediate_size", "expert_ffn_hidden_size")
PLACES = ("max_position_embeddings", "n_positions", "seq_length", "max_target_positions")
ACTIVATIONS = ("hidden_act", "hidden_activation", "activation_function", "activation", "mlp_hidden_act")
HIDDEN_DROPOUT = (
    *("resid_pdrop", "embd_pdrop", "dropout", "hidden_dropout_prob", "hidden_dropout", "dropout_rate"),
    *("residual_dropout", "embedding_dropout"),
)
ATTENTION_DROPOUT = ("attn_pdrop", "attention_dropout", "attention_probs_dropout_prob")
T5_KINDS = {"gelu": "gelu", "gated_gelu_new": "gated-gelu", "gated_silu": "gated-silu"}
TANH = "gelu_tanh"  # the table's word for Transformers' gelu_pytorch_tanh
CHOICES: tuple[Table, ...] = (  # what families leave open, tried until the parameters are the row's
    {"attention_bias": True},
    {"attention_bias": False},
    {"attention_bias": True, "mlp_bias": True},
    {"use_bias": True},
    {"use_bias": False},
    {"use_qkv_bias": True},
    {"qk_layernorm": True},
    {"new_decoder_architecture": True},
    {"new_decoder_architecture": True, "num_ln_in_parallel_attn": 1},
    {"bias": True},
    {"embedding_size": None},
)
SIZES = (
    *("family", "attention", "layers", "hidden", "heads", "kv_heads", "head_dim", "ffn", "ffn_kind", "vocab"),
    *("experts", "top_k", "expert_ffn", "tied", "window", "extra_dims", "params", "trainable", "lora_r"),
    *("dropout_hidden", "dropout_attention"),
)


def model(row: Row) -> Model:
    """The model of a row. Raises BadInput where no model of its sizes has its parameters."""
    return _model(tuple(row.get(name, "").strip() for name in SIZES))


def config_of(row: Row) -> Table:
    """The config that the row's sizes make up, as far as they are stated. Raises BadInput."""
    return _table(row, DIALECTS[text(row, "family").lower()])


@lru_cache(maxsize=4096)
def _model(cells: tuple[str, ...]) -> Model:
    """Rows of one model differ in batch and length alone, so it is built once."""
    row = dict(zip(SIZES, cells, strict=True))
    family = text(row, "family").lower()
    if family not in DIALECTS:
        raise BadInput(f"The family {quoted(family)} is not one that the planner reads.", "family")
    wanted, nearest = _counted(row), None
    for table in _tables(row, DIALECTS[family]):
        found = _tied(row, _placed(table, row, wanted))
        off = 0 if wanted is None else abs(parameters(found).total - wanted)
        if not off:
            return found
        if nearest is None or off < nearest[0]:
            nearest = off, found
    if nearest is None or wanted is None or nearest[0] * MOST_OFF > wanted:
        raise BadInput(
            f"No {family} of these sizes has {wanted or 0:,} parameters; check the sizes.",
            "params",
        )
    off, found = nearest
    return replace(found, note=f"Its sizes lead to {parameters(found).total:,} parameters.")


def _counted(row: Row) -> int | None:
    """The parameters of the model itself, without LoRA's adapters, which alone are trained."""
    counted = whole(row, "params", least=1)
    trained = whole(row, "trainable") if row["lora_r"] else None
    return counted if counted is None or trained is None else counted - trained


def _tables(row: Row, dialect: Dialect) -> Iterator[Table]:
    """Configs that the row may mean, the likeliest first."""
    plain = _table(row, dialect)
    yield plain
    for choice in CHOICES:
        yield {
            **plain,
            **choice,
            **({"embedding_size": plain["hidden_size"]} if None in choice.values() else {}),
        }


def _placed(table: Table, row: Row, wanted: int | None) -> Model:
    """The model with as many learned positions as make up the row's parameters."""
    first = _built(table, POSITIONS)
    missing = 0 if wanted is None else wanted - parameters(first).total
    if not missing:
        return first
    each = parameters(_built(table, POSITIONS + 1)).total - parameters(first).total
    places = POSITIONS + missing // each if each else 0
    longest = max(whole(row, "seq") or 0, 1)
    return _built(table, places) if each and not missing % each and places >= longest else first


def _built(table: Table, positions: int) -> Model:
    return from_config({**dict.fromkeys(PLACES, positions), **table}, "", "The row")


def _tied(row: Row, built: Model) -> Model:
    """Tied as the row says: some classes leave it to their files."""
    tied = row["tied"] == "1"
    if built.head.linear is None or built.head.tied == tied:
        return built
    return replace(built, head=replace(built.head, tied=tied))


def _table(row: Row, dialect: Dialect) -> Table:
    """The row's sizes as a config.json states them."""
    table: Table = {"model_type": dialect.model_type, "tie_word_embeddings": row["tied"] == "1"}
    for column, names in NAMES.items():
        table |= dict.fromkeys(names, count(row, column))
    table |= _attention(row, dialect) | _experts(row, dialect) | _feed_forward(row) | _dropout(row)
    masked = [name for name in dialect.classes if name.endswith("ForMaskedLM")]
    if masked:
        table["architectures"] = masked[:1]
    return table | _extra(row["extra_dims"])


def _attention(row: Row, dialect: Dialect) -> Table:
    heads, kv_heads = count(row, "heads"), whole(row, "kv_heads", least=1)
    table: Table = {"sliding_window": whole(row, "window", least=1)}
    if kv_heads is not None:
        table |= dict.fromkeys(KEY_HEADS, kv_heads) | {"multi_query": kv_heads == 1 < heads}
    width = whole(row, "head_dim", least=1)
    if (
        width is not None and "kv_lora_rank" not in dialect.defaults
    ):  # a latent's heads have sizes of their own
        table |= dict.fromkeys(HEAD_WIDTH, width)
    return table


def _experts(row: Row, dialect: Dialect) -> Table:
    experts = whole(row, "experts")
    if not experts:
        return {}
    width = count(row, "expert_ffn")
    table: Table = {**dict.fromkeys(EXPERTS, experts), **dict.fromkeys(CHOSEN, count(row, "top_k"))}
    table |= dict.fromkeys(EXPERT_WIDTH, width)
    names = {*dialect.defaults, *(name for names in dialect.names.values() for name in names)}
    if names.isdisjoint(EXPERT_WIDTH):  # all layers are mixtures, and the common name is an expert's width
        table["intermediate_size"] = width
    return table


def _feed_forward(row: Row) -> Table:
    kind = row["ffn_kind"]
    if not kind:
        return {}
    name = kind.removeprefix("gated_")
    stated = "gelu_pytorch_tanh" if name == TANH else name
    return {**dict.fromkeys(ACTIVATIONS, stated), "feed_forward_proj": T5_KINDS.get(kind, name)}


def _dropout(row: Row) -> Table:
    return {
        **dict.fromkeys(HIDDEN_DROPOUT, fraction(row, "dropout_hidden")),
        **dict.fromkeys(ATTENTION_DROPOUT, fraction(row, "dropout_attention")),
    }


def _extra(cell: str) -> Table:
    """Further sizes: "q_lora_rank=80 rotary_pct=0.25"; "None": it has none. Raises BadInput."""
    found: Table = {}
    for pair in cell.split():
        name, _, value = pair.partition("=")
        number = float_of(value)
        if not name or not value:
            raise BadInput(f"extra_dims has {quoted(pair)}; it must be name=value.", "extra_dims")
        if value.lower() in {"none", "null"}:
            found[name] = None
        elif value.lower() in {"true", "false"}:
            found[name] = value.lower() == "true"
        elif number is None:
            found[name] = value
        else:
            found[name] = int(number) if value.lstrip("-").isdecimal() else number
    return found
