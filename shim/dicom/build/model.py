"""What building an instance works with: its error, received bulk data, and the file that is being written."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile

from dicouch.dicom.errors import OUT_OF_RESOURCES, DicomError
from dicouch.dicom.media.negotiate import MediaType
from dicouch.dicom.part10.byte_source import read_range
from dicouch.dicom.part10.encode import Stream

SPOOL_LIMIT = 1 << 20


class BuildError(DicomError):
    """An instance cannot be built from what was received."""


@dataclass(frozen=True)
class Bulk:
    """One received part of bulk data: where it lies in the request's scratch file, its Content-Type.

    Attributes
    ----------
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


class Scratch:
    """The bulk data of one request, one after the other in one file: however many parts, one descriptor."""

    def __init__(self, folder: str | None) -> None:
        self.file = SpooledTemporaryFile(SPOOL_LIMIT, dir=folder)  # closed by whoever made this
        self.size = 0

    def add(self, pieces: Iterable[bytes]) -> tuple[int, int]:
        """Append bytes; return their offset and length."""
        offset = self.size
        self.file.seek(offset)
        for piece in pieces:
            self.size += self.file.write(piece)
        return offset, self.size - offset

    def pieces(self, offset: int, length: int) -> Iterator[bytes]:
        """Yield a range, in pieces."""
        return read_range(self.file, offset, offset + length)

    def read(self, offset: int, length: int) -> bytes:
        """Return a short range."""
        self.file.seek(offset)
        return self.file.read(length)

    def stream(self, bulk: Bulk) -> Stream:
        """Return a part as a value."""
        return Stream(bulk.length, lambda: self.pieces(bulk.offset, bulk.length))


class Target:
    """The Part 10 file being written, with its size and digest."""

    def __init__(self, limit: int, folder: str | None) -> None:
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
