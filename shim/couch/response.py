"""Answers of CouchDB: bodies that are read piece by piece, and errors."""

from __future__ import annotations

import http.client
import logging
import socket
import time
from collections.abc import Callable, Generator, Iterator
from typing import Any

import orjson

from dicouch.couch import patience
from dicouch.errors import DicomWebError

CHUNK = 256 * 1024
LOG = logging.getLogger(__name__)


class CouchError(Exception):
    """An answer of CouchDB with a status of 400 or more.

    Attributes
    ----------
    status : int
    error, reason : str
        As CouchDB worded them.
    """

    def __init__(self, status: int, error: str, reason: str) -> None:
        super().__init__(f"{status} {error}: {reason}")
        self.status = status
        self.error = error
        self.reason = reason

    @classmethod
    def of_row(cls, row: dict[str, Any]) -> CouchError:
        """Return what a row of the answer of ``_bulk_docs`` says of a document that was not written."""
        error = str(row["error"])
        status = {"conflict": 409, "forbidden": 403, "unauthorized": 401}.get(error, 500)
        return cls(status, error, str(row.get("reason", "")))


class Answer:
    """A response whose body has not been read yet. Use it as a context manager, or call `close`."""

    def __init__(
        self,
        response: http.client.HTTPResponse,
        release: Callable[[bool], None],
        observe: Callable[[float], None] = lambda seconds: None,
        sock: socket.socket | None = None,
        timeout: float = 0.0,
    ) -> None:
        self._response = response
        self._release = release
        self._observe = observe
        self._socket = sock
        self._timeout = timeout
        self._open = True
        self.status = response.status
        self.headers = response.headers

    def read(self) -> bytes:
        """Return the rest of the body and give the connection back.

        Raises
        ------
        DicomWebError
            502 when it breaks off, 503 when nothing comes for too long.
        """
        started = time.perf_counter()
        try:
            with patience.waiting(self._timeout) as seconds:
                patience.bound(self._socket, seconds)
                return self._response.read()
        except TimeoutError as problem:
            raise patience.exhausted(problem) from problem
        except (OSError, http.client.HTTPException) as problem:
            raise DicomWebError(502, f"the database's answer breaks off: {type(problem).__name__}") from problem
        finally:
            self._observe(time.perf_counter() - started)
            self.close()

    def chunks(self, size: int = CHUNK) -> Iterator[bytes]:
        """Yield the body piece by piece; leaving early closes the connection. DicomWebError 503 as `read`."""
        try:
            while True:
                with patience.waiting(self._timeout) as seconds:
                    patience.bound(self._socket, seconds)
                    piece = self._response.read(size)
                if not piece:
                    return
                yield piece
        except TimeoutError as problem:
            raise patience.exhausted(problem) from problem
        finally:
            self.close()

    def rows(self) -> Generator[dict[str, Any], None, None]:
        """Yield the rows of ``_all_docs`` or its ``queries`` as they come: CouchDB gives each a line of its own.

        Raises
        ------
        DicomWebError
            502 when the answer breaks off.
        """
        last = rest = b""
        for chunk in self.chunks():
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                if line.startswith((b'{"id":', b'{"key":')):
                    yield orjson.loads(line.rstrip(b",\r"))
                last = line or last
        if not (rest or last).startswith(b"]"):
            raise DicomWebError(502, "the database's answer breaks off")

    def lines(self) -> Iterator[bytes]:
        """Yield the lines of the body as they come.

        Raises
        ------
        DicomWebError
            502 when it breaks off, or nothing comes for too long.
        """
        patience.bound(self._socket, self._timeout)
        try:
            while line := self._response.readline():
                yield line
        except (OSError, http.client.HTTPException) as problem:
            raise DicomWebError(502, f"the database's answer breaks off: {type(problem).__name__}") from problem
        finally:
            self.close()

    def close(self) -> None:
        """Give the connection back to the pool, or drop it when part of the body is unread."""
        if self._open:
            self._open = False
            self._release(self._response.isclosed())

    def __enter__(self) -> Answer:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()


def told(problem: CouchError) -> DicomWebError:
    """Return what a client is told of a CouchDB error."""
    if problem.status in (401, 403):
        headers = {"WWW-Authenticate": 'Basic realm="dicouch"'} if problem.status == 401 else {}
        return DicomWebError(problem.status, f"the database refuses: {problem.reason}", headers)
    if problem.status == 404:
        return DicomWebError(
            503, f"the database is not set up ({problem.reason}): run `make push-views`", {"Retry-After": "5"}
        )
    if problem.status == 413:
        return DicomWebError(413, f"the database refuses the size: {problem.reason}")
    # Also of an index that is being built for longer than CouchDB waits, and that it goes on building.
    if problem.error == "timeout":
        return DicomWebError(503, f"the database takes too long: {problem.reason}", {"Retry-After": "30"})
    # A function of the design document that failed: the trace is for the log, not for the client.
    LOG.error("the database answered %s", problem)
    return DicomWebError(502, f"the database answered {problem.status} {problem.error}; the log says more")
