"""The CouchDB client: python-couchdb's pooled connections, with streams, ranges and plain errors."""

from __future__ import annotations

import http.client
import select
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from typing import Any, ParamSpec, Protocol, TypeVar
from urllib.parse import quote, unquote, urlsplit

import orjson
from couchdb.http import ConnectionPool

from dicouch.config import basic_auth, split_url
from dicouch.couch import patience
from dicouch.couch.response import CHUNK, Answer, CouchError
from dicouch.errors import DicomWebError

# Before credentials that go into the header of this name, not into `Authorization`.
COOKIE = "Cookie "
Body = bytes | Callable[[], Iterable[bytes]] | None
P = ParamSpec("P")
Made = TypeVar("Made")


class Pending:
    """A request that was sent and whose answer has not been awaited yet."""

    def __init__(
        self,
        couch: Couch,
        method: str,
        target: str,
        headers: dict[str, str],
        body: Body,
        writes: Sequence[str] | None,
        authorization: str | None,
    ) -> None:
        self._couch = couch
        self._request = (method, target, headers, body)
        # Documents that it may write, see `written_by`; none when that has been told.
        self._writes = writes
        self._authorization = authorization
        self._seconds = 0.0
        self._socket: socket.socket | None = None
        self._sent = time.monotonic()
        self._connection, self._fresh = self._timed(couch.send, *self._request)

    def answer(self) -> Answer:
        """Wait for the answer and return it with its body unread.

        Raises
        ------
        CouchError
            If CouchDB answers 400 or more.
        DicomWebError
            503 if CouchDB cannot be reached.
        """
        couch, (method, target, _headers, _body) = self._couch, self._request
        response = self._timed(self._receive)
        patience.answered(response.status, self._seconds)
        # Before anybody reads what it says: whoever is told of a write must not be given what was read before.
        if not _wrote_nothing(target, response):
            self._tell_writes()
        if response.status < 400 or response.status in (401, 403):
            couch.answered(self._authorization, response.status < 400, self._sent)
        connection, name = self._connection, f"{method} {target}"
        couch.observe(name, self._seconds, False)
        answer = Answer(
            response,
            lambda clean: couch.give_back(connection, clean),
            lambda seconds: couch.observe(name, seconds, True),
            self._socket,
            couch.timeout,
        )
        if method == "HEAD" or response.status in (204, 304):
            response.read()
        if response.status >= 400:
            raise couch.error(answer, method)
        return answer

    def json(self) -> Any:
        """Wait for the answer and return its decoded body.

        Raises
        ------
        CouchError
            If CouchDB answers 400 or more.
        DicomWebError
            503 if CouchDB cannot be reached, 502 if its answer breaks off or is no JSON.
        """
        content = self.answer().read()
        try:
            return orjson.loads(content)
        except orjson.JSONDecodeError as problem:
            raise DicomWebError(502, "the database's answer is no JSON") from problem

    def is_answered(self, within: float) -> bool:
        """Wait for the answer for some seconds at most; return whether it has begun to come."""
        poll = select.poll()
        poll.register(self._connection.sock, select.POLLIN)
        return bool(poll.poll(within * 1000))

    def _tell_writes(self) -> None:
        writes, self._writes = self._writes, ()
        if writes is None or writes:
            self._couch.wrote(writes)

    def close(self) -> None:
        """Give the answer up."""
        self._tell_writes()
        self._couch.give_back(self._connection, clean=False)

    def _receive(self) -> http.client.HTTPResponse:
        while True:
            try:
                # Of an answer that ends with its connection, the latter no longer has it.
                self._socket = self._connection.sock
                with patience.waiting(self._couch.timeout) as seconds:
                    patience.bound(self._socket, seconds)
                    response: http.client.HTTPResponse = self._connection.getresponse()
                return response
            except (ConnectionError, http.client.HTTPException):
                self._connection.close()
                if self._fresh:
                    raise
            except BaseException:
                self._connection.close()
                raise
            self._connection, self._fresh = self._couch.send(*self._request)

    def _timed(self, job: Callable[P, Made], *arguments: P.args, **options: P.kwargs) -> Made:
        started = time.perf_counter()
        try:
            return job(*arguments, **options)
        except (OSError, http.client.HTTPException) as problem:
            self._tell_writes()  # nobody knows what became of it
            raise patience.exhausted(problem) from problem
        finally:
            self._seconds += time.perf_counter() - started


