"""The catalogue: every entry is whole, and its parameters are those that were counted or published."""

from pathlib import Path

import pytest

from llmplanner import resources
from llmplanner.core.errors import BadInput
from llmplanner.core.model import Kind
from llmplanner.core.tensors import parameters
from llmplanner.models import catalogue
from tests.reference import rows

ENTRIES = tuple(catalogue.entries())
COUNTED = {row["name"]: int(row["total"]) for row in rows("params.csv")}
PUBLISHED = {  # not in the reference tables: the papers' and the hub's own counts
    "llama-3.1-405b": 405_853_388_800,
    "llama-3.2-3b": 3_212_749_824,
    "llama-3.1-8b": 8_030_261_248,
    "deepseek-v3": 671_026_404_352,
}


def test_there_are_forty_models_and_all_three_kinds() -> None:
    assert len(ENTRIES) >= 40
    assert {entry.model.kind for entry in ENTRIES} == set(Kind)


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
    objective = catalogue.objectives()[entry.objective]
    assert entry.model.kind in objective.kinds


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
