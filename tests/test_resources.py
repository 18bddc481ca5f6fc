"""Data files: what is wrong with one is said by file, entry and key."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from llmplanner.core.errors import BadInput
from llmplanner.resources import MAX_BYTES, folder, load_toml, read_toml


@dataclass(frozen=True, slots=True)
class Card:
    name: str
    watts: float | None = None


@dataclass(frozen=True, slots=True)
class Cards:
    schema: int
    gpu: tuple[Card, ...]


def write(folder: Path, text: str) -> Path:
    path = folder / "cards.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_folder_is_there() -> None:
    assert folder().is_dir()


def test_reads_what_the_schema_says(tmp_path: Path) -> None:
    path = write(tmp_path, 'schema = 1\n[[gpu]]\nname = "L4"\nwatts = 72\n')
    assert read_toml(path, Cards) == Cards(1, (Card("L4", 72.0),))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('schema = 1\n[[gpu]]\nname = "L4"\nwatts = "72"\n', ("cards.toml", "gpu 'L4'", "watts", "`str`")),
        ("schema = 1\n[[gpu]]\nwatts = 72\n", ("cards.toml", "gpu 'number 1'", "`name`")),
        ('schema = "one"\ngpu = []\n', ("cards.toml", "schema", "`int`")),
        ("schema = 1\n", ("cards.toml", "`gpu`")),
        ("schema = ", ("cards.toml", "not valid TOML")),
        ("schema = 1\ngpu = 3\n", ("cards.toml", "gpu")),
    ],
)
def test_a_broken_file_is_told_by_file_entry_and_key(
    tmp_path: Path, text: str, words: tuple[str, ...]
) -> None:
    with pytest.raises(BadInput) as caught:
        read_toml(write(tmp_path, text), Cards)
    for word in words:
        assert word in str(caught.value)


def test_bytes_that_are_not_text(tmp_path: Path) -> None:
    path = tmp_path / "cards.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadInput, match="not valid TOML"):
        read_toml(path, Cards)


def test_a_missing_file() -> None:
    with pytest.raises(BadInput, match=r"nothing\.toml is not there"):
        load_toml("nothing.toml", Cards)


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "cards.toml"
    path.write_bytes(b"#" * (MAX_BYTES + 2))
    with pytest.raises(BadInput, match="too large"):
        read_toml(path, Cards)
