"""A request's body whose early end is an error that a client is told about."""

from __future__ import annotations

from typing import IO

from gunicorn.http.errors import NoMoreData, ParseException

from dicouch.errors import DicomWebError


class RequestBody:
    """The body of a request.

    Parameters
    ----------
    stream : file object
        What the server gives.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream

    def read(self, size: int = -1) -> bytes:
        """Read.

        Raises
        ------
        DicomWebError
            400 when the body is no HTTP, as with chunks that are none, or breaks off; 408 when the client stalls.
        """
        try:
            return self._stream.read(size)
        except BlockingIOError as problem:  # the bound of dicouch.server.worker
            raise DicomWebError(408, "the request's body did not go on", {"Connection": "close"}) from problem
        except (NoMoreData, ParseException, ConnectionError) as problem:
            raise DicomWebError(400, f"the request's body breaks off: {type(problem).__name__}") from problem