class Couch:
    """One database of a CouchDB server.

    Parameters
    ----------
    url : str
        Root of the server, possibly with ``user:password@``.
    database : str
        Name of the database.
    timeout : float
        Seconds without a byte after which a request fails.
    """

    def __init__(self, url: str, database: str, timeout: float = 120.0) -> None:
        self.root, self.credentials = split_url(url)
        self.database = database
        self._path = urlsplit(self.root).path + "/" + quote(database, safe="")
        self.timeout = timeout
        self._pool = ConnectionPool(timeout)
        # Told method and target of each request and the seconds it took, in pieces: whether this is a further one.
        self.observe: Callable[[str, float, bool], None] = lambda request, seconds, again: None
        # Told the ids of documents that a request wrote or may have written, before anybody is told its answer; None
        # where nobody knows which.
        self.wrote: Callable[[Sequence[str] | None], None] = lambda ids: None
        # Told credentials, whether the database let them in, and when it was asked (`time.monotonic`).
        self.answered: Callable[[str | None, bool, float], None] = lambda authorization, admitted, asked: None

    def with_timeout(self, seconds: float) -> Couch:
        """Return the same database, with connections of its own, for requests that fail sooner; nobody is told."""
        other = Couch(self.root, self.database, seconds)
        other.credentials = self.credentials
        return other

    def request(self, method: str, path: str, **options: Any) -> Answer:
        """Send one request, as `start` does, and return the answer with its body unread.

        Raises
        ------
        CouchError
            If CouchDB answers 400 or more.
        DicomWebError
            503 if CouchDB cannot be reached.
        """
        return self.start(method, path, **options).answer()

    def start(
        self,
        method: str,
        path: str,
        *,
        params: dict[str, Any] | None = None,
        body: Body = None,
        headers: dict[str, str] | None = None,
        authorization: str | None = None,
        writes: Sequence[str] | None = None,
    ) -> Pending:
        """Send one request whose answer is awaited later, so that CouchDB works on several at a time.

        Parameters
        ----------
        method : str
        path : str
            Below the database, already percent-encoded (see `segment`).
        params : dict, optional
            Query parameters; values that are not strings are sent as JSON.
        body : bytes or callable, optional
            A callable gives the pieces of the body anew each time, so that a request can be repeated on a fresh
            connection; `headers` must then say the ``Content-Length``.
        authorization : str, optional
            The client's own ``Authorization``, handed through instead of the server's credentials; see also `COOKIE`.
        writes : sequence of str, optional
            Ids of the documents that the request writes, where its path does not tell them; see `written_by`.

        Raises
        ------
        DicomWebError
            503 if CouchDB cannot be reached.
        """
        target = self._path + ("/" + path if path else "")
        if params:
            target += "?" + "&".join(f"{name}={_encoded(value)}" for name, value in params.items())
        sent = {"Accept": "application/json", **(headers or {})}
        if authorization and authorization.startswith(COOKIE):
            sent["Cookie"] = authorization.removeprefix(COOKIE)
        elif authorization:
            sent["Authorization"] = authorization
        elif self.credentials:
            sent["Authorization"] = basic_auth(*self.credentials)
        if body is None:
            sent.setdefault("Content-Length", "0")
        elif isinstance(body, bytes):
            sent["Content-Length"] = str(len(body))
        return Pending(self, method, target, sent, body, written_by(method, path, writes), authorization)

    def send(
        self, method: str, target: str, headers: dict[str, str], body: Body
    ) -> tuple[http.client.HTTPConnection, bool]:
        """Send a request on a pooled connection; return it, and whether it is a fresh one."""
        # A pooled connection may have been closed by the server meanwhile: that shows at once, and the next is tried.
        # Any request may be repeated: writes name a revision or none, so the second is a conflict, not a second write.
        for _attempt in range(8):
            connection: http.client.HTTPConnection = self._pool.get(self.root)
            fresh = connection.sock is None or not getattr(connection, "used", False)
            try:
                with patience.waiting(self.timeout) as seconds:
                    connection.timeout = seconds
                    if connection.sock is None:
                        connection.connect()
                with _together(connection.sock) if body else nullcontext():
                    connection.putrequest(method, target, skip_accept_encoding=True)
                    for name, value in headers.items():
                        connection.putheader(name, value)
                    self._wait(connection, connection.endheaders)
                    # Each by itself: a large body takes as long as it takes.
                    for piece in pieces(body):
                        self._wait(connection, connection.send, piece)
            except (ConnectionError, http.client.HTTPException):
                connection.close()
                if fresh:
                    raise
                continue
            except BaseException:
                connection.close()
                raise
            connection.used = True  # type: ignore[attr-defined] # ours
            return connection, fresh
        raise ConnectionError("no connection stays open")

    def _wait(self, connection: http.client.HTTPConnection, job: Callable[..., None], *arguments: object) -> None:
        with patience.waiting(self.timeout) as seconds:
            patience.bound(connection.sock, seconds)
            job(*arguments)

    def give_back(self, connection: http.client.HTTPConnection, clean: bool) -> None:
        if clean and connection.sock is not None:
            self._pool.release(self.root, connection)
        else:
            connection.close()

    @staticmethod
    def error(answer: Answer, method: str) -> CouchError:
        text = b"" if method == "HEAD" else answer.read()
        answer.close()
        try:
            told = orjson.loads(text)
            return CouchError(answer.status, str(told.get("error", "")), str(told.get("reason", "")))
        except (orjson.JSONDecodeError, AttributeError):
            return CouchError(answer.status, "error", text[:200].decode("utf-8", "replace"))

    def json(self, method: str, path: str, *, body: object = None, **options: Any) -> Any:
        """Send a request whose body and answer are JSON; return the decoded answer."""
        return self.start_json(method, path, body=body, **options).json()

    def start_json(self, method: str, path: str, *, body: object = None, **options: Any) -> Pending:
        """Send a request whose body is JSON; its answer is awaited later."""
        headers = {**options.pop("headers", {})}
        if body is not None:
            headers["Content-Type"] = "application/json"
            body = orjson.dumps(body)
        return self.start(method, path, body=body, headers=headers, **options)

    def get(self, document_id: str, **options: Any) -> dict[str, Any] | None:
        """Return a document, or None when there is none."""
        try:
            found: dict[str, Any] = self.json("GET", segment(document_id), **options)
            return found
        except CouchError as problem:
            if problem.status == 404:
                return None
            raise


