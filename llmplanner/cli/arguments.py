"""argparse that refuses in one sentence, as everything else does."""

import argparse
import re
from typing import NoReturn

from llmplanner.core.errors import BadInput
from llmplanner.core.quantities import parse_amount


class Parser(argparse.ArgumentParser):
    """A parser whose errors are BadInput. Options are not abbreviated: new ones would break scripts."""

    def __init__(self, prog: str, description: str) -> None:
        super().__init__(prog=prog, description=description, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """Raises BadInput with argparse's message as a sentence and the option as its field."""
        unknown = re.match(r"unrecognized arguments: (-\S+)", message)
        named = re.match(r"argument (?:-\w/)?-*([\w-]+)[^:]*: (.*)", message, re.DOTALL)
        option = named or unknown
        field = field_of(option.group(1)) if option else None
        text = f"--{named.group(1)}: {named.group(2)}" if named else message
        sentence = text if text.startswith("-") else text[0].upper() + text[1:]
        raise BadInput(f"{sentence.rstrip('.')}; see `{self.prog} --help`.", field)


def field_of(option: str) -> str:
    """The field that an option states: `--micro-batch` is micro_batch."""
    return option.lstrip("-").partition("=")[0].replace("-", "_")


def option_amount(arguments: argparse.Namespace, field: str, low: float) -> float:
    """The number that an option states. Raises BadInput, naming the option."""
    try:
        return parse_amount(getattr(arguments, field), low=low)
    except BadInput as error:
        raise BadInput(f"--{field}: {error}", field) from error
