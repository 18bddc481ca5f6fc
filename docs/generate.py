"""Writes the pages that follow from the program: `python -m docs.generate [--check]`.

docs/cli.md holds each command's own help, docs/optimizers.md the table of the optimizers, docs/screenshots/
the window's pages with the example plan. With --check nothing is written: the exit code is 1 where a page no
longer says what the program says.
"""

import contextlib
import io
import os
import sys
from pathlib import Path

from docs.optimizer_page import optimizer_page
from llmplanner import cli

FOLDER = Path(__file__).resolve().parent
WIDTH = "100"  # columns of the help, whatever the terminal


def helped(*arguments: str) -> str:
    """What the program prints."""
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        cli.main(arguments)
    return text.getvalue().strip()


def commands() -> str:
    """The page of the command line."""
    os.environ["COLUMNS"] = WIDTH
    parts = [
        "# The command line",
        "Written by `python -m docs.generate`; `python -m docs.generate --check` tells whether it is fresh.",
        f"```\n{helped('--help')}\n```",
    ]
    for name in cli.COMMANDS:
        parts += [f"## {name}", f"```\n{helped(name, '--help')}\n```"]
    return "\n\n".join(parts) + "\n"


def screenshots() -> None:
    """Pictures of every page, light and dark."""
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    from PySide6.QtWidgets import QApplication, QTabWidget  # noqa: PLC0415 - cli.md needs no Qt

    from llmplanner.app.main import example_window  # noqa: PLC0415 - as above
    from llmplanner.app.theme import ARGUMENTS  # noqa: PLC0415 - as above

    app = QApplication(ARGUMENTS)
    window = example_window()
    window.resize(1280, 800)
    window.show()
    pages = window.findChildren(QTabWidget)[0]
    folder = FOLDER / "screenshots"
    folder.mkdir(exist_ok=True)
    for theme in ("light", "dark"):
        window.looks.choose(theme)
        for number in range(pages.count()):
            pages.setCurrentIndex(number)
            for _ in range(50):
                app.processEvents()
            name = pages.tabText(number).lower().replace(" ", "-")
            window.grab().save(str(folder / f"{name}-{theme}.png"))
        window.session.edit(task="finetune", method="lora", gpu="h100-sxm")
        pages.setCurrentIndex(0)
        for _ in range(50):
            app.processEvents()
        window.grab().save(str(folder / f"training-{theme}.png"))
        window.session.undo()


def main() -> int:
    """Writes the pages, or checks them; the exit code."""
    pages = {FOLDER / "cli.md": commands(), FOLDER / "optimizers.md": optimizer_page()}
    if "--check" in sys.argv[1:]:
        return 0 if all(page.read_text(encoding="utf-8") == text for page, text in pages.items()) else 1
    for page, text in pages.items():
        page.write_text(text, encoding="utf-8")
    screenshots()
    return 0


if __name__ == "__main__":
    sys.exit(main())
