"""The table that says which file describes which type."""

from importlib import import_module
from pathlib import Path

import pytest

from llmplanner.models import families
from llmplanner.models.families import DIALECTS, FILES

FOLDER = Path(families.__file__).parent
DESCRIBING = sorted(path.stem for path in FOLDER.glob("*.py") if "\nDIALECTS" in path.read_text("utf-8"))


@pytest.mark.parametrize("file", [name for name in DESCRIBING if name != "__init__"])
def test_the_table_lists_every_type_of_a_file(file: str) -> None:
    described = [dialect.model_type for dialect in import_module(f"{families.__name__}.{file}").DIALECTS]
    assert FILES[file].split() == described


def test_no_type_is_described_twice() -> None:
    types = [model_type for listed in FILES.values() for model_type in listed.split()]
    assert len(types) == len(set(types)) == len(DIALECTS)


def test_a_type_that_is_not_there_is_not_there() -> None:
    assert "warp_drive" not in DIALECTS
    with pytest.raises(KeyError):
        DIALECTS["warp_drive"]
