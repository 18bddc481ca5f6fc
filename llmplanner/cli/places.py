"""Where the program keeps things on this computer."""

from pathlib import Path

import platformdirs

from llmplanner.resources import user_folder

NAME = "llmplanner"


def log_file() -> Path:
    """The log, the window's too."""
    return platformdirs.user_log_path(NAME, appauthor=False) / "llmplanner.log"


def models_folder() -> Path:
    """The user's own catalogue entries."""
    return user_folder() / "models"
