"""Ends a request that takes too long or is no longer wanted, wherever the server keeps it waiting.

A socket's timeout begins anew with each byte, so a server that drips its headers is never too late for it.
"""

import socket
import time
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from threading import Event, Thread
from typing import Self

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

from llmplanner.core.errors import BadInput

LONGEST = 60.0  # seconds for one answer, redirections and all
STEP = 0.1  # seconds between two looks


class Watch:
    """Looks after the request that is made inside it, and cuts its connection when its time is over."""

    def __init__(self, stopped: Callable[[], bool]) -> None:
        self.socket: socket.socket | None = None  # the one that the answer comes through
        self._stopped = stopped
        self._ends = time.monotonic() + LONGEST
        self._done = Event()
        self._thread = Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._before = _WATCH.set(self)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._done.set()
        _WATCH.reset(self._before)

    def check(self) -> None:
        """Raises BadInput once the request is no longer wanted, TimeoutError once its time is over."""
        if self._stopped():
            raise BadInput("The reading was stopped.", "model")
        if time.monotonic() > self._ends:
            raise TimeoutError

    def _look(self) -> None:
        while not self._done.wait(STEP):
            if self.socket is not None and (self._stopped() or time.monotonic() > self._ends):
                with suppress(OSError):  # it is closed already
                    socket.socket.shutdown(self.socket, socket.SHUT_RDWR)  # under TLS too: no farewell


_WATCH: ContextVar[Watch] = ContextVar("watch")


class _Connection(HTTPConnection):
    def getresponse(self) -> urllib3.HTTPResponse:  # type: ignore[override]
        """The answer; the watch of this request is told where it comes through."""
        _WATCH.get().socket = self.sock
        return super().getresponse()


class _SafeConnection(HTTPSConnection):
    def getresponse(self) -> urllib3.HTTPResponse:  # type: ignore[override]
        """The answer; the watch of this request is told where it comes through."""
        _WATCH.get().socket = self.sock
        return super().getresponse()


class _Pool(urllib3.HTTPConnectionPool):
    ConnectionCls = _Connection


class _SafePool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _SafeConnection


class WatchedPools(urllib3.PoolManager):
    """Connections whose requests are made inside a Watch."""

    def __init__(self, **options: object) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        self.pool_classes_by_scheme = {"http": _Pool, "https": _SafePool}
