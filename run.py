#!/usr/bin/env python3
"""Sets up and starts LLM Planner: `python3 run.py` opens it, `python3 run.py test` runs every check.

Needs nothing but Python 3.11 to 3.14. The first start makes the folder .venv beside this file from the hashed
lock files; later starts find its stamp unchanged and go straight on. Other arguments are the program's own.
"""

from __future__ import annotations  # so that an older Python reads on until it is told what it lacks

import ctypes
import errno
import hashlib
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

OLDEST, NEWEST = (3, 11), (3, 14)  # what the locked Qt and NumPy are built for
ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
TOOLS = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = TOOLS / ("python.exe" if os.name == "nt" else "python")
STAMP = VENV / "llmplanner-stamp"
DISK_BYTES = 1_000_000_000  # the environment with the test tools (480 MB) and room to unpack it
SETUP_FAILED = 2
COMMAND = "LLMPLANNER_COMMAND"  # tells the program how its sentences are to name it

QT_LIBRARIES = {  # any Qt import beyond QtCore, drawing into files included -> its Debian package
    "libGL.so.1": "libgl1",
    "libEGL.so.1": "libegl1",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libdbus-1.so.3": "libdbus-1-3",
    "libfontconfig.so.1": "libfontconfig1",
}
X11_LIBRARIES = {  # where one of these is missing, Qt aborts as it opens the window
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-shape.so.0": "libxcb-shape0",
}
WAYLAND_LIBRARIES = {"libwayland-cursor.so.0": "libwayland-cursor0"}

INSTALL_FAILURES = (  # what uv and pip print -> what the user can do; the first that matches is said
    ("No space left", "The disk is full: make 1 GB of room and start this again."),
    ("Read-only file system", f"{ROOT} cannot be written: move it to a folder of yours."),
    ("Permission denied", f"{ROOT} cannot be written: move it to a folder of yours."),
    ("THESE PACKAGES DO NOT MATCH", "A package is not the one that was locked: nothing was installed."),
    ("Hash mismatch", "A package is not the one that was locked: nothing was installed."),
    (
        "TLS CA certificate",
        "The system trusts no package index: install ca-certificates and start this again.",
    ),
    (
        "CERTIFICATE_VERIFY",
        "The system does not trust the package index: install ca-certificates, start again.",
    ),
    (
        "NewConnectionError",
        "There is no way to the package index: connect to the network and start this again.",
    ),
    ("ProxyError", "The proxy does not answer: mend the network settings and start this again."),
    ("ConnectTimeout", "The package index does not answer: try again later."),
    ("Failed to fetch", "There is no way to the package index: connect to the network and start this again."),
    (
        "No matching distribution",
        "Qt is not built for this system: it needs glibc 2.34 (ARM: 2.39) or macOS 13.",
    ),
)

CHECKS = (  # what `run.py test` runs before the tests
    ("ruff", "check", "."),
    ("ruff", "format", "--check", "."),
    ("mypy",),
    ("lint-imports",),
)


class SetupError(Exception):
    """Something that the user must mend first; its text is the sentence shown."""


def main(arguments: list[str]) -> int:
    """Brings Python, the system's libraries and the environment in order, then starts what was asked for."""
    testing = arguments[:1] == ["test"]
    try:
        if not OLDEST <= sys.version_info[:2] <= NEWEST:
            start_again_under(other_python())
        if Path(sys.prefix).resolve() == VENV and stamp_of(testing=testing) != read_stamp():
            start_again_under(sys._base_executable)  # type: ignore[attr-defined]  # noqa: SLF001  # .venv is replaced
        if sys.platform == "linux":
            provide_libraries(needed=testing or opens_window(arguments))
        provide_environment(testing=testing)
    except SetupError as error:
        say(str(error))
        return SETUP_FAILED
    if testing:
        return run_checks(arguments[1:])
    os.environ[COMMAND] = f"{'py' if os.name == 'nt' else 'python3'} {shlex.quote(sys.argv[0])}"
    return become([str(PYTHON), "-m", "llmplanner", *arguments])


def say(text: str) -> None:
    """Tells how the set-up goes, beside the program's own output."""
    print(text, file=sys.stderr, flush=True)


def become(command: list[str]) -> int:
    """Turns into that command, so that signals and the exit code are its own; on Windows, waits for it."""
    if os.name != "nt":
        sys.stdout.flush()
        os.execv(command[0], command)  # noqa: S606  # there is no shell, as is meant
    return subprocess.call(command)


