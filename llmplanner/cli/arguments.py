"""argparse that refuses in one sentence, as everything else does."""

import argparse
import re
from typing import NoReturn

from llmplanner.core.errors import BadInput


class Parser(argparse.ArgumentParser):
    """A parser whose errors are BadInput. Options are not abbreviated: new ones would break scripts."""

    def __init__(self, prog: str, description: str) -> None:
        super().__init__(prog=prog, description=description, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """Raises BadInput with argparse's message as a sentence and the option as its field."""
        named = re.match(r"argument (?:-\w/)?-*([\w-]+)[^:]*: (.*)", message, re.DOTALL)
        field = named.group(1).replace("-", "_") if named else None
        text = f"--{named.group(1)}: {named.group(2)}" if named else message
        sentence = text if text.startswith("-") else text[0].upper() + text[1:]
        raise BadInput(f"{sentence.rstrip('.')}; see `{self.prog} --help`.", field)
