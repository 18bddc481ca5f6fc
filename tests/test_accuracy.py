"""The page of accuracy: scores, what other planners answered, and that the page names what it links to."""

import re

import pytest

from benchmarks.accuracy.chart import COLOURS, figure
from benchmarks.accuracy.others import asked, table
from benchmarks.accuracy.page import page
from benchmarks.accuracy.scores import Entry, Line, peers
from benchmarks.accuracy.topics import TOPICS
from benchmarks.peers import textbook
from tests.reference import ROOT

ENTRIES = (
    Entry(1, "a", 100.0, 100.0, 90.0, 110.0),
    Entry(2, "b", 100.0, 150.0, 140.0, 160.0),
    Entry(3, "c", 100.0, None, note="a reason"),
    Entry(4, "d", 100.0, 98.0, 97.0, 101.0),
)
LINE = Line(TOPICS[0], ENTRIES, peers(ENTRIES, {"whichllm": {1: 50.0, 3: 100.0, 9: 1.0}}))


def test_a_line_scores_what_was_answered() -> None:
    assert LINE.score.answered == 3
    assert (LINE.score.median, LINE.score.worst) == (0.02, 0.5)
    assert LINE.coverage == pytest.approx(2 / 3)
    assert [one.label for one in LINE.worst] == ["b", "d"]
    assert LINE.reasons == (("a reason", 1),)


def test_others_are_scored_on_the_rows_that_they_answer() -> None:
    (peer,) = LINE.peers
    assert (peer.theirs.answered, peer.theirs.worst) == (2, 0.5)
    assert (peer.ours.answered, peer.ours.worst) == (1, 0.0)


def test_a_page_links_to_what_it_has() -> None:
    text = page([LINE], {"whichllm": "1"})
    links = re.findall(r"\(#([\w-]+)\)", text)
    assert links == [TOPICS[0].anchor]
    assert all(f'<a id="{link}"></a>' in text for link in links)
    assert "1: a reason" in text


def test_the_chart_has_a_row_for_each_answered_column() -> None:
    drawn = figure([LINE, Line(TOPICS[1], ENTRIES[2:3], ())])
    assert drawn.y.names == (TOPICS[0].title,)


def test_the_pages_links_resolve() -> None:
    text = (ROOT / "docs" / "accuracy.md").read_text(encoding="utf-8")
    links = set(re.findall(r"\(#([\w-]+)\)", text))
    assert links
    assert links == set(re.findall(r'<a id="([\w-]+)"></a>', text))
    assert (ROOT / "docs" / "accuracy.png").is_file()


def test_answers_of_others_name_rows_versions_and_days() -> None:
    rows = table("answers")
    known = {(one.table, one.column) for one in TOPICS}
    assert {row["peer"] for row in rows} == set(COLOURS) - {textbook.NAME}
    assert all((row["table"], row["column"]) in known for row in rows)
    assert all(int(row["row"]) > 0 and float(row["answer"]) >= 0 for row in rows)
    assert {row["peer"] for row in rows} == set(asked()) - {textbook.NAME}
    assert all(row["version"] and row["date"] for row in table("asked"))


@pytest.mark.parametrize(
    ("question", "published"),
    [  # what the papers and pages that teach the formulas print
        (
            {"column": "bytes", "layers": 32, "hidden_size": 4096, "tokens": 4096, "batch": 1},
            2 * 2**30,  # Llama 2 7B at 4,096 tokens
        ),
        (
            {"column": "total_peak_bytes", "layers": 1, "hidden_size": 1, "heads": 1, "batch": 0}
            | {"sequence": 1, "parameters": 7_500_000_000, "fused": True},
            120e9,  # arXiv:1910.02054 figure 1: 7.5B parameters
        ),
        ({"column": "size_MiB", "file_type": "Q4_0", "parameters": 2**21, "unit": 2**20}, 1.0),
    ],
)
def test_textbook_formulas_give_the_numbers_of_their_sources(
    question: dict[str, object], published: float
) -> None:
    assert textbook.answer(question) == pytest.approx(published, rel=0.01)