def run(*command: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a command of the set-up quietly, its output and errors kept together."""
    return subprocess.run(
        [str(part) for part in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**os.environ, **environment},
        check=False,
    )


# Python


def other_python() -> str:
    """The newest Python on PATH that fits."""
    for minor in range(NEWEST[1], OLDEST[1] - 1, -1):
        found = shutil.which(f"python3.{minor}")
        if (
            found and run(found, "-c", "import sys, ssl").returncode == 0
        ):  # a shim may stand for no Python at all
            return found
    raise SetupError(
        f"LLM Planner needs Python 3.{OLDEST[1]} to 3.{NEWEST[1]}, this is {sys.version.split()[0]}, and PATH"
        " has no other: install one with your system's package manager or from python.org."
    )


def start_again_under(python: str) -> None:
    """Runs this file from the start with another Python; does not come back."""
    sys.exit(become([python, __file__, *sys.argv[1:]]))


# System libraries and packages


def has_display() -> bool:
    """Whether a window could open."""
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def opens_window(arguments: list[str]) -> bool:
    """Whether these arguments ask for the window: none, or a file to open."""
    return has_display() and (not arguments or Path(arguments[0]).is_file())


def provide_libraries(*, needed: bool) -> None:
    """Installs the packages of the libraries that Qt misses, or names them all in one line.

    Raises SetupError if Qt is `needed`; else only says so, as most commands work without it.
    """
    packages = missing_packages()
    if not packages or install(packages):
        return
    command = f"sudo apt-get install -y {' '.join(packages)}"
    how = (
        f"type `{command}`" if shutil.which("apt-get") else f"install what Debian calls {', '.join(packages)}"
    )
    sentence = f"The window and the charts need libraries of the system: {how} and start this again."
    if needed:
        raise SetupError(sentence)
    say(sentence)


def missing_packages() -> list[str]:
    """Debian's names of the packages whose library cannot be loaded."""
    libraries = dict(QT_LIBRARIES)
    if os.environ.get("DISPLAY"):
        libraries.update(X11_LIBRARIES)
    if os.environ.get("WAYLAND_DISPLAY"):
        libraries.update(WAYLAND_LIBRARIES)
    return [package for library, package in libraries.items() if not loads(library)]


def loads(library: str) -> bool:
    """Whether the dynamic linker finds and accepts a library."""
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def install(packages: list[str]) -> bool:
    """Installs Debian packages as root or with sudo; False where that cannot be done."""
    if not shutil.which("apt-get"):
        return False
    if os.geteuid() == 0:
        rights = []
    elif shutil.which("sudo") and (sys.stdin.isatty() or run("sudo", "-n", "true").returncode == 0):
        rights = ["sudo"]
    else:
        return False
    say(f"Installing system packages: {' '.join(packages)}.")
    if rights and subprocess.call(["sudo", "-v"]) != 0:  # asks for the password where one is needed
        return False
    apt = [*rights, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-o", "DPkg::Lock::Timeout=60"]
    wanted = [*apt, "install", "-y", "--no-install-recommends", *packages]
    if run(*wanted).returncode == 0:
        return True
    run(*apt, "update")  # a fresh system knows no packages, an old one knows those that are gone
    return run(*wanted).returncode == 0


# The environment


def lock_file(*, testing: bool) -> Path:
    """The list of packages to install; the one for tests holds all of the other."""
    return ROOT / ("requirements-test.lock" if testing else "requirements.lock")


def stamp_of(*, testing: bool) -> str:
    """What the environment depends on: the locked packages, this Python, and where the folder lies."""
    place = f"{'.'.join(map(str, sys.version_info[:2]))} {ROOT}".encode(errors="surrogateescape")
    return hashlib.sha256(lock_file(testing=testing).read_bytes() + place).hexdigest()


def read_stamp() -> str:
    """What the environment was made from; empty where there is none, or not a whole one."""
    try:
        return STAMP.read_text(encoding="ascii") if PYTHON.exists() else ""
    except OSError:
        return ""


def provide_environment(*, testing: bool) -> None:
    """Makes .venv anew if its stamp is another; one made for tests serves the program too.

    Raises SetupError; then no half of an environment is left behind.
    """
    enough = {stamp_of(testing=True), stamp_of(testing=testing)}
    if read_stamp() in enough:
        return
    if not all(os.access(path, os.W_OK) for path in (ROOT, VENV) if path.exists()):
        raise SetupError(
            f"{ROOT} belongs to another user and is not set up for this Python: let that user start it once, "
            "or copy it to a folder of yours."
        )
    say("Setting up LLM Planner in .venv, once; this downloads about 150 MB.")
    whole = False
    try:
        if VENV.exists():
            shutil.rmtree(VENV)
        if shutil.disk_usage(ROOT).free < DISK_BYTES:
            raise SetupError(f"The disk of {ROOT} is full: make 1 GB of room and start this again.")
        make_environment(lock_file(testing=testing))
        packages = next(path for path in VENV.rglob("site-packages") if path.is_dir())
        (packages / "llmplanner.pth").write_text(f"{ROOT}\n", encoding="locale")  # as Python reads such files
        run(PYTHON, "-m", "compileall", "-q", ROOT / "llmplanner")  # a first start as quick as the next
        STAMP.write_text(stamp_of(testing=testing), encoding="ascii")
        whole = True
    except OSError as error:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        remedy = "make room and start this again" if full else "copy LLM Planner to a folder of yours"
        raise SetupError(f"{VENV} cannot be made ({error.strerror or error}): {remedy}.") from error
    finally:
        if not whole:
            shutil.rmtree(VENV, ignore_errors=True)


def make_environment(lock: Path) -> None:
    """Fills .venv from a lock file: with uv where there is one, else with venv and pip."""
    uv = shutil.which("uv")
    if uv and run(uv, "venv", "--python", sys.executable, VENV).returncode == 0:
        explain(run(uv, "pip", "install", "--python", PYTHON, "--require-hashes", "-r", lock))
        return
    if has_ensurepip() or install([f"python3.{sys.version_info[1]}-venv"]):
        explain(run(sys.executable, "-m", "venv", VENV))
        fill(lock, "-m", "pip")
        return
    with tempfile.TemporaryDirectory() as folder:
        pip = borrowed_pip(Path(folder))
        explain(run(sys.executable, "-m", "venv", "--without-pip", VENV))
        fill(lock, pip)


def has_ensurepip() -> bool:
    """Whether venv can bring pip along; Debian keeps that part in a package of its own."""
    return run(sys.executable, "-c", "import ensurepip").returncode == 0


def fill(lock: Path, *pip: object) -> None:
    """Installs the locked packages with that pip; nothing is built, nothing is taken whose hash differs."""
    options = (
        "--quiet",
        "--no-input",
        "--disable-pip-version-check",
        "--require-hashes",
        "--only-binary=:all:",
    )
    explain(run(PYTHON, *pip, "install", *options, "-r", lock))


def borrowed_pip(folder: Path) -> Path:
    """The pip that Debian keeps for new environments, unpacked into a folder; takes no rights."""
    lists = folder / "lists" / "partial"
    lists.mkdir(parents=True)
    own = ("-o", f"Dir::State::Lists={lists.parent}", "-o", f"Dir::Cache={folder}")
    for options in ((), own):  # the system's package lists, or, where it has none, fresh ones of our own
        if options:
            run("apt-get", *options, "update")
        script = (
            'cd "$1" && shift && apt-get "$@" download python3-pip-whl && dpkg-deb -x python3-pip-whl*.deb .'
        )
        if run("sh", "-c", script, "sh", folder, *options).returncode == 0:
            return next((folder / "usr/share/python-wheels").glob("pip-*.whl")) / "pip"
    raise SetupError(
        "This Python cannot make environments: type"
        f" `sudo apt-get install -y python3.{sys.version_info[1]}-venv` and start this again."
    )


def explain(done: subprocess.CompletedProcess[str]) -> None:
    """Raises SetupError with a sentence if a command of the set-up failed."""
    if done.returncode == 0:
        return
    for sign, sentence in INSTALL_FAILURES:
        if sign in done.stdout:
            raise SetupError(sentence)
    lines = [line for line in done.stdout.splitlines() if line.strip()] or ["no reason was given"]
    raise SetupError(f"The environment could not be made: {lines[-1].strip()}")


# The checks


def run_checks(pytest_arguments: list[str]) -> int:
    """Runs style, types, layers and tests, all of them even if one fails; 0 if all pass."""
    failed = [" ".join(check) for check in CHECKS if call(str(TOOLS / check[0]), *check[1:]) != 0]
    tests = call(str(PYTHON), "-m", "pytest", *pytest_arguments)
    if tests != 0:
        failed.append("pytest")
    say(f"Failed: {', '.join(failed)}." if failed else "All checks passed: style, types, layers, tests.")
    return tests or (1 if failed else 0)


def call(*command: str) -> int:
    """Runs a check in the checkout and gives its exit code, that of a shell where a signal ended it."""
    print(f"$ {Path(command[0]).name} {' '.join(command[1:])}", flush=True)
    code = subprocess.call(command, cwd=ROOT)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
