"""A zip file written while it is sent (``application/zip``): entries are stored, not compressed, and of any size."""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Iterable, Iterator
from typing import Any


class _Outlet(io.RawIOBase):
    """A file that cannot seek and hands on what was written."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, data: Any, /) -> int:
        self._pieces.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        """Return what was written since the last time."""
        data = b"".join(self._pieces)
        self._pieces.clear()
        return data


def write_zip(entries: Iterable[tuple[str, Iterable[bytes]]]) -> Iterator[bytes]:
    """Yield a zip file of (name, pieces) piece by piece; an entry is asked for when the one before is sent."""
    outlet = _Outlet()
    now = time.gmtime()[:6]
    with zipfile.ZipFile(outlet, "w", zipfile.ZIP_STORED) as archive:
        for name, pieces in entries:
            # Sizes follow the data: they are not known yet, and may pass 4 GB.
            with archive.open(zipfile.ZipInfo(name, max(now, (1980, 1, 1, 0, 0, 0))), "w", force_zip64=True) as entry:
                for piece in pieces:
                    entry.write(piece)
                    yield outlet.take()
            yield outlet.take()
    yield outlet.take()
