"""What a compressed image or video says of itself, before a decoder is let loose on it.

A frame that is decoded tells its size. PS3.18 10.5.2 lets a client that stores leave the Image Pixel Description Macro
out for the media types of Table 10.5.2-1, and no media type names its transfer syntax: both are read from the first
bytes of the stream.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from struct import unpack_from

from pydicom import uid

HEAD = 1 << 20
"""Bytes of a stream that are looked at: colour profiles may precede what counts."""

_JPEG: dict[int, str] = {0xC0: uid.JPEGBaseline8Bit, 0xC1: uid.JPEGExtended12Bit}
# Markers of JPEG (ITU-T T.81 Table B.1) and JPEG-LS (T.87) that begin a frame header; those that have no length.
_FRAME_HEADERS = frozenset((*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0), 0xF7))
_ALONE = frozenset((0x01, *range(0xD0, 0xD9)))
_SCAN = 0xDA
_JPEG_2000 = b"\xff\x4f\xff\x51"


@dataclass(frozen=True)
class Header:
    """The header of a JPEG, JPEG-LS or JPEG 2000 code stream.

    0 rows: the height is told at the end only. `precision` is the bits of the first component.
    """

    rows: int
    columns: int
    components: int
    precision: int


@dataclass(frozen=True)
class Codestream:
    """What a stream says of itself.

    Attributes
    ----------
    transfer_syntax : str
        UID; empty when DICOM has none for it.
    photometric : str
        Photometric Interpretation (PS3.3 C.7.6.3.1.2).
    kind : str
        What it is, for messages.
    """

    transfer_syntax: str
    rows: int
    columns: int
    samples: int
    bits: int
    photometric: str
    kind: str
    signed: bool = False


def read_header(data: bytes) -> Header | None:
    """Return the header of a code stream, or None when it is of no known kind."""
    with suppress(struct.error):  # cut off
        if data.startswith(b"\xff\xd8"):
            frames = (_frame_header(data, place) for marker, place in _segments(data) if marker in _FRAME_HEADERS)
            return next(frames, None)
        # A code stream, or a JP2 file with one in it.
        start = data.find(_JPEG_2000, 0, 65536)
        return _image_size(data, start)[0] if start >= 0 else None
    return None


def identify(head: bytes) -> Codestream | None:
    """Return what the beginning of a stream says, or None when it is of no known kind.

    Parameters
    ----------
    head : bytes
        The first bytes, up to `HEAD`; of an MP4 file, whose index may come last, also its last bytes.
    """
    with suppress(struct.error, IndexError):  # cut off
        if head.startswith(b"\xff\xd8"):
            return _jpeg(head)
        if head.startswith(_JPEG_2000):
            return _jpeg_2000(head)
        if head.startswith((b"\0\0\1\xb3", b"\0\0\1\xba")):
            return _mpeg2(head)
        if head[4:8] == b"ftyp":
            return _mp4(head)
    return None


def jpeg_2000_start(head: bytes) -> int:
    """Return where the code stream of a JP2 file begins (ISO 15444-1 I.5.4), 0 when `head` is no JP2 file.

    DICOM keeps nothing else of it.
    """
    if head[4:8] != b"jP  ":
        return 0
    position = 0
    while position + 16 <= len(head):
        length, kind = unpack_from(">I4s", head, position)
        header = 8
        if length == 1:
            length, header = unpack_from(">Q", head, position + 8)[0], 16
        if kind == b"jp2c":
            return position + header
        if length < header:
            break
        position += length
    return 0


def _segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield marker and position of the marker segments of a JPEG or JPEG-LS stream, from its first on."""
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:
            position += 1
        elif marker in _ALONE:
            position += 2
        else:
            yield marker, position
            position += 2 + unpack_from(">H", data, position + 2)[0]


def _frame_header(data: bytes, position: int) -> Header:
    precision, rows, columns, components = unpack_from(">BHHB", data, position + 4)
    return Header(rows, columns, components, precision)


def _image_size(data: bytes, start: int) -> tuple[Header, bool]:
    """Return what the SIZ marker segment says (ITU-T T.800 A.5.1), and whether the first component is signed."""
    right, bottom, left, top = unpack_from(">4I", data, start + 8)
    components, precision = unpack_from(">HB", data, start + 40)
    return Header(bottom - top, right - left, components, (precision & 0x7F) + 1), bool(precision & 0x80)


