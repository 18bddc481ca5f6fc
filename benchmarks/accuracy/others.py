"""What other planners and the textbook's formulas answer to the rows."""

import csv
from collections.abc import Mapping
from pathlib import Path

from benchmarks.peers import textbook
from benchmarks.peers.questions import questions

ANSWERS = Path(__file__).resolve().parent.parent / "peers" / "answers.csv"
Answers = dict[tuple[str, str], dict[tuple[str, str], dict[int, float]]]  # by topic, by peer, by row


def others() -> Answers:
    """The answers by table and column, then by name and version, then by row."""
    found: Answers = {}
    with ANSWERS.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            peer = row["peer"], row["version"]
            place = found.setdefault((row["table"], row["column"]), {}).setdefault(peer, {})
            place[int(row["row"])] = float(row["answer"])
    for question in questions():
        amount = textbook.answer(question)
        if amount is not None:
            topic = str(question["table"]), str(question["column"])
            number = question["row"]
            assert isinstance(number, int)  # noqa: S101 - as questions() writes it
            found.setdefault(topic, {}).setdefault((textbook.NAME, ""), {})[number] = amount
    return found


def versions(answers: Answers) -> Mapping[str, str]:
    """Every planner that was asked, and its version."""
    return dict(sorted({peer for by_peer in answers.values() for peer in by_peer}))
