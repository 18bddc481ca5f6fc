"""Jobs: their result comes back, a cancel drops it, a failure is told, and the probe survives its child."""

import sys
import threading
from threading import Event
from typing import NoReturn

import pytest
from pytestqt.qtbot import QtBot

from llmplanner.app.jobs import ThreadJob
from llmplanner.app.probe_job import ProbeJob
from llmplanner.core.errors import BadInput
from llmplanner.gpus import local
from llmplanner.gpus.local import Probe

ANSWER = '{"state": "no-gpu", "code": 0, "detail": "", "driver": "570.1", "cards": []}'


def test_a_result_comes_back_to_the_window(qtbot: QtBot) -> None:
    job = ThreadJob("Counting", lambda: 6 * 7)
    with qtbot.waitSignals([job.done, job.ended]):
        job.start()
    assert not job.running


def test_bad_input_is_told_as_its_sentence(qtbot: QtBot) -> None:
    def fail() -> NoReturn:
        raise BadInput("There is no such file.")

    job = ThreadJob("Reading", fail)
    with qtbot.waitSignal(job.failed) as heard:
        job.start()
    assert heard.args == ["There is no such file."]


def test_what_nobody_foresaw_ends_the_job_and_reaches_the_log(
    qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: list[threading.ExceptHookArgs] = []
    monkeypatch.setattr(threading, "excepthook", logged.append)
    job = ThreadJob("Dividing", lambda: 1 // 0)
    with qtbot.waitSignals([job.failed, job.ended]):
        job.start()
    qtbot.waitUntil(lambda: bool(logged))
    assert logged[0].exc_type is ZeroDivisionError


def test_a_cancelled_job_reports_nothing(qtbot: QtBot) -> None:
    go = Event()
    job = ThreadJob("Waiting", lambda: go.wait(5))
    job.start()
    with qtbot.assertNotEmitted(job.done, wait=100):
        with qtbot.waitSignal(job.ended):
            job.cancel()
        go.set()


def probe_with(code: str, monkeypatch: pytest.MonkeyPatch, qtbot: QtBot) -> Probe:
    monkeypatch.setattr(local, "command", lambda: [sys.executable, "-c", code])
    job = ProbeJob()
    with qtbot.waitSignal(job.done, timeout=20_000) as heard:
        job.start()
    (probe,) = heard.args
    assert isinstance(probe, Probe)
    return probe


def test_the_probe_brings_its_childs_report(monkeypatch: pytest.MonkeyPatch, qtbot: QtBot) -> None:
    probe = probe_with(f"print({ANSWER!r})", monkeypatch, qtbot)
    assert (probe.state, probe.driver) == ("no-gpu", "570.1")


@pytest.mark.parametrize(
    ("code", "state"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "crashed"),
        ("import sys; sys.exit(3)", "crashed"),
        ("print('not a report')", "no-answer"),
    ],
)
def test_a_child_that_dies_or_babbles_is_a_state(
    code: str, state: str, monkeypatch: pytest.MonkeyPatch, qtbot: QtBot
) -> None:
    probe = probe_with(code, monkeypatch, qtbot)
    assert probe.state == state
    assert probe.message.endswith(".")


def test_a_child_that_hangs_is_killed(monkeypatch: pytest.MonkeyPatch, qtbot: QtBot) -> None:
    monkeypatch.setattr(local, "TIMEOUT", 1)
    assert probe_with("import time; time.sleep(60)", monkeypatch, qtbot).state == "hung"


def test_a_child_that_cannot_start_is_a_state(monkeypatch: pytest.MonkeyPatch, qtbot: QtBot) -> None:
    monkeypatch.setattr(local, "command", lambda: ["/no/such/program"])
    job = ProbeJob()
    with qtbot.waitSignal(job.done) as heard:
        job.start()
    assert heard.args[0].state == "crashed"


def test_a_cancelled_probe_ends_its_child(monkeypatch: pytest.MonkeyPatch, qtbot: QtBot) -> None:
    monkeypatch.setattr(local, "command", lambda: [sys.executable, "-c", "import time; time.sleep(60)"])
    job = ProbeJob()
    job.start()
    with qtbot.assertNotEmitted(job.done), qtbot.waitSignal(job.ended):
        job.cancel()
