"""`llmplanner memory`: what a plan needs, term by term, per device."""

import argparse

from llmplanner.cli.estimates import estimate_json, estimate_text
from llmplanner.cli.output import paragraph, print_json, print_lines
from llmplanner.cli.plan_options import add_plan_arguments
from llmplanner.cli.planning import planned, remarks, title


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The plan."""
    add_plan_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Prints the estimate with formulas and sources. Raises BadInput."""
    found = planned(arguments)
    if arguments.json:
        print_json(estimate_json(found))
    else:
        notes = (line for remark in remarks(found) for line in paragraph(remark))
        print_lines(*paragraph(f"{title(found)}."), *notes, *estimate_text(found, sources=True))
    return 0
