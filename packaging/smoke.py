"""Starts the real program on a virtual screen as a user does, types into it, and looks at how it ends.

    python packaging/smoke.py

Needs Xvfb, openbox and xdotool. Settings and log lie in a temporary folder.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 60  # seconds, for a busy machine
TITLE = "LLM Planner"


class SmokeError(Exception):
    """The program did not behave as a user expects."""


def main() -> int:
    """Runs the smoke start; 0 if all went well."""
    with tempfile.TemporaryDirectory() as folder, screen(Path(folder)) as environment:
        program = [sys.executable, str(ROOT / "run.py")]
        with subprocess.Popen(program, env=environment, cwd=folder) as planner:
            try:
                began = time.monotonic()
                window = wait_for_window(planner, environment)
                print(f"The window is there after {time.monotonic() - began:.1f} s.")
                use(window, environment)
                code = planner.wait(PATIENCE)
            finally:
                planner.kill()
        if code != 0:
            raise SmokeError(f"The program ended with exit code {code}.")
        plans = list((Path(folder) / "config/llmplanner").glob("last.*"))
        if not plans:
            raise SmokeError("The plan was not kept for the next start.")
        errors = [
            line
            for log in Path(folder).rglob("*.log")
            for line in log.read_text().splitlines()
            if "ERROR" in line
        ]
        if errors:
            raise SmokeError("The log holds errors:\n" + "\n".join(errors))
    print("The smoke start went well.")
    return 0


@contextmanager
def screen(folder: Path) -> Iterator[dict[str, str]]:
    """A virtual screen with a window manager; gives the environment for programs on it."""
    server = ["Xvfb", "-displayfd", "1", "-screen", "0", "1920x1080x24", "-nolisten", "tcp"]
    with subprocess.Popen(server, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as xvfb:
        try:
            if xvfb.stdout is None:
                raise SmokeError("Xvfb did not start.")
            number = xvfb.stdout.readline().strip()
            kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
            environment = kept | {"DISPLAY": f":{number}", "HOME": str(folder)}
            for name in ("config", "data", "state", "cache", "runtime"):
                (folder / name).mkdir(mode=0o700)
                variable = "XDG_RUNTIME_DIR" if name == "runtime" else f"XDG_{name.upper()}_HOME"
                environment[variable] = str(folder / name)
            with subprocess.Popen(["openbox"], env=environment, stderr=subprocess.DEVNULL) as manager:
                try:
                    yield environment
                finally:
                    manager.terminate()
        finally:
            xvfb.terminate()


def wait_for_window(planner: subprocess.Popen[bytes], environment: dict[str, str]) -> str:
    """The number of the program's window, once it is shown."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if planner.poll() is not None:
            raise SmokeError(
                f"The program ended with exit code {planner.returncode} before its window was there."
            )
        found = subprocess.run(
            ["xdotool", "search", "--onlyvisible", "--name", TITLE],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if found.stdout.split():
            return found.stdout.split()[-1]
        time.sleep(0.1)
    raise SmokeError(f"No window named {TITLE} came within {PATIENCE} s.")


def use(window: str, environment: dict[str, str]) -> None:
    """Goes through the tabs, tabs into the plan, and leaves, all by keyboard."""

    def xdotool(*arguments: str) -> None:
        subprocess.run(["xdotool", *arguments], env=environment, check=True, timeout=PATIENCE)

    xdotool("windowactivate", "--sync", window)
    for key in ("ctrl+2", "ctrl+3", "ctrl+4", "ctrl+1", "Tab", "Tab"):
        xdotool("key", key)
        time.sleep(0.5)
    xdotool("key", "ctrl+q")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except SmokeError as error:
        sys.exit(str(error))
