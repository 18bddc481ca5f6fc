"""The set-up: what it installs, what it says where it cannot, and that nothing half-made stays behind."""

import importlib.util
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

from llmplanner.cli.program import VARIABLE
from tests.reference import ROOT


def load() -> ModuleType:
    """run.py as a module."""
    spec = importlib.util.spec_from_file_location("run", ROOT / "run.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def run() -> ModuleType:
    return load()


@pytest.fixture
def elsewhere(run: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with a space in its name, in which run.py believes to lie."""
    root = tmp_path / "my checkout"
    root.mkdir()
    for lock in ("requirements.lock", "requirements-test.lock"):
        (root / lock).write_bytes((ROOT / lock).read_bytes())
    venv = root / ".venv"
    python = venv / "bin/python"
    for name, value in {"ROOT": root, "VENV": venv, "PYTHON": python, "STAMP": venv / "stamp"}.items():
        monkeypatch.setattr(run, name, value)
    return root


def locked(name: str) -> dict[str, str]:
    """The packages of a lock file and their versions."""
    text = (ROOT / name).read_text(encoding="utf-8")
    return dict(re.findall(r"^([a-z0-9_.-]+)==([^ ;\\]+)", text, re.MULTILINE))


def plain(name: str) -> str:
    """The name of a package as the index compares it."""
    return re.sub(r"[-_.]+", "-", re.split(r"[><=]", name)[0]).lower()


def test_every_stated_dependency_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    needed = {plain(each) for each in project["project"]["dependencies"]}
    for_tests = {plain(each) for each in project["dependency-groups"]["test"]}
    assert needed <= locked("requirements.lock").keys()
    assert needed | for_tests <= locked("requirements-test.lock").keys()


def test_the_lock_for_tests_holds_the_program_s_own_packages() -> None:
    assert locked("requirements.lock").items() <= locked("requirements-test.lock").items()


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-test.lock"])
def test_locks_hold_a_hash_for_each_package_and_no_address(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert "://" not in text
    packages = re.split(r"\n(?=\S)", text.strip())
    assert [each for each in packages if "--hash=sha256:" not in each] == []


def test_a_failed_set_up_leaves_nothing_behind(
    run: ModuleType, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make_half(_lock: Path) -> None:
        (elsewhere / ".venv/bin").mkdir(parents=True)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(run, "make_environment", make_half)
    with pytest.raises(run.SetupError, match="No space left on device"):
        run.provide_environment(testing=False)
    assert not (elsewhere / ".venv").exists()


def test_another_user_s_environment_is_left_alone(
    run: ModuleType, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (elsewhere / ".venv/bin").mkdir(parents=True)
    monkeypatch.setattr(os, "access", lambda path, _mode: path != elsewhere / ".venv")
    with pytest.raises(run.SetupError, match="belongs to another user") as caught:
        run.provide_environment(testing=False)
    assert "room" not in str(caught.value)
    assert (elsewhere / ".venv/bin").is_dir()


@pytest.mark.parametrize(
    ("number", "remedy"), [(28, "make room"), (13, "copy LLM Planner to a folder of yours")]
)
def test_a_failed_set_up_says_what_helps(
    run: ModuleType, elsewhere: Path, monkeypatch: pytest.MonkeyPatch, number: int, remedy: str
) -> None:
    def fail(_lock: Path) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(run, "make_environment", fail)
    with pytest.raises(run.SetupError, match=remedy):
        run.provide_environment(testing=False)
    assert not (elsewhere / ".venv").exists()


def test_the_program_is_told_how_it_was_called(run: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    for step in ("provide_libraries", "provide_environment"):
        monkeypatch.setattr(run, step, lambda **_: None)
    monkeypatch.setattr(run, "read_stamp", lambda: run.stamp_of(testing=False))
    monkeypatch.setattr(run, "become", lambda _command: 0)
    monkeypatch.setattr(sys, "argv", ["../my planner/run.py", "--help"])
    monkeypatch.setenv(VARIABLE, "")
    assert run.main(["--help"]) == 0
    assert os.environ[VARIABLE].endswith(" '../my planner/run.py'")


def test_an_environment_for_tests_serves_the_program_but_not_the_other_way(
    run: ModuleType, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []

    def make(lock: Path) -> None:
        made.append(lock.name)
        (elsewhere / ".venv/lib/site-packages").mkdir(parents=True)
        (elsewhere / ".venv/bin").mkdir()
        (elsewhere / ".venv/bin/python").symlink_to(sys.executable)

    monkeypatch.setattr(run, "make_environment", make)
    for testing in (False, False, True, True, False):
        run.provide_environment(testing=testing)
    assert made == ["requirements.lock", "requirements-test.lock"]
    assert (elsewhere / ".venv/lib/site-packages/llmplanner.pth").read_text().strip() == str(elsewhere)


def test_a_changed_lock_is_installed_anew(
    run: ModuleType, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = run.stamp_of(testing=False)
    (elsewhere / "requirements.lock").write_text("colorama==1\n")
    assert run.stamp_of(testing=False) != before
    monkeypatch.setattr(run, "ROOT", elsewhere.parent)
    (elsewhere.parent / "requirements.lock").write_text("colorama==1\n")
    assert run.stamp_of(testing=False) != before


@pytest.mark.skipif(sys.platform != "linux", reason="system packages are Linux's affair")
def test_one_line_names_every_missing_package(
    run: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr(run, "loads", lambda library: "xcb" not in library)
    monkeypatch.setattr(run, "install", lambda packages: not packages)
    with pytest.raises(
        run.SetupError, match="libxcb-cursor0 libxcb-icccm4 libxcb-keysyms1 libxcb-shape0"
    ) as caught:
        run.provide_libraries(needed=True)
    run.provide_libraries(needed=False)
    assert capsys.readouterr().err == f"{caught.value}\n"


# The last lines as pip 23 and uv 0.9 printed them.
@pytest.mark.parametrize(
    ("printed", "said"),
    [
        (
            "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device",
            "make 1 GB of room",
        ),
        (
            "WARNING: Retry: 'NewConnectionError(...)'\nERROR: No matching distribution found for numpy",
            "connect to the network",
        ),
        ("error: Failed to fetch: `https://example.org/simple/numpy/`", "connect to the network"),
        (
            "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.",
            "nothing was installed",
        ),
        ("ERROR: No matching distribution found for pyside6-essentials==6.11.3", "glibc 2.34"),
        ("something new\nthe last line\n", "the last line"),
        ("", "no reason was given"),
    ],
)
def test_a_failed_install_is_one_sentence(run: ModuleType, printed: str, said: str) -> None:
    with pytest.raises(run.SetupError, match=said) as caught:
        run.explain(subprocess.CompletedProcess([], 1, printed))
    assert "\n" not in str(caught.value)


def test_a_python_that_does_not_fit_is_named(run: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "OLDEST", (3, 90))
    monkeypatch.setattr(run, "NEWEST", (3, 91))
    said: list[str] = []
    monkeypatch.setattr(run, "say", said.append)
    assert run.main([]) == 2
    assert [line.startswith("LLM Planner needs Python 3.90 to 3.91, this is 3.") for line in said] == [True]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no signals that end a process so")
def test_the_exit_code_of_a_killed_check_is_the_shell_s(run: ModuleType) -> None:
    assert run.call(sys.executable, "-c", "import os; os.abort()") == 134


@pytest.mark.skipif(
    load().read_stamp() != load().stamp_of(testing=True), reason="the environment was not made by run.py test"
)
def test_it_starts_the_program_from_any_folder_with_its_exit_code(tmp_path: Path) -> None:
    for arguments, code in ((["--version"], 0), (["bits", "no number"], 2)):
        command = [sys.executable, str(ROOT / "run.py"), *arguments]
        answer = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (answer.returncode, answer.stderr.count("\n")) == (code, code // 2)
