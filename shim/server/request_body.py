"""A request's body: whether a client may send it, its content coding, its early end and its length past a limit."""

from __future__ import annotations

import re
import sys
import zlib
from gzip import BadGzipFile, GzipFile
from typing import IO, Any, cast

from gunicorn.http import message
from gunicorn.http.errors import NoMoreData, ParseException

from dicouch.errors import DicomWebError


class RequestBody:
    """The body of a request.

    Parameters
    ----------
    stream : file object
        What the server gives.
    limit : int
        Most bytes.
    length : int or None
        Bytes that the request says it has; when a client goes away midway there are fewer.
    """

    def __init__(self, stream: IO[bytes], limit: int = sys.maxsize, length: int | None = None) -> None:
        self._stream = stream
        self._limit = limit
        self._length = length or 0
        self._taken = 0

    @property
    def taken(self) -> int:
        """Bytes that were read."""
        return self._taken

    def read(self, size: int = -1) -> bytes:
        """Read.

        Raises
        ------
        DicomWebError
            413 past the limit; 400 when the body is no HTTP, as with chunks that are none, or ends early; 408 when the
            client stalls. What comes before is read first.
        """
        if self._taken > self._limit:
            raise DicomWebError(413, f"the request is longer than the {self._limit} bytes this server takes")
        try:
            piece = self._stream.read(size)
        except BlockingIOError as problem:  # the bound of dicouch.server.worker
            raise DicomWebError(408, "the request's body did not go on", {"Connection": "close"}) from problem
        except (NoMoreData, ParseException, ConnectionError) as problem:
            raise DicomWebError(400, f"the request's body breaks off: {type(problem).__name__}") from problem
        before, self._taken = self._taken, self._taken + len(piece)
        if self._taken > self._limit:
            return piece[: self._limit - before] or self.read()
        if not piece and size and self._taken < self._length:
            raise DicomWebError(400, f"the body ends after {self._taken} of {self._length} bytes")
        return piece


class _Gunzipped:
    """What a gzip stream holds, read piece by piece."""

    def __init__(self, body: RequestBody) -> None:
        self._file = GzipFile(fileobj=cast(IO[bytes], body), mode="rb")

    def read(self, size: int = -1) -> bytes:
        """Read; what comes before an error is read first."""
        try:
            return self._file.read1(size)
        except (BadGzipFile, EOFError, zlib.error) as problem:
            raise DicomWebError(400, f"the request's body is no whole gzip: {problem}") from problem


def decoded(body: RequestBody, coding: str, limit: int) -> RequestBody:
    """Return a body without its ``Content-Encoding`` (RFC 9110 8.4).

    Raises
    ------
    DicomWebError
        415 for another than gzip. While reading: 413 past the limit, which counts what comes out.
    """
    names = [name for name in re.split(r"[\s,]+", coding.lower()) if name not in ("", "identity")]
    if not names:
        return body
    if len(names) > 1 or names[0] not in ("gzip", "x-gzip"):
        reason = f"the Content-Encoding {coding[:80]!r} is not known: gzip is, and no coding at all"
        raise DicomWebError(415, reason, {"Accept-Encoding": "gzip, identity"})
    return RequestBody(cast(IO[bytes], _Gunzipped(body)), limit)


class Request(message.Request):
    """A request whose ``Expect`` may be an empty list, which gunicorn takes for an unknown expectation."""

    def _apply_header_policy(self, name: str, value: str, *others: Any, **more: Any) -> tuple[str, str] | None:
        if name == "EXPECT":
            # A list (RFC 9110 10.1.1), whose empty elements do not count (5.6.1).
            members = {member.strip().lower() for member in value.split(",")} - {""}
            if not members:
                return None
            value = "100-continue" if members == {"100-continue"} else value
        return super()._apply_header_policy(name, value, *others, **more)