def _jpeg(data: bytes) -> Codestream | None:
    """ITU-T T.81 B.2 and, for JPEG-LS, T.87 C.2."""
    adobe, found = None, None
    for marker, position in _segments(data):
        if marker == 0xEE and data[position + 4 : position + 9] == b"Adobe":
            adobe = data[position + 15]
        elif marker in _FRAME_HEADERS:
            end = position + 2 + unpack_from(">H", data, position + 2)[0]
            found = (marker, _frame_header(data, position), data[position + 10 : end])
        elif marker == _SCAN:
            return _jpeg_scan(*found, adobe, data, position) if found else None
    return None


def _jpeg_scan(
    marker: int, frame: Header, components: bytes, adobe: int | None, data: bytes, position: int
) -> Codestream:
    parameters = position + 5 + 2 * data[position + 4]
    syntax: str
    if marker == 0xF7:
        syntax, kind = (uid.JPEGLSNearLossless if data[parameters] else uid.JPEGLSLossless), "JPEG-LS"
    elif marker == 0xC3:
        syntax, kind = (uid.JPEGLosslessSV1 if data[parameters] == 1 else uid.JPEGLossless), "lossless JPEG"
    else:
        syntax, kind = _JPEG.get(marker, ""), "progressive JPEG" if marker == 0xC2 else "JPEG"
    photometric = "MONOCHROME2"
    if frame.components == 3:
        subsampled = components[1] != 0x11
        photometric = "YBR_FULL_422" if subsampled else "YBR_FULL"
        # T.81 says nothing of colours: Adobe's marker and the letters R, G, B as identifiers do.
        if marker in (0xC3, 0xF7) or adobe == 0 or components[0:9:3] == b"RGB":
            photometric = "RGB"
    return Codestream(syntax, frame.rows, frame.columns, frame.components, frame.precision, photometric, kind)


def _jpeg_2000(data: bytes) -> Codestream | None:
    """ITU-T T.800 A.5, A.6; Part 15 is told by its capabilities segment (T.814 A.3)."""
    size, signed = _image_size(data, 0)
    position, high_throughput = 4 + unpack_from(">H", data, 4)[0], False
    while data[position] == 0xFF and data[position + 1] not in (0x52, 0x90):
        high_throughput |= data[position + 1] == 0x50
        position += 2 + unpack_from(">H", data, position + 2)[0]
    if data[position + 1] != 0x52:
        return None
    transform, reversible = data[position + 8], data[position + 13] == 1
    if high_throughput:
        syntax, kind = (uid.HTJ2KLossless if reversible else uid.HTJ2K), "High-Throughput JPEG 2000"
    else:
        syntax, kind = (uid.JPEG2000Lossless if reversible else uid.JPEG2000), "JPEG 2000"
    photometric = "MONOCHROME2"
    if size.components == 3:
        photometric = ("YBR_RCT" if reversible else "YBR_ICT") if transform & 1 else "RGB"
    return Codestream(syntax, size.rows, size.columns, size.components, size.precision, photometric, kind, signed)


def _mpeg2(data: bytes) -> Codestream | None:
    """ISO 13818-2 6.2.2: the sequence header and its extension."""
    start = data.find(b"\0\0\1\xb3")
    if start < 0:
        return None
    size = int.from_bytes(data[start + 4 : start + 7], "big")
    extension = data.find(b"\0\0\1\xb5", start)
    level = unpack_from(">H", data, extension + 4)[0] >> 4 & 0x0F if extension >= 0 else 8
    syntax = uid.MPEG2MPHL if level in (4, 6) else uid.MPEG2MPML
    return _video(syntax, size & 0xFFF, size >> 12, "MPEG-2")


def _mp4(data: bytes) -> Codestream | None:
    """ISO 14496-12 12.1.3 and -15 5.3.3: the visual sample entry and its decoder configuration."""
    for entry in (b"avc1", b"hvc1", b"hev1"):
        start = data.find(entry, max(data.find(b"stsd"), 0))
        if start < 0:
            continue
        columns, rows = unpack_from(">HH", data, start + 28)
        configuration = data.find(b"avcC" if entry == b"avc1" else b"hvcC", start)
        if entry == b"avc1":
            level_42 = configuration >= 0 and data[configuration + 7] == 42
            return _video(uid.MPEG4HP422D if level_42 else uid.MPEG4HP41, rows, columns, "H.264")
        ten_bits = configuration >= 0 and data[configuration + 5] & 0x1F == 2
        return _video(uid.HEVCM10P51 if ten_bits else uid.HEVCMP51, rows, columns, "H.265")
    return None


def _video(syntax: str, rows: int, columns: int, kind: str) -> Codestream:
    return Codestream(syntax, rows, columns, 3, 8, "YBR_PARTIAL_420", kind)
