"""The options that say how the hub may be asked for a model by its id."""

import argparse

from llmplanner.models.hub.access import Access


def add_hub_arguments(parser: argparse.ArgumentParser) -> None:
    """--offline and --hf-token."""
    group = parser.add_argument_group("models by their id owner/name")
    group.add_argument(
        "--offline", action="store_true", help="ask no server: take what was read before, or refuse"
    )
    group.add_argument(
        "--hf-token",
        action="store_true",
        help="send the token saved by `hf auth login`, to huggingface.co alone; else none is read",
    )


def access(arguments: argparse.Namespace) -> Access:
    """How the hub may be asked, as the command says."""
    return Access(token=arguments.hf_token, offline=arguments.offline)
