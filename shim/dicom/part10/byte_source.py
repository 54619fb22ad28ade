"""Reading a seekable file by absolute position through one bounded buffer."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from typing import Protocol

from dicouch.dicom.errors import OUT_OF_RESOURCES
from dicouch.dicom.part10.model import Unreadable

BLOCK = 64 * 1024  # the headers of most files fit in one block
_AFTER_JUMP = 4 * 1024  # read after a value that was skipped: little stands between large values
_PIECE = 256 * 1024


class Seekable(Protocol):
    """A file, as far as reading needs it."""

    def seek(self, offset: int, whence: int = ..., /) -> int: ...

    def read(self, size: int, /) -> bytes: ...


def read_range(file: Seekable, start: int, end: int) -> Iterator[bytes]:
    """Yield the bytes from `start` up to `end`, in pieces; the file may be moved between them."""
    while start < end:
        file.seek(start)
        piece = file.read(min(_PIECE, end - start))
        if not piece:
            return
        start += len(piece)
        yield piece


class ByteSource:
    """The part of a file that is in memory, and a way to move it.

    The walk reads `buffer` directly (``buffer[position - base]``) and calls `fill` when a position is outside.

    The buffer holds the bytes from `base` up to `limit`, absolute positions; `size` is what can really be read.
    """

    def __init__(self, file: Seekable, size: int) -> None:
        self.file = file
        self.size = min(size, file.seek(0, os.SEEK_END))
        self.buffer = b""
        self.base = self.limit = 0
        # A buffered file would read a whole block for each of many thousand eight-byte headers.
        self._fd = file.fileno() if isinstance(file, io.BufferedReader) else None

    def fill(self, position: int, need: int) -> None:
        """Move the buffer so that it starts at `position` and holds at least `need` bytes, or all up to the end."""
        if position >= self.base and position + need <= self.limit:
            return
        size = BLOCK if self.base <= position <= self.limit else _AFTER_JUMP
        self.buffer = self.read(position, max(size, need))
        self.base = position
        self.limit = position + len(self.buffer)

    def read(self, position: int, length: int) -> bytes:
        """Return up to `length` bytes from `position`, without moving the buffer."""
        if position >= self.base and position + length <= self.limit:
            return self.buffer[position - self.base : position - self.base + length]
        length = min(length, self.size - position)
        if length <= 0:
            return b""
        if self._fd is not None:
            data = os.pread(self._fd, length, position)
        else:
            self.file.seek(position)
            data = self.file.read(length)
        if len(data) < length:
            raise Unreadable(f"the file ends at byte {position + len(data)}", OUT_OF_RESOURCES)
        return data

    def find(self, pattern: bytes, position: int, end: int) -> int:
        """Return where `pattern` first begins in ``[position, end)``, or -1; reads block by block."""
        while position < end:
            chunk = self.read(position, min(16 * BLOCK, end - position))
            found = chunk.find(pattern)
            if found >= 0:
                return position + found
            if len(chunk) < len(pattern) or position + len(chunk) >= end:
                return -1
            position += len(chunk) - len(pattern) + 1
        return -1
