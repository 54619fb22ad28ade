"""What building an instance works with: its failures, received bulk data, and the file that is being written."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile

from dicouch.dicom.media.negotiate import MediaType

SPOOL_LIMIT = 1 << 20
CHUNK = 256 * 1024

# Failure reasons (PS3.18 Table I.2-2; A7xx, A9xx and Cxxx leave the last digits to the server).
OUT_OF_RESOURCES = 0xA700
PIXELS_DO_NOT_FIT = 0xA900
MISSING_BULK_DATA = 0xA922
MISSING_ATTRIBUTE = 0x0120
CANNOT_UNDERSTAND = 0xC000
UNSUPPORTED_SYNTAX = 0xC122


class BuildError(ValueError):
    """An instance cannot be built from what was received.

    Parameters
    ----------
    reason : str
        What was wrong, for the sender.
    failure_reason : int
        The value for Failure Reason (0008,1197).
    """

    def __init__(self, reason: str, failure_reason: int = CANNOT_UNDERSTAND):
        super().__init__(reason)
        self.reason = reason
        self.failure_reason = failure_reason


@dataclass(frozen=True)
class Bulk:
    """One received part of bulk data.

    Attributes
    ----------
    offset, length : int
        Where it lies in the request's scratch file.
    media : MediaType
        Its Content-Type; ``application/octet-stream`` when it named none.
    frame : int
        The frame that a Content-Location ending in ``/frames/{n}`` names, else 0.
    number : int
        Position of the part in the request.
    """

    offset: int
    length: int
    media: MediaType
    frame: int = 0
    number: int = 0


@dataclass(frozen=True)
class Stream:
    """A value too long for memory.

    Attributes
    ----------
    length : int or None
        Bytes; None for encapsulated pixel data, whose length is undefined (PS3.5 A.4).
    pieces : callable
        Gives the bytes, anew on every call.
    """

    length: int | None
    pieces: Callable[[], Iterable[bytes]]


class Scratch:
    """The bulk data of one request, one after the other in one file: however many parts, one descriptor.

    Parameters
    ----------
    folder : str or None
        Where the file is made once it outgrows memory.
    """

    def __init__(self, folder: str | None):
        self._file = SpooledTemporaryFile(SPOOL_LIMIT, dir=folder)  # closed by `close`
        self.size = 0

    def add(self, pieces: Iterable[bytes]) -> tuple[int, int]:
        """Append bytes; return their offset and length."""
        offset = self.size
        self._file.seek(offset)
        for piece in pieces:
            self.size += self._file.write(piece)
        return offset, self.size - offset

    def pieces(self, offset: int, length: int) -> Iterator[bytes]:
        """Yield a range, in pieces."""
        end = offset + length
        while offset < end:
            self._file.seek(offset)
            piece = self._file.read(min(CHUNK, end - offset))
            offset += len(piece)
            yield piece

    def read(self, offset: int, length: int) -> bytes:
        """Return a short range."""
        self._file.seek(offset)
        return self._file.read(length)

    def stream(self, bulk: Bulk) -> Stream:
        """Return a part as a value."""
        return Stream(bulk.length, lambda: self.pieces(bulk.offset, bulk.length))

    def close(self) -> None:
        """Give the file back."""
        self._file.close()


class Target:
    """The Part 10 file being written, with its size and digest.

    Parameters
    ----------
    limit : int
        Most bytes of an instance.
    folder : str or None
        Where the file is made once it outgrows memory.
    """

    def __init__(self, limit: int, folder: str | None):
        self.file = SpooledTemporaryFile(SPOOL_LIMIT, dir=folder)  # handed on, or closed by whoever made this
        self.size = 0
        self.limit = limit
        self.digest = hashlib.sha256()

    def write(self, data: bytes) -> None:
        """Append bytes; `BuildError` past the limit."""
        self.size += len(data)
        if self.size > self.limit:
            raise BuildError(f"the instance is larger than the {self.limit} bytes this server takes", OUT_OF_RESOURCES)
        self.digest.update(data)
        self.file.write(data)
