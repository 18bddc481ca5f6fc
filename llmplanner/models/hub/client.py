"""Bounded GET requests to the hub: the only place where this program touches the network.

Every answer is read up to a stated number of bytes and no further, whatever the server sends. Only https is
spoken, http with this computer itself. The token goes to huggingface.co alone, where the user said so.
"""

import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, urljoin, urlsplit

import certifi
import urllib3

import llmplanner
from llmplanner.core.errors import BadInput
from llmplanner.models.hub.watch import Watch, WatchedPools

HUGGING_FACE = "https://huggingface.co"
TIMEOUT = 10.0  # seconds without a byte
MOST_REDIRECTS = 5
REDIRECTS = frozenset({301, 302, 303, 307, 308})
PIECE = 65_536
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19})")
OK, PARTIAL, NOT_FOUND, TOO_MANY = 200, 206, 404, 429
REFUSED = frozenset({401, 403})


class Unreachable(BadInput):
    """The hub did not answer: there is no network, or it is down. What was read before may do."""


class Gated(BadInput):
    """The repository asks its readers to accept its terms first."""

    @classmethod
    def of(cls, name: str) -> "Gated":
        """The sentence on a model."""
        return cls(
            f"{name} is gated: accept its terms at {HUGGING_FACE}/{name}, then allow your token to be sent; "
            "or download it and give its path.",
            "model",
        )


class Missing(BadInput):
    """There is no such repository or file, or it is private."""

    @classmethod
    def of(cls, name: str) -> "Missing":
        """The sentence on a model."""
        return cls(f"The hub has no model {name}, or it is private; check the id.", "model")


@dataclass(frozen=True, slots=True)
class Answer:
    """The bytes of an answer, at most as many as were asked for, and the size of the whole file."""

    body: bytes
    size: int | None  # None where the server does not say


