"""Where the program keeps things on this computer."""

from pathlib import Path

import platformdirs

NAME = "llmplanner"


def log_file() -> Path:
    """The log, the window's too."""
    return platformdirs.user_log_path(NAME) / "llmplanner.log"


def config_folder() -> Path:
    """Settings, and the user's own models and GPUs."""
    return platformdirs.user_config_path(NAME)


def models_folder() -> Path:
    """The user's own catalogue entries."""
    return config_folder() / "models"
