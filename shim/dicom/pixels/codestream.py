"""What a compressed image or video says of itself, before a decoder is let loose on it.

A frame that is decoded tells its size. PS3.18 10.5.2 lets a client that stores leave the Image Pixel Description Macro
out for the media types of Table 10.5.2-1, and no media type names its transfer syntax: both are read from the first
bytes of the stream.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from struct import unpack_from

from pydicom import uid

HEAD = 1 << 20
"""Bytes of a stream that are looked at: colour profiles may precede what counts."""

_JPEG: dict[int, str] = {0xC0: uid.JPEGBaseline8Bit, 0xC1: uid.JPEGExtended12Bit}
# Markers of JPEG (ITU-T T.81 Table B.1) and JPEG-LS (T.87) that begin a frame header; those that have no length.
_FRAME_HEADERS = frozenset((*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0), 0xF7))
_ALONE = frozenset((0x01, *range(0xD0, 0xD9)))
_LOSSLESS = frozenset((0xC3, 0xF7))
_SCAN = 0xDA
_JPEG_2000 = b"\xff\x4f\xff\x51"
_SYCC = b"colr\x01\0\0\0\0\0\x12"  # the enumerated colour space 18 (ISO 15444-1 I.5.3.3); a decoder makes RGB of it


@dataclass(frozen=True)
class Header:
    """The header of a JPEG, JPEG-LS or JPEG 2000 code stream.

    0 rows: the height is told at the end only. `precision` is the bits of the first component. `colours` is ``RGB`` or
    ``YBR_FULL`` where the stream says so, of JPEG 2000 what its decoder makes of it; empty where it says nothing, and
    Photometric Interpretation counts (PS3.5 8.2.1).
    """

    rows: int
    columns: int
    components: int
    precision: int
    colours: str = ""


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
    with suppress(struct.error, IndexError):  # cut off
        if data.startswith(b"\xff\xd8"):
            found = _jpeg_headers(data)
            return found[1] if found else None
        # A code stream, or a JP2 file with one in it.
        start = data.find(_JPEG_2000, 0, 65536)
        if start >= 0:
            header = _image_size(data, start)[0]
            return replace(header, colours="RGB") if _becomes_rgb(data, start, header) else header
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


def _jpeg_headers(data: bytes) -> tuple[int, Header, bytes, int] | None:
    """Return marker, frame header, components and the place of the first scan, 0 without one.

    ITU-T T.81 B.2 and, for JPEG-LS, T.87 C.2.
    """
    jfif, adobe, found = False, None, None
    for marker, position in _segments(data):
        length = unpack_from(">H", data, position + 2)[0]
        if marker == 0xE0 and data.startswith(b"JFIF\0", position + 4):
            jfif = True
        elif marker == 0xEE and length >= 14 and data.startswith(b"Adobe", position + 4):
            adobe = data[position + 15]
        elif marker in _FRAME_HEADERS and found is None:
            precision, rows, columns, components = unpack_from(">BHHB", data, position + 4)
            found = marker, Header(rows, columns, components, precision), data[position + 10 : position + 2 + length]
        elif marker == _SCAN:
            break
    else:
        position = 0
    if found is None:
        return None
    marker, header, components = found
    colours = _jpeg_colours(marker, components[0:9:3], jfif, adobe) if header.components == 3 else ""
    return marker, replace(header, colours=colours), components, position


def _jpeg_colours(marker: int, names: bytes, jfif: bool, adobe: int | None) -> str:
    """Return what a stream of three components says of them, as libjpeg-turbo understands it.

    T.81 says nothing of colours: JFIF (ITU-T T.871), Adobe's marker (T.872 6.5.3) and the names of the components do.
    No decoder transforms the lossless processes, and pydicom does not heed Adobe's marker there.
    """
    if marker in _LOSSLESS:
        return "RGB" if names in (b"RGB", b"rgb") else "YBR_FULL" if jfif else ""
    if jfif or adobe is not None:
        return "YBR_FULL" if jfif or adobe else "RGB"
    return "RGB" if names == b"RGB" else ""


def sequential_scans(data: bytes) -> bytes:
    """Return a JPEG stream of a sequential process with scan headers that say so: 0, 63, 0, 0 (ITU-T T.81 Table B.3).

    The values have no other meaning there. Some writers have another, which the one decoder of 12 bits refuses.
    """
    with suppress(struct.error, IndexError):  # cut off
        found = _jpeg_headers(data)
        if found is None or found[0] not in _JPEG or not found[3]:
            return data
        mended, position = bytearray(data), found[3]
        while position >= 0:
            last = position + 2 + unpack_from(">H", data, position + 2)[0]
            mended[last - 3 : last] = b"\0\x3f\0"
            # Within a scan a zero follows each 0xFF that is no marker.
            position = data.find(b"\xff\xda", last)
        return bytes(mended)
    return data


def _image_size(data: bytes, start: int) -> tuple[Header, bool]:
    """Return what the SIZ marker segment says (ITU-T T.800 A.5.1), and whether the first component is signed."""
    right, bottom, left, top = unpack_from(">4I", data, start + 8)
    components, precision = unpack_from(">HB", data, start + 40)
    return Header(bottom - top, right - left, components, (precision & 0x7F) + 1), bool(precision & 0x80)


def _becomes_rgb(data: bytes, start: int, header: Header) -> bool:
    """Return whether OpenJPEG makes RGB of an image: it reverses transforms of components, and converts YCbCr.

    YCbCr is what a JP2 file calls so, and what has the second component subsampled.
    """
    with suppress(IndexError):  # cut off
        subsampled = data[start + 43] == data[start + 44] and data[start + 46] != 1
        coded = subsampled or _SYCC in data[:start] or bool(_coding_style(data, start)[0] & 1)
        return header.components == 3 and coded
    return False


def _coding_style(data: bytes, start: int) -> tuple[int, bool, bool]:
    """Return whether the components are transformed, whether reversibly, and whether it is of Part 15.

    ITU-T T.800 A.6.1; Part 15 is told by its capabilities segment (T.814 A.3).
    """
    position, high_throughput = start + 4 + unpack_from(">H", data, start + 4)[0], False
    while data[position] == 0xFF and data[position + 1] not in (0x52, 0x90):
        high_throughput |= data[position + 1] == 0x50
        position += 2 + unpack_from(">H", data, position + 2)[0]
    if data[position + 1] != 0x52:
        raise IndexError
    return data[position + 8], data[position + 13] == 1, high_throughput


def _jpeg(data: bytes) -> Codestream | None:
    found = _jpeg_headers(data)
    if found is None or not found[3]:
        return None
    marker, frame, components, position = found
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
        photometric = frame.colours or ("RGB" if marker in _LOSSLESS else "YBR_FULL")
        if photometric == "YBR_FULL" and components[1] != 0x11:
            photometric = "YBR_FULL_422"
    return Codestream(syntax, frame.rows, frame.columns, frame.components, frame.precision, photometric, kind)


def _jpeg_2000(data: bytes) -> Codestream | None:
    size, signed = _image_size(data, 0)
    transform, reversible, high_throughput = _coding_style(data, 0)
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
