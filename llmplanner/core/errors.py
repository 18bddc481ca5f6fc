"""The one exception for input that cannot be used, and how its sentence quotes what strangers wrote."""

MOST = 60  # letters of a value that a sentence quotes


class BadInput(ValueError):  # noqa: N818 - it names what is wrong, and every front end shows it as a sentence
    """Input that cannot be used. Its text is the sentence that the user reads: what is wrong, and what to do.

    `field` names the entry of the plan (or the file's key) that the sentence is about, where there is one:
    the window marks that field, the command line puts it into the JSON answer.
    """

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


def short(text: str, most: int = MOST) -> str:
    """Text from a file as a sentence may hold it: cut, and without what steers a terminal or turns text."""
    kept = "".join(letter if letter.isprintable() else "\ufffd" for letter in text[: most + 1])
    return kept if len(kept) <= most else f"{kept[: most - 1]}…"


def quoted(value: object) -> str:
    """A value from a file as a sentence quotes it: a text in quotes, a number with separators."""
    if isinstance(value, dict | list):
        return "a table" if isinstance(value, dict) else "a list"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return short(f"{value:,}")
    return repr(short(value)) if isinstance(value, str) else repr(value)
