"""Files of the system: where a path leads, and the bytes of a range."""

from __future__ import annotations

import io
from pathlib import Path

FILE_CHUNK = 1 << 20


def resolved(path: Path) -> Path | None:
    """Return where a path leads; None for one that cannot be a path."""
    try:
        return path.resolve()
    except (ValueError, OSError, RuntimeError):  # a NUL character, one too long, links in a circle
        return None


class FileChunks:
    """The bytes of a range of a file, piece by piece; the file is opened at once, so removing it later does no harm.

    Parameters
    ----------
    path : Path
    start, end : int
    """

    def __init__(self, path: Path, start: int, end: int) -> None:
        self._source = io.FileIO(path)
        self._source.seek(start)
        self._left = end - start

    def __iter__(self) -> FileChunks:
        return self

    def __next__(self) -> bytes:
        piece = self._source.read(min(FILE_CHUNK, self._left)) if self._left > 0 else b""
        if not piece:
            self.close()
            raise StopIteration
        self._left -= len(piece)
        return piece

    def close(self) -> None:
        """Close the file."""
        self._left = 0
        self._source.close()
