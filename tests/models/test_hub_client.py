"""The requests to the hub, against a real server on this computer."""

import io
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from llmplanner.core.errors import BadInput
from llmplanner.models.hub import watch
from llmplanner.models.hub.client import Client, Gated, Missing, Unreachable
from llmplanner.models.hub.remote import FIRST, RemoteFile
from tests.models.hub_server import COMMIT, Hub, serving

FILE = f"/owner/model/resolve/{COMMIT}/model.safetensors"


@pytest.fixture
def hub() -> Iterator[Hub]:
    body = bytes(range(256)) * 4096  # 1 MiB
    with serving(Hub(files={"owner/model": {"model.safetensors": body}})) as server:
        yield server


def test_a_part_of_a_file_is_asked_for_and_its_whole_size_told(hub: Hub) -> None:
    answer = Client(hub.url).get(FILE, 300, 1000)
    assert answer.body == (bytes(range(256)) * 6)[1000 % 256 :][:300]
    assert answer.size == 1024**2
    assert hub.asked[0][1]["Range"] == "bytes=1000-1299"


def test_a_server_that_ignores_ranges_is_cut_off_after_what_was_asked(hub: Hub) -> None:
    hub.ignores_range = hub.endless = True
    answer = Client(hub.url).get(FILE, 1000, 0)
    assert len(answer.body) == 1000
    assert hub.sent < 20 * 1024**2  # of 10 TB


def test_a_later_part_from_such_a_server_is_refused(hub: Hub) -> None:
    hub.ignores_range = True
    with pytest.raises(BadInput, match="cannot send a part of a file"):
        Client(hub.url).get(FILE, 1000, 5)


@pytest.mark.parametrize(
    "content_range", ["bytes 0-299/1048576", "bytes 5-400000/100", "items 5-304/1048576", "", "bytes 5-304/*"]
)
def test_another_part_than_was_asked_for_is_refused(hub: Hub, content_range: str) -> None:
    hub.status[FILE] = (206, {"Content-Range": content_range})
    with pytest.raises(BadInput, match="another part"):
        Client(hub.url).get(FILE, 300, 5)


@pytest.mark.parametrize(
    ("status", "headers", "kind", "words"),
    [
        (401, {"X-Error-Code": "GatedRepo"}, Gated, "accepted its terms"),
        (403, {"X-Error-Code": "GatedRepo"}, Gated, "accepted its terms"),
        (401, {"X-Error-Code": "RepoNotFound"}, Missing, "nothing at"),
        (404, {}, Missing, "nothing at"),
        (429, {"Retry-After": "30"}, Unreachable, "again in 30 seconds"),
        (429, {"Retry-After": "<b>never</b>"}, Unreachable, "in some minutes"),
        (500, {}, Unreachable, "error 500"),
        (302, {"Location": "/owner/model"}, BadInput, "without end"),
        (302, {"Location": "http://169.254.169.254/latest"}, BadInput, "not an https address"),
        (302, {"Location": "file:///etc/passwd"}, BadInput, "not an https address"),
        (302, {"Location": "http://["}, BadInput, "no HTTP"),
        (302, {"Location": "http://127.0.0.1:99999999/"}, BadInput, "no HTTP"),
        (429, {"Retry-After": "9" * 60_000}, Unreachable, "in some minutes"),
    ],
)
def test_each_refusal_is_one_sentence(
    hub: Hub, status: int, headers: dict[str, str], kind: type[BadInput], words: str
) -> None:
    hub.status["/owner/model"] = (status, headers)
    with pytest.raises(kind, match=words):
        Client(hub.url).get(FILE, 10)


def test_no_server_at_all_is_said() -> None:
    with pytest.raises(Unreachable, match="does not answer"):
        Client("http://127.0.0.1:9").get(FILE, 10)


@pytest.mark.parametrize("endpoint", ["http://example.org", "ftp://127.0.0.1", "huggingface.co", "https://"])
def test_only_https_and_this_computer_are_asked(endpoint: str) -> None:
    with pytest.raises(BadInput, match="not an https address"):
        Client(endpoint)


def test_the_token_goes_to_no_other_host(hub: Hub) -> None:
    Client(hub.url, token="hf_secret").get(FILE, 10)  # noqa: S106 - not a real one
    assert "Authorization" not in hub.asked[0][1]


def test_a_stopped_request_ends(hub: Hub) -> None:
    with pytest.raises(BadInput, match="stopped"):
        Client(hub.url, stopped=lambda: True).get(FILE, 10)


def test_a_remote_file_fetches_only_what_is_read(hub: Hub) -> None:
    remote = RemoteFile(Client(hub.url), FILE)
    file = io.BufferedReader(remote)
    assert file.read(256) == bytes(range(256))
    assert len(hub.asked) == 1
    assert file.seek(0, io.SEEK_END) == remote.size == 1024**2
    assert file.read(1) == b""
    assert len(remote.head) == FIRST
    file.seek(FIRST - 1)
    assert file.read(2) == b"\xff\x00"


def test_what_is_known_of_a_remote_file_is_not_asked_for_again(hub: Hub) -> None:
    remote = RemoteFile(Client(hub.url), FILE, known=b"abc" * 1000, size=1024**2)
    assert io.BufferedReader(remote, 512).read(6) == b"abcabc"
    assert hub.asked == []


@contextmanager
def dripping(first: bytes, again: bytes, pause: float = 0.01) -> Iterator[str]:
    """A server that answers with the first bytes, then with the others without end."""

    def answer() -> None:
        with suppress(OSError), listener.accept()[0] as connection:
            connection.recv(65_536)
            connection.sendall(first)
            while not over.wait(pause):
                connection.sendall(again)

    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            over.set()
            thread.join()


DRIPS = [
    (b"H", b"T"),
    (b"HTTP/1.1 200 OK\r\nX: ", b"y"),
    (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b"x"),
]


@pytest.mark.parametrize(("first", "again"), DRIPS)
def test_a_server_that_drips_is_not_waited_for(
    first: bytes, again: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "LONGEST", 0.5)
    begun = time.monotonic()
    with dripping(first, again) as url, pytest.raises(Unreachable, match="sends too slowly"):
        Client(url).get(FILE, 50_000)
    assert time.monotonic() - begun < 2


@pytest.mark.parametrize(("first", "again"), DRIPS)
def test_a_request_to_such_a_server_can_be_stopped(first: bytes, again: bytes) -> None:
    begun = time.monotonic()
    with dripping(first, again) as url, pytest.raises(BadInput, match="was stopped"):
        Client(url, stopped=lambda: time.monotonic() > begun + 0.3).get(FILE, 50_000)
    assert time.monotonic() - begun < 2
