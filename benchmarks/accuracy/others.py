"""What other planners and the textbook's formulas answer to the rows."""

import csv
from collections.abc import Mapping
from pathlib import Path

from benchmarks.peers import textbook
from benchmarks.peers.questions import questions

FOLDER = Path(__file__).resolve().parent.parent / "peers"
Answers = dict[tuple[str, str], dict[str, dict[int, float]]]  # by topic, by planner, by row


def others() -> Answers:
    """The answers by table and column, then by planner, then by row."""
    found: Answers = {}
    for row in table("answers"):
        place = found.setdefault((row["table"], row["column"]), {}).setdefault(row["peer"], {})
        place[int(row["row"])] = float(row["answer"])
    for question in questions():
        amount = textbook.answer(question)
        if amount is not None:
            topic = str(question["table"]), str(question["column"])
            number = question["row"]
            assert isinstance(number, int)  # noqa: S101 - as questions() writes it
            found.setdefault(topic, {}).setdefault(textbook.NAME, {})[number] = amount
    return found


def asked() -> Mapping[str, str]:
    """Every planner that was asked, its version and the day."""
    who = {row["peer"]: f"{row['version']}, asked on {row['date']}" for row in table("asked")}
    return dict(sorted((who | {textbook.NAME: "formulas"}).items()))


def table(name: str) -> list[dict[str, str]]:
    """The rows of a file that benchmarks/peers/ask.py writes."""
    with (FOLDER / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
