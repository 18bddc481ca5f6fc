"""Pages that follow from the program say what it says."""

import sys
from pathlib import Path

import pytest

from docs import generate

ROOT = Path(generate.__file__).resolve().parent.parent


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="other releases of Python lay out help otherwise")
def test_the_page_of_the_command_line_is_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", generate.WIDTH)  # which the generator sets, and other tests' answers obey
    monkeypatch.setattr("sys.argv", ["generate", "--check"])
    assert generate.main() == 0, "run `python -m docs.generate`"


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "docs/architecture.md"])
def test_every_file_that_a_page_names_is_there(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    named = [part.split(")")[0] for part in text.split("](")[1:]]
    links = [link.split("#")[0] for link in named if not link.startswith(("http", "#"))]
    assert all(((ROOT / name).parent / link).exists() for link in links)
