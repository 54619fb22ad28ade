"""Where the bytes of frames lie and what media type they have (PS3.18 8.7.3.3). Pure functions."""

from __future__ import annotations

import re

from dicouch.errors import DicomWebError

EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
EXPLICIT_BIG = "1.2.840.10008.1.2.2"

# Native syntaxes whose pixel data are big endian: the retired one, and GE's private one.
PIXELS_BIG = frozenset((EXPLICIT_BIG, "1.2.840.113619.5.2"))

# Transfer syntax UID to the media type of its compressed frames (PS3.18 Table 8.7.3-5).
COMPRESSED = {
    "1.2.840.10008.1.2.5": "image/dicom-rle",
    "1.2.840.10008.1.2.4.80": "image/jls",
    "1.2.840.10008.1.2.4.81": "image/jls",
    "1.2.840.10008.1.2.4.90": "image/jp2",
    "1.2.840.10008.1.2.4.91": "image/jp2",
    "1.2.840.10008.1.2.4.92": "image/jpx",
    "1.2.840.10008.1.2.4.93": "image/jpx",
    "1.2.840.10008.1.2.4.100": "video/mpeg",
    "1.2.840.10008.1.2.4.100.1": "video/mpeg",
    "1.2.840.10008.1.2.4.101": "video/mpeg",
    "1.2.840.10008.1.2.4.101.1": "video/mpeg",
    "1.2.840.10008.1.2.4.110": "image/jxl",
    "1.2.840.10008.1.2.4.111": "image/jxl",
    "1.2.840.10008.1.2.4.112": "image/jxl",
    "1.2.840.10008.1.2.4.201": "image/jphc",
    "1.2.840.10008.1.2.4.202": "image/jphc",
    "1.2.840.10008.1.2.4.203": "image/jphc",
}
OCTETS = "application/octet-stream"
# Encapsulated, yet of no media type of its own: uncompressed frames, and deflated ones (PS3.5 A.4.11, A.4.13).
_ENCAPSULATED = frozenset(("1.2.840.10008.1.2.1.98", "1.2.840.10008.1.2.8.1"))


def media_type(transfer_syntax: str) -> str:
    """Return the media type of frames in a transfer syntax (PS3.18 Table 8.7.3-5)."""
    if transfer_syntax in COMPRESSED:
        return COMPRESSED[transfer_syntax]
    if re.match(r"1\.2\.840\.10008\.1\.2\.4\.10[2-8]", transfer_syntax):
        return "video/mp4"
    if re.match(r"1\.2\.840\.10008\.1\.2\.4\.[5-7]\d$", transfer_syntax):
        return "image/jpeg"
    return OCTETS


def is_native(transfer_syntax: str) -> bool:
    """Return whether pixel data in a transfer syntax is not encapsulated (PS3.5 A.4)."""
    return media_type(transfer_syntax) == OCTETS and transfer_syntax not in _ENCAPSULATED


def frame_list(text: str) -> list[int]:
    """Return the frame numbers of a path (PS3.18 10.1.1): comma-separated, from 1, ascending and each once.

    Raises
    ------
    DicomWebError
        400, naming what is wrong with the list.
    """
    numbers = []
    for part in text.replace("%2C", ",").replace("%2c", ",").split(","):
        if not (part.isascii() and part.isdigit()) or len(part) > 9 or int(part) < 1:
            raise DicomWebError(
                400, f"frame numbers are whole numbers from 1 on, separated by commas, not {text[:80]!r}"
            )
        numbers.append(int(part))
    if any(first >= second for first, second in zip(numbers, numbers[1:], strict=False)):
        raise DicomWebError(400, f"a frame list is ascending and names each frame once, not {text[:80]!r}")
    return numbers


def clip(ranges: list[tuple[int, int]], start: int, end: int) -> list[tuple[int, int]]:
    """Return which parts of ascending byte ranges hold the bytes from `start` up to `end` of all of them together."""
    found, position = [], 0
    for low, high in ranges:
        first, last = max(start - position, 0), min(end - position, high - low)
        if first < last:
            found.append((low + first, low + last))
        position += high - low
    return found


def frame_ranges(frames: dict | None, number: int) -> list[tuple[int, int]]:
    """Return the byte ranges (start, end) of frame `number` (from 1) in the file.

    Raises
    ------
    DicomWebError
        404 if the instance has no such frame; the reason says how many it has.
    """
    if not frames:
        raise DicomWebError(404, "the instance has no pixel data")
    if number > frames["count"]:
        raise DicomWebError(404, f"there is no frame {number}: the instance has {frames['count']}")
    if "fragments" in frames:
        listed = frames["fragments"][number - 1]
        return [(listed[i], listed[i] + listed[i + 1]) for i in range(0, len(listed), 2)]
    start = frames["offset"] + (number - 1) * frames["length"]
    return [(start, start + frames["length"])]
