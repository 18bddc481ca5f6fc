"""Rules of the house that no linter knows: short files and functions, nothing put off, readable facts."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.reference import ROOT

LONGEST_FILE, LONGEST_FUNCTION = 600, 80
PUT_OFF = re.compile(
    r"\b(?:TO" r"DO|FIX" r"ME|XX" r"X|x" r"fail)\b"
)  # split, so that this file keeps the rule
FOLDERS = ("llmplanner", "benchmarks", "packaging", "tests", "resources", "docs")
SUFFIXES = {".py", ".toml", ".md", ".svg", ".c", ".desktop", ".xml"}


def files() -> Iterator[Path]:
    """Every text file of ours."""
    yield from (path for path in ROOT.iterdir() if path.suffix in SUFFIXES)
    for folder in FOLDERS:
        yield from (path for path in sorted((ROOT / folder).rglob("*")) if path.suffix in SUFFIXES)


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", list(files()), ids=named)
def test_nothing_is_put_off_and_lines_end(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert PUT_OFF.findall(text) == []
    assert not text or text.endswith("\n")
    assert "\r" not in text


@pytest.mark.parametrize("path", [path for path in files() if path.suffix == ".py"], ids=named)
def test_files_and_functions_are_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= LONGEST_FILE
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)]
    sizes = {node.name: (node.end_lineno or node.lineno) - node.lineno + 1 for node in functions}
    assert {name: size for name, size in sizes.items() if size > LONGEST_FUNCTION} == {}
