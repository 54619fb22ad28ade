"""What a compressed frame says of itself: its size, before a decoder is let loose on it."""

from __future__ import annotations

from dataclasses import dataclass
from struct import error, unpack_from

# Markers of JPEG (ITU-T T.81 Table B.1) and JPEG-LS (T.87) that begin a frame header.
_FRAME_HEADERS = frozenset((*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0), 0xF7))
_ALONE = frozenset((0x01, *range(0xD0, 0xD9)))
_J2K_START = b"\xff\x4f\xff\x51"


@dataclass(frozen=True)
class Codestream:
    """The header of a JPEG, JPEG-LS or JPEG 2000 code stream.

    Attributes
    ----------
    rows, columns : int
        0 rows: the height is told at the end only.
    components : int
    precision : int
        Bits of the first component.
    """

    rows: int
    columns: int
    components: int
    precision: int


def read_header(data: bytes) -> Codestream | None:
    """Return the header of a code stream, or None when it is none that is known here."""
    try:
        if data.startswith(b"\xff\xd8"):
            return _jpeg(data)
        # A code stream, or a JP2 file with one in it.
        start = data.find(_J2K_START, 0, 65536)
        return _jpeg_2000(data, start) if start >= 0 else None
    except error:  # cut off
        return None


def _jpeg(data: bytes) -> Codestream | None:
    position = 2
    while position + 4 <= len(data):
        if data[position] != 0xFF:
            return None
        marker = data[position + 1]
        if marker == 0xFF:
            position += 1
            continue
        if marker in _ALONE:
            position += 2
            continue
        if marker in _FRAME_HEADERS:
            precision, rows, columns, components = unpack_from(">BHHB", data, position + 4)
            return Codestream(rows, columns, components, precision)
        position += 2 + unpack_from(">H", data, position + 2)[0]
    return None


def _jpeg_2000(data: bytes, start: int) -> Codestream:
    # ITU-T T.800 A.5.1: the SIZ marker segment.
    right, bottom, left, top = unpack_from(">4I", data, start + 8)
    components, precision = unpack_from(">HB", data, start + 40)
    return Codestream(bottom - top, right - left, components, (precision & 0x7F) + 1)
