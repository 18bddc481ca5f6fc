"""`llmplanner fit`: the verdict on a plan. The exit code is the answer for scripts."""

import argparse
from typing import TYPE_CHECKING

from llmplanner.cli.estimates import estimate_json, estimate_text
from llmplanner.cli.output import paragraph, print_json, print_lines, table
from llmplanner.cli.plan_options import add_plan_arguments
from llmplanner.cli.planning import Planned, planned, remarks, title
from llmplanner.core.quantities import gib_text
from llmplanner.core.verdict import Judgement, Verdict, verdict

if TYPE_CHECKING:
    from llmplanner.advice import Change

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
    helpful = _changes(found, answer)
    if arguments.json:
        judged = {"now": _judgement(answer.now), "empty": _judgement(answer.empty), "message": message}
        told = [{"text": change.text, "state": change.judged.state} for change in helpful]
        print_json({**estimate_json(found), "verdict": judged, "changes": told})
    else:
        print_lines(*verdict_text(found, answer), *_advice(helpful, answer))
    return EXIT[answer.decisive.state]


def _message(found: Planned, answer: Verdict) -> str:
    """The verdict in a sentence; where no GPU was seen, why."""
    if found.probe is None or found.probe.devices:
        return answer.message
    needed = gib_text(answer.decisive.needed_bytes)
    return f"{WORDS['unknown']}: {needed} are needed on a GPU. {found.probe.message}"


def _changes(found: Planned, answer: Verdict) -> "tuple[Change, ...]":
    """What would make the plan fit, or need less, where it does not fit well."""
    if answer.decisive.state not in {"tight", "no"}:
        return ()
    from llmplanner import advice  # noqa: PLC0415 - a plan that fits needs no advice, and answers sooner

    return advice.changes(found.draft, found.plan.model, found.local)


def _advice(helpful: "tuple[Change, ...]", answer: Verdict) -> list[str]:
    if not helpful:
        return []
    rows = [
        (change.text, WORDS[change.judged.state].lower(), gib_text(change.judged.needed_bytes))
        for change in helpful
    ]
    from llmplanner import advice  # noqa: PLC0415 - as above

    if advice.better(helpful, answer.decisive.state):
        heading = "What would help, each change by itself:"
    else:
        heading = "No single change would do; these need less:"
    return ["", heading, *table(rows, "llr")]


def _judgement(judged: Judgement) -> dict[str, object]:
    return {
        "state": judged.state,
        "device": judged.device,
        "needed_bytes": judged.needed_bytes,
        "available_bytes": judged.available_bytes,
        "margin_bytes": judged.margin_bytes,
    }


def verdict_text(found: Planned, answer: Verdict) -> list[str]:
    """The plan, its verdict and what it rests on, in lines for a person."""
    rows = [
        ("", "", "needed", "available", "left"),
        _row("now", answer.now),
        _row("empty card", answer.empty),
    ]
    return [
        *paragraph(f"{title(found)}."),
        "",
        *paragraph(_message(found, answer)),
        *paragraph(answer.why),
        *(line for remark in remarks(found) for line in paragraph(remark)),
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
