"""Published training runs, read from resources/training_runs.toml."""

from functools import cache

import msgspec

from llmplanner.core.training_run import TrainingRun
from llmplanner.resources import load_toml


class Runs(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The data file."""

    schema: int
    run: tuple[TrainingRun, ...]


@cache
def training_runs() -> tuple[TrainingRun, ...]:
    """All runs, in the order of the file."""
    return load_toml("training_runs.toml", Runs).run
