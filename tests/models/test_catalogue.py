"""The catalogue: every entry is whole, and its parameters are those that were counted or published."""

import re
from pathlib import Path
from time import process_time

import pytest

from llmplanner import resources
from llmplanner.core.errors import BadInput
from llmplanner.core.model import Attention, Kind
from llmplanner.core.tensors import parameters
from llmplanner.models import catalogue
from llmplanner.models.card import card, search_words
from tests.reference import rows

ENTRIES = tuple(catalogue.entries())
COUNTED = {row["name"]: int(row["total"]) for row in rows("params.csv")}
PUBLISHED = {  # not in the reference tables: the papers' and the hub's own counts
    "llama-3.1-405b": 405_853_388_800,
    "llama-3.2-3b": 3_212_749_824,
    "llama-3.1-8b": 8_030_261_248,
    "deepseek-v3": 671_026_404_352,
    "baichuan2-7b": 7_505_973_248,
    "falcon-40b": 41_303_293_952,
    "gemma-7b": 8_537_680_896,
    "gpt-oss-120b": 116_829_156_672,
    "llama-2-70b": 68_976_648_192,
    "mistral-7b-v0.3": 7_248_023_552,
    "mixtral-8x22b": 140_620_634_112,
    "mpt-7b": 6_649_286_656,
    "olmo-2-13b": 13_716_198_400,
    "qwen2.5-72b": 72_706_203_648,
    "qwen3-235b-a22b": 235_093_634_560,
    "qwen3-coder-480b-a35b": 480_154_875_392,
    "starcoder2-7b": 7_173_923_840,
}


def test_there_are_many_models_of_every_kind_family_and_objective() -> None:
    assert len(ENTRIES) >= 115
    assert {entry.model.kind for entry in ENTRIES} == set(Kind)
    assert len({entry.model.model_type for entry in ENTRIES}) >= 50
    assert {entry.objective for entry in ENTRIES} == set(catalogue.objectives())
    assert {entry.released[:4] for entry in ENTRIES} >= {str(year) for year in range(2018, 2027)}


def test_no_model_stands_twice() -> None:
    hub_ids = [entry.hub_id.lower() for entry in ENTRIES]
    assert len(set(hub_ids)) == len(hub_ids)
    assert {entry.name for entry in ENTRIES} == set(catalogue.names())


def test_all_are_read_in_a_moment() -> None:
    start = process_time()
    for entry in catalogue.entries():
        search_words(entry, entry.model)
    assert process_time() - start < 0.6  # 0.3 s on a machine that does nothing else


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_an_entry_counts_what_was_counted(entry: catalogue.Entry) -> None:
    total = parameters(entry.model).total
    assert total > 0
    assert total == (COUNTED | PUBLISHED).get(entry.name, total)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_an_entry_has_a_whole_card(entry: catalogue.Entry) -> None:
    texts = (
        entry.title,
        entry.maker,
        entry.licence,
        entry.best_use,
        entry.trained,
        entry.limits,
        entry.source.config,
        entry.source.card,
    )
    assert all(texts)
    assert entry.link.startswith("https://")
    assert re.fullmatch(r"20[12]\d-(0[1-9]|1[0-2])", entry.released)
    assert (entry.compute is None) == (entry.source.compute == "")
    objective = catalogue.objectives()[entry.objective]
    assert entry.model.kind in objective.kinds


def test_a_card_tells_compute_as_published_or_as_an_estimate() -> None:
    published = _row("olmo-2-7b", "Training compute")
    assert published is not None
    assert published.startswith("1.80e23 FLOPs (2,080 PF-days), as published: OLMo")
    assert _row("olmo-2-7b", "Trained on") == "4.05T tokens"
    estimated = _row("qwen3-30b-a3b", "Training compute")  # 6 x 3,353,032,704 x 36e12
    assert estimated is not None
    assert "7.24e23 FLOPs" in estimated
    assert "an estimate: 6 × active parameters × tokens" in estimated
    assert _row("distilgpt2", "Training compute") is None


def test_a_card_tells_the_context_and_what_extends_it() -> None:
    assert _row("gpt2", "Context") == "1,024 tokens"
    extended = _row("llama-3.1-8b", "Context")
    assert extended == "131,072 tokens; rotary scaling (llama3, factor 8) extends it from 8,192"
    assert _row("mamba-130m", "Context") == "Its configuration states no limit"


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("code bigcode", "starcoder2-3b"),
        ("mixture of experts openai apache", "gpt-oss-20b"),
        ("embedding multilingual contrastive mit", "bge-m3"),
        ("state space", "mamba-2.8b"),
        ("hybrid nvidia", "nemotron-h-56b"),
        ("speech openai", "whisper-base"),
    ],
)
def test_a_model_is_found_by_what_it_is(words: str, name: str) -> None:
    entry = catalogue.entry(name)
    assert all(word in search_words(entry, entry.model) for word in words.split())


def test_what_the_config_sets_to_null_stays_null() -> None:
    window = [
        group.layer.attention for stack in catalogue.model("mistral-7b-v0.3").stacks for group in stack.groups
    ]
    assert all(isinstance(attention, Attention) and attention.window is None for attention in window)


def _row(name: str, head: str) -> str | None:
    entry = catalogue.entry(name)
    model = entry.model
    return dict(card(entry, model, parameters(model))).get(head)


def test_the_users_own_entries_stand_beside_ours(tmp_path: Path) -> None:
    text = (resources.folder() / "models" / "gpt2.toml").read_text()
    (tmp_path / "mine.toml").write_text(text.replace('title = "GPT-2"', 'title = "Mine"'))
    assert "mine" in catalogue.names(tmp_path)
    assert catalogue.entry("mine", tmp_path).title == "Mine"


def test_a_broken_entry_names_its_file_and_key(tmp_path: Path) -> None:
    text = (resources.folder() / "models" / "gpt2.toml").read_text()
    (tmp_path / "mine.toml").write_text(text.replace('objective = "causal"', 'objective = "magic"'))
    with pytest.raises(BadInput, match=r"mine\.toml.*objective"):
        catalogue.entry("mine", tmp_path)
