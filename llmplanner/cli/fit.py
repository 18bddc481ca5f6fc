"""`llmplanner fit`: the verdict on a plan. The exit code is the answer for scripts."""

import argparse

from llmplanner.cli.estimates import estimate_json, estimate_text
from llmplanner.cli.output import paragraph, print_json, print_lines, table
from llmplanner.cli.plan_options import add_plan_arguments
from llmplanner.cli.planning import Planned, planned, title
from llmplanner.core.quantities import gib_text
from llmplanner.core.verdict import Judgement, Verdict, verdict

EXIT = {"fits": 0, "tight": 0, "no": 1, "unknown": 3}
WORDS = {"fits": "Fits", "tight": "Tight", "no": "Does not fit", "unknown": "Cannot tell"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The plan."""
    add_plan_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Prints the verdict and what it rests on. Raises BadInput."""
    found = planned(arguments)
    answer = verdict(found.plan, found.estimate)
    message = _message(found, answer)
    if arguments.json:
        judged = {"now": _judgement(answer.now), "empty": _judgement(answer.empty), "message": message}
        print_json({**estimate_json(found), "verdict": judged})
    else:
        print_lines(*_text(found, answer, message))
    return EXIT[answer.decisive.state]


def _message(found: Planned, answer: Verdict) -> str:
    """The verdict in a sentence; where no GPU was seen, why."""
    if found.probe is None or found.probe.devices:
        return answer.message
    needed = gib_text(answer.decisive.needed_bytes)
    return f"{WORDS['unknown']}: {needed} are needed on a GPU. {found.probe.message}"


def _judgement(judged: Judgement) -> dict[str, object]:
    return {
        "state": judged.state,
        "device": judged.device,
        "needed_bytes": judged.needed_bytes,
        "available_bytes": judged.available_bytes,
        "margin_bytes": judged.margin_bytes,
    }


def _text(found: Planned, answer: Verdict, message: str) -> list[str]:
    rows = [
        ("", "", "needed", "available", "left"),
        _row("now", answer.now),
        _row("empty card", answer.empty),
    ]
    return [
        *paragraph(f"{title(found)}."),
        "",
        *paragraph(message),
        *paragraph(answer.why),
        "",
        *table(rows, "llrrr"),
        *estimate_text(found, sources=False),
    ]


def _row(budget: str, judged: Judgement) -> tuple[str, ...]:
    return (
        budget,
        WORDS[judged.state].lower(),
        gib_text(judged.needed_bytes),
        _size(judged.available_bytes),
        _size(judged.margin_bytes),
    )


def _size(size: int | None) -> str:
    return "not known" if size is None else gib_text(size)
