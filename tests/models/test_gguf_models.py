"""From GGUF headers to models: against published counts, and files that others converted."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from llmplanner.core.checkpoint import StoredTensor
from llmplanner.core.errors import BadInput
from llmplanner.core.model import Attention, Model
from llmplanner.core.tensors import parameters
from llmplanner.models.config import from_config
from llmplanner.models.gguf import opening as gguf_models
from llmplanner.models.gguf import reader as gguf
from llmplanner.models.gguf.architectures import TRANSLATIONS
from llmplanner.models.gguf.facts import Facts
from llmplanner.models.gguf.tensors import table_of_tensors
from llmplanner.models.gguf.types import FILE_TYPES, NAMED
from tests.models.gguf_writer import write
from tests.reference import REFERENCE, needs_reference, rows

SHAPES = REFERENCE / "corpus" / "gguf_shapes"
CONVERTED = REFERENCE / "corpus" / "ollama_convert_testdata"
SAME_MODEL = {  # a header of the corpus, and the same model's row in params.csv
    "codellama-34b": "codellama-34b",
    "deepseek-v2-lite": "deepseek-v2-lite",
    "gemma-2-2b": "gemma-2-2b",
    "gemma-3-1b": "gemma-3-1b",
    "gemma-3-4b-text": "gemma-3-4b-text",
    "llama-2-7b": "llama-2-7b",
    "llama-2-13b": "llama-2-13b",
    "llama-3.1-8b": "llama-3.1-8b",
    "llama-3.1-70b": "llama-3.1-70b",
    "mistral-7b-v0.1": "mistral-7b-v0.1",
    "mixtral-8x7b": "mixtral-8x7b",
    "phi-3-mini-4k": "phi-3-mini-4k",
    "qwen2-1.5b": "qwen2-1.5b",
    "qwen2.5-7b": "qwen2.5-7b",
    "qwen2.5-32b": "qwen2.5-32b",
    "qwen3-0.6b": "qwen3-0.6b",
    "qwen3-4b": "qwen3-4b",
    "qwen3-30b-a3b": "qwen3-30b-a3b",
    "qwen3-32b": "qwen3-32b",
    "deepseek-v3": "deepseek-v3",
}
PARAMS = {row["name"]: row for row in rows("params.csv")}


@needs_reference
@pytest.mark.parametrize("name", SAME_MODEL)
def test_a_header_gives_the_counts_of_the_config(name: str) -> None:
    model, config, tensors = gguf_models.load(SHAPES / f"{name}.gguf")
    row = PARAMS[SAME_MODEL[name]]
    counted = parameters(model)
    assert (counted.total, counted.active) == (int(row["total"]), int(row["active"]))
    assert counted.embedding == int(row["embedding"])
    assert model.checkpoint is not None
    assert model.checkpoint.elements == sum(tensor.elements for tensor in tensors)
    again = from_config(json.loads(json.dumps(config)), model.name, "plan")
    assert parameters(again) == counted


@needs_reference
@pytest.mark.parametrize("path", sorted(SHAPES.glob("*.gguf")), ids=lambda path: path.stem)
def test_the_tensors_alone_give_the_same_counts_as_the_family(path: Path) -> None:
    header = gguf.read(path)
    model, _ = gguf_models.opened(header, path.stem, str(path))
    stated = gguf_models._facts(header, str(path))
    alone = from_config(table_of_tensors(stated, str(path)), path.stem, str(path))
    assert parameters(alone).total == sum(tensor.elements for tensor in header.tensors)
    assert parameters(alone).embedding == parameters(model).embedding
    assert alone.layers == model.layers
    assert cached(alone) == cached(model)


def cached(model: Model) -> list[tuple[int | None, object]]:
    """Of every layer, its window and the sizes of what it keeps per token."""
    kept: dict[int, tuple[int | None, object]] = {}
    for group in model.stacks[0].groups:
        for index in group.indices:
            one = group.layer.attention
            if isinstance(one, Attention):
                kept[index] = (one.window, one.kv_heads * (one.key_dim + one.value_dim))
            elif one is not None:
                kept[index] = (None, (one.kv_rank, one.rope_dim))
    return [kept[index] for index in sorted(kept)]


CONVERTED_MODELS = {
    "Meta-Llama-3-8B-Instruct": 8_030_261_248,  # the parameters that the models' pages on the hub state
    "Mistral-7B-Instruct-v0.2": 7_241_732_096,
    "Mixtral-8x7B-Instruct-v0.1": 46_702_792_704,
    "Phi-3-mini-128k-instruct": 3_821_079_552,
    "Qwen2.5-0.5B-Instruct": 494_032_768,
    "gemma-2b-it": 2_506_172_416,
    "gemma-2-2b-it": 2_614_341_888,
    "c4ai-command-r-v01": 34_980_831_232,
}
VOCABULARIES = {  # rows of token_embd, which the lists of keys do not tell
    "Mistral-7B-Instruct-v0.2": 32_000,
    "Mixtral-8x7B-Instruct-v0.1": 32_000,
    "Phi-3-mini-128k-instruct": 32_064,
    "Qwen2.5-0.5B-Instruct": 151_936,
    "gemma-2b-it": 256_000,
    "gemma-2-2b-it": 256_000,
    "c4ai-command-r-v01": 256_000,
}


@needs_reference
@pytest.mark.parametrize("name", CONVERTED_MODELS)
def test_keys_of_a_converted_model_give_its_parameters(name: str) -> None:
    table = json.loads((CONVERTED / f"{name}.json").read_text())
    metadata = {
        key: number(text) for key, text in table.items() if key.startswith(("general.", *prefix(table)))
    }
    architecture = str(metadata["general.architecture"])
    if name in VOCABULARIES:
        metadata[f"{architecture}.vocab_size"] = VOCABULARIES[name]
    names = [key for key in table if key not in metadata and not key.startswith("tokenizer.")]
    stated = Facts(architecture, metadata, dict.fromkeys(names, NO_SHAPE))
    config = gguf_models.config_table(stated, TRANSLATIONS[architecture])
    assert parameters(from_config(config, name, name)).total == CONVERTED_MODELS[name]


NO_SHAPE = StoredTensor("", (), "F16", 1, 2)


def prefix(table: Mapping[str, str]) -> tuple[str]:
    return (f"{table['general.architecture']}.",)


def number(text: str) -> gguf.Value:
    if text in {"true", "false"}:
        return text == "true"
    try:
        return int(text) if text.isdigit() else float(text)
    except ValueError:
        return text


def tensor(name: str, *shape: int, kind: int = 1) -> tuple[str, tuple[int, ...], int, int]:
    size = 1
    for one in shape:
        size *= one
    return name, shape, kind, size * {0: 4, 1: 2}[kind]


def layer(index: int, hidden: int, heads: int, kv_heads: int, width: int) -> list[Any]:
    dim = 8
    return [
        tensor(f"blk.{index}.attn_norm.weight", hidden, kind=0),
        tensor(f"blk.{index}.attn_q.weight", heads * dim, hidden),
        tensor(f"blk.{index}.attn_k.weight", kv_heads * dim, hidden),
        tensor(f"blk.{index}.attn_v.weight", kv_heads * dim, hidden),
        tensor(f"blk.{index}.attn_output.weight", hidden, heads * dim),
        tensor(f"blk.{index}.ffn_norm.weight", hidden, kind=0),
        tensor(f"blk.{index}.ffn_gate.weight", width, hidden),
        tensor(f"blk.{index}.ffn_up.weight", width, hidden),
        tensor(f"blk.{index}.ffn_down.weight", hidden, width),
    ]


def table(architecture: str, **more: object) -> dict[str, Any]:
    keys = {
        "block_count": 2,
        "embedding_length": 64,
        "attention.head_count": 8,
        "attention.head_count_kv": 4,
        "feed_forward_length": 128,
        "context_length": 4096,
    } | {key.replace("__", "."): value for key, value in more.items()}
    named = {f"{architecture}.{key}": value for key, value in keys.items()}
    return {"general.architecture": architecture, "general.file_type": 1, **named}


OUTSIDE = [tensor("token_embd.weight", 100, 64), tensor("output_norm.weight", 64, kind=0)]


def load(folder: Path, keys: dict[str, Any], tensors: list[Any]) -> Model:
    return gguf_models.load(write(folder / "model.gguf", keys, tensors))[0]


def test_a_tied_head_is_known_by_its_absence(tmp_path: Path) -> None:
    tensors = [*OUTSIDE, *layer(0, 64, 8, 4, 128), *layer(1, 64, 8, 4, 128)]
    assert load(tmp_path, table("llama"), tensors).head.tied
    assert not load(tmp_path, table("llama"), [*tensors, tensor("output.weight", 100, 64)]).head.tied


def test_layers_that_differ_are_told_apart_by_their_tensors(tmp_path: Path) -> None:
    tensors = [*OUTSIDE, *layer(0, 64, 8, 4, 128), *layer(1, 64, 4, 2, 256)]
    keys = table(
        "llama", attention__head_count=[8, 4], attention__head_count_kv=[4, 2], feed_forward_length=[128, 256]
    )
    model = load(tmp_path, keys, tensors)
    assert model.checkpoint is not None
    assert parameters(model).total == model.checkpoint.elements
    assert cached(model) == [(None, 4 * 16), (None, 2 * 16)]
    assert "No family here describes" in model.note


def test_an_architecture_of_tomorrow_is_taken_by_its_tensors(tmp_path: Path) -> None:
    tensors = [
        *OUTSIDE,
        *layer(0, 64, 8, 4, 128),
        tensor("blk.0.wonder.weight", 5, 7),
        *layer(1, 64, 8, 4, 128),
    ]
    keys = table("tomorrow", attention__sliding_window=512, attention__sliding_window_pattern=[True, False])
    model = load(tmp_path, keys, tensors)
    assert model.checkpoint is not None
    assert parameters(model).total == model.checkpoint.elements
    assert cached(model) == [(512, 64), (None, 64)]
    assert model.context_length == 4096


PARTS = (
    *("attn_norm", "attn_q", "attn_k", "attn_v", "attn_qkv", "attn_output", "attn_q_norm", "attn_sinks"),
    *("attn_norm_2", "post_attention_norm", "ffn_norm", "ffn_gate", "ffn_up", "ffn_down", "ffn_gate_inp"),
    *("ffn_gate_exps", "ffn_up_exps", "ffn_down_exps", "ffn_gate_up_exps", "ffn_up_shexp", "ffn_down_shexp"),
    *("ssm_in", "ssm_out", "ssm_conv1d", "ssm_dt", "shortconv.out_proj", "time_mix_key", "exp_probs_b"),
)
SHAPES_OF_PARTS = st.lists(st.sampled_from([8, 16, 64]), min_size=1, max_size=3).map(tuple)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.dictionaries(st.sampled_from(PARTS), SHAPES_OF_PARTS, min_size=1),
    st.sets(st.sampled_from(PARTS)),
    st.sampled_from([0, 1, 2, 8]),
)
@example({"attn_q": (8,), "attn_k": (8,), "attn_v": (8,), "attn_output": (8, 8)}, set(), 1)
@example({"attn_qkv": (8, 8, 8), "attn_output": (8, 8)}, set(), 2)
def test_every_tensor_of_an_unknown_architecture_counts_once(
    tmp_path: Path, parts: dict[str, tuple[int, ...]], biases: set[str], heads: int
) -> None:
    tensors = [tensor(f"blk.0.{part}.weight", *shape) for part, shape in parts.items()]
    tensors += [tensor(f"blk.0.{part}.bias", 64) for part in biases]
    keys = table("tomorrow", attention__head_count=heads, attention__head_count_kv=max(heads // 2, 1))
    model = load(tmp_path, keys, [*OUTSIDE, *tensors, tensor("token_embd.bias", 100)])
    assert model.checkpoint is not None
    assert parameters(model).total == model.checkpoint.elements


def test_a_model_of_tensors_alone_has_no_sizes_to_change(tmp_path: Path) -> None:
    tensors = [*OUTSIDE, *layer(0, 64, 8, 4, 128), *layer(1, 64, 8, 4, 128)]
    _, config, _ = gguf_models.load(write(tmp_path / "model.gguf", table("tomorrow"), tensors))
    for name, value in {"hidden_size": 128, "vocab_size": 50}.items():
        with pytest.raises(BadInput, match="holds no token embedding of these sizes"):
            from_config({**config, name: value}, "changed", "plan")


def test_what_an_architecture_does_not_have_is_noted(tmp_path: Path) -> None:
    tensors = [
        *OUTSIDE,
        *layer(0, 64, 8, 4, 128),
        *layer(1, 64, 8, 4, 128),
        tensor("blk.0.attn_sinks.weight", 8),
    ]
    model = load(tmp_path, table("llama"), tensors)
    assert "hold 8 weights more than the architecture that its keys state" in model.note


def test_layers_that_predict_further_tokens_and_parts_for_images_stand_outside(tmp_path: Path) -> None:
    own = [*OUTSIDE, *layer(0, 64, 8, 4, 128), *layer(1, 64, 8, 4, 128)]
    beside = [*layer(2, 64, 8, 4, 128), tensor("v.blk.0.attn_q.weight", 64, 64)]
    for name in ("llama", "tomorrow"):
        keys = table(name, block_count=3, nextn_predict_layers=1)
        model = load(tmp_path, keys, [*own, *beside])
        assert model.layers == 2
        assert model.checkpoint is not None
        assert model.checkpoint.elements == sum(
            size // (4 if kind == 0 else 2) for *_, kind, size in own + beside
        )
        assert cached(model) == [(None, 64), (None, 64)]
    alone = load(tmp_path, table("llama"), own)
    assert parameters(alone).total == parameters(load(tmp_path, table("llama"), [*own, beside[-1]])).total


def test_an_interrupted_download_is_noted(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.gguf", table("llama"), [*OUTSIDE, *layer(0, 64, 8, 4, 128), *layer(1, 64, 8, 4, 128)]
    )
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.truncate(size // 2)
    model = gguf_models.load(path)[0]
    assert model.note.startswith("The download was interrupted: 50 % of the file's")


def test_a_model_is_called_as_its_file_or_by_its_own_name_in_a_store_of_hashes(tmp_path: Path) -> None:
    tensors = [*OUTSIDE, *layer(0, 64, 8, 4, 128), *layer(1, 64, 8, 4, 128)]
    keys = table("llama") | {"general.name": "Llama of ours"}
    path = write(tmp_path / "llama-Q4_K_M.gguf", keys, tensors)
    assert gguf_models.load(path)[0].name == "llama-Q4_K_M"
    assert gguf_models.load(path.rename(tmp_path / "sha256-abc"))[0].name == "Llama of ours"
    write(path, keys | {"general.name": "two\nlines"}, tensors).rename(tmp_path / "sha256-def")
    assert gguf_models.load(tmp_path / "sha256-def")[0].name == "sha256-def"


MIXES = [
    (15, [("Q4_K", 900), ("Q6_K", 100)], "Q4_K_M"),
    (15, [("Q5_0", 600), ("Q8_0", 300), ("Q4_K", 100)], "Q4_K_M"),  # rows that are no whole blocks of 256
    (7, [("IQ4_XS", 900), ("Q8_0", 100)], "IQ4_XS"),
    (32, [("IQ3_XXS", 700), ("IQ4_XS", 250), ("BF16", 50)], "mix of IQ3_XXS, IQ4_XS"),
    (None, [("MXFP4", 1000)], "MXFP4"),
    (999, [("F16", 1000)], "F16"),
]


@pytest.mark.parametrize(("number", "mix", "label"), MIXES)
def test_a_file_type_is_believed_where_most_weights_have_it(
    number: int | None, mix: list[tuple[str, int]], label: str
) -> None:
    tensors = tuple(StoredTensor(name, (count,), name, count, count) for name, count in mix)
    metadata = {} if number is None else {"general.file_type": number}
    assert gguf_models.label(gguf.Header(3, metadata, tensors, 1000)) == label


@needs_reference
def test_every_recipe_of_llama_cpp_keeps_its_name() -> None:
    numbers = {form.name: number for number, form in FILE_TYPES.items()}
    checked = 0
    for row in rows("llamacpp_quant_sizes.csv"):
        name = row["ftype"].replace("MXFP4_MOE", "MXFP4")
        if not row["size_MiB"] or name not in numbers:
            continue
        tensors = []
        for entry in row["tensor_type_MiB"].split("+"):
            form, size = entry.upper().split(":")
            weights = float(size) / NAMED[form].bits_per_weight if form in NAMED else 0
            tensors.append(StoredTensor(form, (1,), form, int(weights * 1000), 1))
        header = gguf.Header(3, {"general.file_type": numbers[name]}, tuple(tensors), 1)
        assert gguf_models.label(header) == name, row
        checked += 1
    assert checked > 1500


REFUSED: dict[str, tuple[dict[str, Any], list[Any], str]] = {
    "no architecture": ({}, OUTSIDE, "does not name its architecture"),
    "vocabulary": (table("llama"), [], "holds a vocabulary and no weights"),
    "adapter": (table("llama") | {"general.type": "adapter"}, OUTSIDE, "is a LoRA adapter"),
    "vision part": (table("clip"), OUTSIDE, "is the vision part of a model"),
    "no embedding": (table("whisper"), layer(0, 64, 8, 4, 128), "has no token embedding"),
    "no layers": (table("tomorrow"), OUTSIDE, "has no whole row of layers"),
    "a layer missing": (
        table("tomorrow"),
        [*OUTSIDE, *layer(1, 64, 8, 4, 128)],
        "has no whole row of layers",
    ),
    "a layer far away": (
        table("tomorrow"),
        [*OUTSIDE, *layer(0, 64, 8, 4, 128), *layer(99_999, 64, 8, 4, 128)],
        "has no whole row of layers",
    ),
    "a dimension of zero heads": (
        table("tomorrow", attention__head_count=1_000_000, attention__head_count_kv=1_000_000),
        [*OUTSIDE, *layer(0, 64, 8, 4, 128)],
        "sizes do not fit",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_language_model_gets_one_sentence(tmp_path: Path, case: str) -> None:
    keys, tensors, reason = REFUSED[case]
    with pytest.raises(BadInput, match=reason) as caught:
        load(tmp_path, keys, tensors)
    assert str(caught.value).endswith(".")


MEASURED = [
    row
    for row in rows("llamacpp_memory_cpu.csv")
    if row["kv_type"] == "f16" and row["n_parallel"] == "1" and row["context_MiB"]
]


@needs_reference
@pytest.mark.parametrize("row", MEASURED, ids=lambda row: "-".join(list(row.values())[:7]))
def test_layers_and_windows_give_the_cache_that_llama_cpp_allocates(row: dict[str, str]) -> None:
    """It keeps the window and one micro-batch of a sliding layer, rounded up to 256 tokens."""
    model = gguf_models.load(SHAPES / f"{row['model']}.gguf")[0]
    context, batch = int(row["n_ctx"]), int(row["n_ubatch"])
    total = 0
    for window, size in cached(model):
        slides = window is not None and row["swa_full"] == "0"
        tokens = min(context, -(-((window or 0) + batch) // 256) * 256) if slides else context
        total += tokens * (sum(size) if isinstance(size, tuple) else int(str(size))) * 2
    assert total / 2**20 == pytest.approx(float(row["context_MiB"]), abs=0.6)  # printed in whole MiB


@pytest.mark.parametrize("size", ["block_count", "embedding_length"])
def test_a_file_without_its_sizes_is_no_model_of_the_usual_ones(tmp_path: Path, size: str) -> None:
    keys = {key: value for key, value in table("llama").items() if not key.endswith(size)}
    with pytest.raises(BadInput, match=f"does not state llama.{size}"):
        load(tmp_path, keys, [*OUTSIDE, *layer(0, 64, 8, 4, 128), *layer(1, 64, 8, 4, 128)])
