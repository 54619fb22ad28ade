"""The frame numbers in a path (PS3.18 10.1.1)."""

from __future__ import annotations

from dicouch.errors import DicomWebError


def frame_list(text: str) -> list[int]:
    """Return the frame numbers of a path: comma-separated, from 1, ascending and each once; DicomWebError 400."""
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