class Local:
    """A document of this database that is not replicated."""

    def __init__(self, couch: Couch, name: str) -> None:
        self._couch = couch
        self._path = f"_local/{name}"

    def read(self) -> dict[str, Any]:
        """Return what it says; nothing where it is not there."""
        try:
            told: dict[str, Any] = self._couch.json("GET", self._path)
        except CouchError as problem:
            if problem.status == 404:
                return {}
            raise
        return told

    def write(self, **values: object) -> None:
        """Say something else."""
        before = self.read()
        revision = {"_rev": before["_rev"]} if before else {}
        self._couch.json("PUT", self._path, body={**revision, **values}, writes=())


class Waiting(Protocol):
    """What can be given up."""

    def close(self) -> None:
        """Give the answer up."""


Sent = TypeVar("Sent", bound=Waiting)


def answers(asked: Iterable[Sent], answer: Callable[[Sent], Made]) -> list[Made]:
    """Return the answers of requests that CouchDB works on at a time; when one fails, those behind it are given up."""
    waiting: list[Sent] = []
    try:
        for one in asked:
            waiting.append(one)  # noqa: PERF402 - what was sent before one that cannot be sent is given up, too
        return [answer(waiting.pop(0)) for _ in range(len(waiting))]
    finally:
        for one in waiting:
            one.close()


def _encoded(value: object) -> str:
    """Return a query parameter's value; `urlencode` quotes words and numbers, too, at 10 us each."""
    if isinstance(value, str) and value.isascii() and value.isalnum():
        return value
    return quote(value if isinstance(value, str) else orjson.dumps(value), safe="")


def pieces(body: Body) -> Iterable[bytes | memoryview]:
    """Return a body in pieces, each of which a database that works takes at once."""
    if callable(body):
        return body()
    view = memoryview(body or b"")
    return (view[start : start + CHUNK] for start in range(0, len(view), CHUNK))


@contextmanager
def _together(sock: socket.socket) -> Iterator[None]:
    """Let head and body of a request leave in full packets: each packet wakes the database, which costs it more."""
    if not hasattr(socket, "TCP_CORK"):
        yield
        return
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
    try:
        yield
    finally:
        with suppress(OSError):  # of a connection that broke, which is told already
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)


def written_by(method: str, path: str, writes: Sequence[str] | None = None) -> Sequence[str] | None:
    """Return the ids of the documents that a request may write; None when that cannot be told.

    Parameters
    ----------
    method, path : str
        As `Couch.start` takes them.
    writes : sequence of str, optional
        What the caller says of it.
    """
    first, _, rest = path.partition("/")
    if method in ("GET", "HEAD") or first == "_all_docs":
        return ()
    if writes is not None:
        return writes
    if first == "_design":
        name, _, rest = rest.partition("/")
        kind, _, rest = rest.partition("/")
        if kind in ("_view", "_list", "_show"):
            return ()
        document = rest.partition("/")[2] if kind == "_update" else f"_design/{name}"
        return (unquote(document),) if document else None
    return None if method == "POST" or first.startswith("_") else (unquote(first),)


def _wrote_nothing(target: str, response: http.client.HTTPResponse) -> bool:
    """Return whether an update function of the design document answered without writing its document."""
    return "/_update/" in target and response.status < 400 and "X-Couch-Update-NewRev" not in response.headers


def segment(text: str) -> str:
    """Percent-encode one path segment; CouchDB reads a literal ``+`` as a blank, so that is encoded too."""
    return quote(text, safe=":")
