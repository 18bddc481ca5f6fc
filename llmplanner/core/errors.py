"""The one exception for input that cannot be used."""


class BadInput(ValueError):  # noqa: N818 - it names what is wrong, and every front end shows it as a sentence
    """Input that cannot be used. Its text is the sentence that the user reads: what is wrong, and what to do.

    `field` names the entry of the plan (or the file's key) that the sentence is about, where there is one:
    the window marks that field, the command line puts it into the JSON answer.
    """

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field
