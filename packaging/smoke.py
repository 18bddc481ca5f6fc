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
PATIENCE = 30  # seconds, for a busy machine
FIRST_TITLE, TYPED, NEXT_TITLE = "on .* · LLM Planner", "pythia 1.4", "Pythia 1.4B on .* · LLM Planner"


class SmokeError(Exception):
    """The program did not behave as a user expects."""


def main() -> int:
    """Runs the smoke start; 0 if all went well."""
    with tempfile.TemporaryDirectory() as folder, screen(Path(folder)) as environment:
        program = [sys.executable, str(ROOT / "run.py")]
        with subprocess.Popen(program, env=environment, cwd=folder) as planner:
            try:
                began = time.monotonic()
                wait_for_window(FIRST_TITLE, planner, environment)
                print(f"The window is there after {time.monotonic() - began:.1f} s.")
                use(planner, environment)
                code = planner.wait(PATIENCE)
            except subprocess.TimeoutExpired as error:
                raise SmokeError("The window did not close on Ctrl+Q.") from error
            finally:
                planner.kill()
        if code != 0:
            raise SmokeError(f"The program ended with exit code {code}.")
        check_traces(Path(folder))
    print("The smoke start went well.")
    return 0


@contextmanager
def screen(folder: Path) -> Iterator[dict[str, str]]:
    """A virtual screen with a window manager; gives the environment for programs on it."""
    server = ["Xvfb", "-displayfd", "1", "-screen", "0", "1920x1080x24", "-nolisten", "tcp", "-noreset"]
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


def wait_for_window(title: str, planner: subprocess.Popen[bytes], environment: dict[str, str]) -> str:
    """The number of the window with such a title, once it is shown."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if planner.poll() is not None:
            raise SmokeError(
                f"The program ended with exit code {planner.returncode}; no window had the title {title}."
            )
        search = ["xdotool", "search", "--onlyvisible", "--name", title]
        found = subprocess.run(search, env=environment, capture_output=True, text=True, check=False)
        if found.stdout.split():
            return found.stdout.split()[-1]
        time.sleep(0.1)
    raise SmokeError(f"No window had the title {title} within {PATIENCE} s.")


def use(planner: subprocess.Popen[bytes], environment: dict[str, str]) -> None:
    """Goes through the tabs, chooses another model by its name, and leaves, all by keyboard."""

    def press(*keys: str) -> None:
        for key in keys:
            subprocess.run(["xdotool", "key", key], env=environment, check=True)
            time.sleep(0.5)  # a person's pace; a page is made on the first look at it

    def focus(title: str) -> None:
        window = wait_for_window(title, planner, environment)
        subprocess.run(
            ["xdotool", "windowactivate", "--sync", window], env=environment, check=True, timeout=PATIENCE
        )

    focus(FIRST_TITLE)
    press("ctrl+2", "ctrl+3", "ctrl+4", "ctrl+1", "ctrl+m")
    focus("Choose a model")
    subprocess.run(["xdotool", "type", "--delay", "50", TYPED], env=environment, check=True)
    press("Return")
    focus(NEXT_TITLE)
    press("ctrl+q")


def check_traces(folder: Path) -> None:
    """Looks at what the program left: the plan for the next start, and a log without errors."""
    plans = [path.read_text(encoding="utf-8") for path in (folder / "config/llmplanner").glob("last.*")]
    if not any("pythia-1.4b" in plan for plan in plans):
        raise SmokeError("The plan was not kept for the next start.")
    lines = [
        line
        for log in folder.rglob("llmplanner.log")
        for line in log.read_text(encoding="utf-8").splitlines()
    ]
    errors = [line for line in lines if " ERROR " in line or " CRITICAL " in line]
    if errors:
        raise SmokeError("The log holds errors:\n" + "\n".join(errors))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except SmokeError as error:
        sys.exit(str(error))
