"""The cells of a row, each checked as it is read."""

from llmplanner.check.answer import Row
from llmplanner.core.errors import BadInput, quoted, short

LARGEST = 10**18  # of a whole number that a cell may hold
YES = frozenset({"1", "1.0", "yes", "true", "on"})
NO = frozenset({"", "0", "0.0", "no", "false", "off", "n/a"})


def text(row: Row, column: str) -> str:
    """A cell that may not be empty. Raises BadInput."""
    found = row.get(column, "").strip()
    if not found:
        raise BadInput(f"{column} is empty; fill it in.", column)
    return found


def count(row: Row, column: str, least: int = 1) -> int:
    """A whole number of at least `least`. Raises BadInput."""
    found = whole(row, column, least)
    if found is None:
        raise BadInput(f"{column} is empty; it must be a whole number.", column)
    return found


def whole(row: Row, column: str, least: int = 0) -> int | None:
    """A whole number, or None where the cell is empty. Raises BadInput."""
    found = row.get(column, "").strip()
    if not found:
        return None
    number = float_of(found)
    if number is None or number != int(number) or not least <= number <= LARGEST:
        raise BadInput(f"{column} is {quoted(found)}; it must be a whole number from {least:,}.", column)
    return int(found) if found.isdecimal() else int(number)


def fraction(row: Row, column: str) -> float:
    """A number from 0 to 1; an empty cell is 0. Raises BadInput."""
    found = row.get(column, "").strip()
    number = float_of(found) if found else 0.0
    if number is None or not 0 <= number <= 1:
        raise BadInput(f"{column} is {quoted(found)}; it must be a number from 0 to 1.", column)
    return number


def switched(row: Row, column: str) -> bool:
    """Whether a cell says yes; an empty one says no. Raises BadInput for a word that says neither."""
    said = row.get(column, "").strip().lower()
    if said not in YES | NO:
        raise BadInput(f"{column} is {quoted(said)}; it must say yes or no.", column)
    return said in YES


def chosen(row: Row, column: str, choices: dict[str, str]) -> str:
    """What a cell's word stands for. Raises BadInput."""
    found = text(row, column).lower()
    if found not in choices:
        raise BadInput(f"{column} is {quoted(found)}; it is one of {', '.join(choices)}.", column)
    return choices[found]


def float_of(cell: str) -> float | None:
    """A finite number; None where the text is none."""
    try:
        number = float(cell) if len(cell) <= len(short(cell)) else None
    except ValueError:
        return None
    return number if number is not None and abs(number) < float("inf") else None
