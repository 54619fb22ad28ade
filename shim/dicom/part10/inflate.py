"""Deflated files (PS3.5 A.5): the inflated stream, in which their byte ranges count."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from tempfile import SpooledTemporaryFile
from typing import IO

from dicouch.dicom.part10.byte_source import BLOCK, ByteSource
from dicouch.dicom.part10.meta import read_meta
from dicouch.dicom.part10.model import TooMuch, Unreadable, Warnings

# A deflated data set may inflate to this many bytes, or to so many times the file, whichever is more.
INFLATED_LIMIT, INFLATED_RATIO = 256 * 1024 * 1024, 100
SPOOLED = 8 * 1024 * 1024  # bytes of an inflated file that stay in memory


def inflate(source: ByteSource, start: int, target: IO[bytes], warnings: Warnings) -> int:
    """Write a file with its data set, which begins at `start`, inflated; return how many bytes that are.

    Raises
    ------
    Unreadable
        The data set is not deflated, or inflates beyond the limit.
    """
    limit = max(INFLATED_LIMIT, INFLATED_RATIO * source.size)
    position = 0
    while position < start:
        position += target.write(source.read(position, min(BLOCK, start - position)))
    # RFC 1951; some writers add the header of RFC 1950.
    zlib_header = source.read(position, 2)
    wrapped = len(zlib_header) == 2 and zlib_header[0] & 0x0F == 8 and int.from_bytes(zlib_header, "big") % 31 == 0
    inflater = zlib.decompressobj(zlib.MAX_WBITS if wrapped else -zlib.MAX_WBITS)
    written = start
    try:
        while position < source.size and not inflater.eof:
            chunk = source.read(position, min(BLOCK, source.size - position))
            position += len(chunk)
            while chunk and not inflater.eof:
                written += target.write(inflater.decompress(chunk, 16 * BLOCK))
                if written > limit:
                    raise TooMuch(f"inflates to more than {limit} bytes")
                chunk = inflater.unconsumed_tail
    except zlib.error:
        if written == start:
            raise Unreadable("the data set is not deflated as its transfer syntax says") from None
        warnings.add("The deflated data set is damaged; what precedes the damage is read.")
    else:
        if not inflater.eof:
            warnings.add("The deflated data set is cut off.")
    return written


def open_inflated(pieces: Iterable[bytes]) -> IO[bytes]:
    """Return a Part 10 file with its data set inflated in place; the caller closes it."""
    inflated = SpooledTemporaryFile(max_size=SPOOLED)
    with SpooledTemporaryFile(max_size=SPOOLED) as file:
        for piece in pieces:
            file.write(piece)
        source = ByteSource(file, file.tell())
        warnings = Warnings()
        inflate(source, read_meta(source, warnings).start, inflated, warnings)
    return inflated
