"""A request's body; its early end and its length past a limit are errors that a client is told about."""

from __future__ import annotations

import sys
from typing import IO

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
