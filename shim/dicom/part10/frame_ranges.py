"""Byte ranges of frames, from where an instance's pixel data lie (`dicouch.dicom.part10.find_frames`)."""

from __future__ import annotations

from typing import Any

from dicouch.dicom.errors import NoSuchFrame

Ranges = list[tuple[int, int]]
"""Start and end (exclusive) of pieces that belong together, in bytes of the file."""


def clip(ranges: Ranges, start: int, end: int) -> Ranges:
    """Return which parts of ascending byte ranges hold the bytes from `start` up to `end` of all of them together."""
    found, position = [], 0
    for low, high in ranges:
        first, last = max(start - position, 0), min(end - position, high - low)
        if first < last:
            found.append((low + first, low + last))
        position += high - low
    return found


def frame_ranges(frames: dict[str, Any] | None, number: int) -> Ranges:
    """Return the byte ranges of frame `number` (from 1) in the file.

    Raises
    ------
    NoSuchFrame
        The instance has no such frame; the reason says how many it has.
    """
    if not frames:
        raise NoSuchFrame("the instance has no pixel data")
    if number > frames["count"]:
        raise NoSuchFrame(f"there is no frame {number}: the instance has {frames['count']}")
    if "fragments" in frames:
        listed = frames["fragments"][number - 1]
        return [(listed[i], listed[i] + listed[i + 1]) for i in range(0, len(listed), 2)]
    start = frames["offset"] + (number - 1) * frames["length"]
    return [(start, start + frames["length"])]
