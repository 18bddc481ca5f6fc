"""A server on this computer that speaks the hub's calls, and misbehaves where a test asks for it."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """What the server holds, how it misbehaves, and what it was asked."""

    files: dict[str, dict[str, bytes]] = field(default_factory=dict)  # repository -> file -> bytes
    sizes: dict[str, int] = field(default_factory=dict)  # a file's stated size where it is not its bytes'
    status: dict[str, tuple[int, dict[str, str]]] = field(default_factory=dict)  # path -> answer
    licence: object = "mit"
    ignores_range: bool = False
    endless: bool = False  # sends the file again and again
    url: str = ""
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    sent: int = 0


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        hub = self.hub
        hub.asked.append((self.path, dict(self.headers)))
        path = self.path.split("?", maxsplit=1)[0]
        for prefix, (status, headers) in hub.status.items():
            if path.startswith(prefix):
                self._send(status, b"", headers)
                return
        model = re.fullmatch(r"/api/models/([^/]+/[^/]+)/revision/[^/]+", path)
        if model and model[1] in hub.files:
            siblings = [
                {"rfilename": name, "size": hub.sizes.get(name, len(body))}
                for name, body in hub.files[model[1]].items()
            ]
            answer = {
                "id": model[1],
                "sha": COMMIT,
                "siblings": siblings,
                "cardData": {"license": hub.licence},
            }
            self._send(200, json.dumps(answer).encode())
            return
        file = re.fullmatch(r"/([^/]+/[^/]+)/resolve/[0-9a-f]{40}/(.+)", path)
        if file and file[2] in hub.files.get(file[1], {}):
            self._file(hub.files[file[1]][file[2]])
            return
        self._send(404, b"", {"X-Error-Code": "EntryNotFound"})

    def _file(self, body: bytes) -> None:
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if wanted is None or self.hub.ignores_range:
            self._send(200, body)
            return
        first, last = int(wanted[1]), min(int(wanted[2]), len(body) - 1)
        self._send(206, body[first : last + 1], {"Content-Range": f"bytes {first}-{last}/{len(body)}"})

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        length = len(body) * (10_000_000 if self.hub.endless else 1)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        try:
            for _ in range(length // max(len(body), 1)):
                self.wfile.write(body)
                self.hub.sent += len(body)
        except OSError:
            self.close_connection = True  # the client has read enough

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the name that it is called by
        """Says nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Says nothing: clients that have read enough hang up."""


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """The hub on a free port of this computer."""
    handler = type("Handler", (_Handler,), {"hub": hub})
    with _Server(("127.0.0.1", 0), handler) as server:
        hub.url = f"http://127.0.0.1:{server.server_port}"
        thread = Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield hub
        finally:
            server.shutdown()
            thread.join()