class Client:
    """Asks one endpoint. Once `stopped` says yes, the request ends.

    Raises BadInput where the endpoint or what it redirects to is neither https nor this computer.
    """

    def __init__(
        self,
        endpoint: str = HUGGING_FACE,
        token: str | None = None,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self.endpoint = endpoint.rstrip("/")
        _allowed(self.endpoint, self.endpoint)
        self._token = token
        self._stopped = stopped
        context = ssl.create_default_context()
        context.load_verify_locations(certifi.where())  # beside the system's own, which a bare one lacks
        self._pool = WatchedPools(ssl_context=context, maxsize=8)

    def get(self, path: str, most: int, start: int | None = None) -> Answer:
        """At most `most` bytes of what lies at `path`, from byte `start` on where one is given.

        Raises Unreachable; BadInput for what the server refuses or answers wrongly.
        """
        with Watch(self._stopped) as watch:
            try:
                answer = self._asked(path, most, start, watch)
            except BadInput:
                self._check_time(watch)  # what was cut off reads like what is broken
                raise
            self._check_time(watch)
            return answer

    def _check_time(self, watch: Watch) -> None:
        """Raises BadInput where the request was stopped, or took too long."""
        try:
            watch.check()
        except TimeoutError as error:
            raise Unreachable(f"{self._host} sends too slowly; try again later.", "model") from error

    def _asked(self, path: str, most: int, start: int | None, watch: Watch) -> Answer:
        """The answer of a request that is being watched. Raises BadInput."""
        wanted = {} if start is None else {"Range": f"bytes={start}-{start + most - 1}"}
        url = self.endpoint + path
        try:
            response = self._follow(url, wanted, watch)
            try:
                self._check(response, path)
                return self._answer(response, most, start, watch)
            finally:
                response.close()  # what was not asked for is not read
        except BadInput:
            raise
        except ValueError as error:  # a redirection to what is no address, a piece of a negative length
            raise BadInput(f"{self._host} answers what is no HTTP; try again later.", "model") from error
        except urllib3.exceptions.SSLError as error:
            raise Unreachable(
                f"{self._host} shows a certificate that is not to be trusted; check the clock and the proxy.",
                "model",
            ) from error
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise Unreachable(
                f"{self._host} does not answer; check the network, or give the path of a file.", "model"
            ) from error

    @property
    def _host(self) -> str:
        return urlsplit(self.endpoint).netloc

    def _follow(self, url: str, wanted: Mapping[str, str], watch: Watch) -> urllib3.BaseHTTPResponse:
        """The answer behind all redirects."""
        for _ in range(MOST_REDIRECTS + 1):
            _allowed(url, self.endpoint)
            self._check_time(watch)
            response = self._pool.request(
                "GET",
                url,
                headers={**_headers(), **wanted, **self._authorization(url)},
                redirect=False,
                retries=False,
                timeout=urllib3.Timeout(connect=TIMEOUT, read=TIMEOUT),
                preload_content=False,
                decode_content=False,
            )
            location = response.headers.get("Location")
            if response.status not in REDIRECTS or location is None:
                return response
            response.close()
            url = urljoin(url, location)
        raise BadInput(
            f"{self._host} sends from one address to the next without end; try again later.", "model"
        )

    def _authorization(self, url: str) -> dict[str, str]:
        ours = _origin(urlsplit(url)) == _origin(urlsplit(HUGGING_FACE))
        return {"Authorization": f"Bearer {self._token}"} if self._token and ours else {}

    def _check(self, response: urllib3.BaseHTTPResponse, path: str) -> None:
        """Raises BadInput, or Unreachable where the server itself has failed."""
        status = response.status
        if status in {OK, PARTIAL}:
            return
        reason = response.headers.get("X-Error-Code", "")
        if reason == "GatedRepo" or (status in REFUSED and reason not in {"RepoNotFound", ""}):
            raise Gated(f"{self._host} shows this model only to those who have accepted its terms.", "model")
        if status in REFUSED or status == NOT_FOUND:
            raise Missing(f"{self._host} has nothing at {path}.", "model")
        if status == TOO_MANY:
            wait = response.headers.get("Retry-After", "")
            again = f"in {wait} seconds" if re.fullmatch("[0-9]{1,5}", wait) else "in some minutes"
            raise Unreachable(f"{self._host} takes no more requests for now; try again {again}.", "model")
        raise Unreachable(f"{self._host} answers with error {status}; try again later.", "model")

    def _answer(
        self, response: urllib3.BaseHTTPResponse, most: int, start: int | None, watch: Watch
    ) -> Answer:
        if start is None or response.status == OK:
            if start:
                raise BadInput(
                    f"{self._host} cannot send a part of a file; download the model and open it.", "model"
                )
            return Answer(self._read(response, most, watch), _length(response))
        found = RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if found is None or int(found[1]) != start or int(found[2]) >= int(found[3]):
            raise BadInput(f"{self._host} answers with another part of the file than was asked for.", "model")
        return Answer(self._read(response, min(most, int(found[2]) - start + 1), watch), int(found[3]))

    def _read(self, response: urllib3.BaseHTTPResponse, most: int, watch: Watch) -> bytes:
        """The first bytes of an answer, piece by piece."""
        body = bytearray()
        while len(body) < most:
            self._check_time(watch)
            piece = response.read1(min(PIECE, most - len(body)))  # what is there, without waiting for all
            if not piece:
                break
            body += piece
        return bytes(body)


def _headers() -> dict[str, str]:
    return {"User-Agent": f"llmplanner/{llmplanner.__version__}", "Accept-Encoding": "identity"}


def _allowed(url: str, endpoint: str) -> None:
    """Raises BadInput for an address that is neither https nor, where the endpoint is, on this computer."""
    parts, asked = urlsplit(url), urlsplit(endpoint)
    if parts.scheme == "https" and parts.hostname:
        return
    if parts.scheme == "http" and parts.hostname in LOOPBACK and asked.hostname in LOOPBACK:
        return
    raise BadInput(f"{url[:100]} is not an https address; only those are asked.", "model")


def _origin(parts: SplitResult) -> tuple[str, str | None, int]:
    return parts.scheme, parts.hostname, parts.port or 443


def _length(response: urllib3.BaseHTTPResponse) -> int | None:
    text = response.headers.get("Content-Length", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None  # noqa: PLR2004 - 2^64
