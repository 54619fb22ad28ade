"""Cutting ranges out of a stream of bytes. Pure functions."""

from __future__ import annotations

from collections.abc import Iterator


def cut_out(chunks: Iterator[bytes], start: int, end: int) -> Iterator[bytes]:
    """Yield the bytes of `chunks` from `start` up to `end`."""
    position = 0
    for piece in chunks:
        low, high = max(start - position, 0), min(end - position, len(piece))
        if low < high:
            yield piece[low:high]
        position += len(piece)
        if position >= end:
            break


def begun(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Return an iterator whose first piece is there already, or raise what it comes to; closed, it closes `pieces`."""

    def going_on() -> Iterator[bytes]:
        try:
            first = next(pieces, b"")
            yield b""
            yield first
            yield from pieces
        finally:
            if hasattr(pieces, "close"):
                pieces.close()

    made = going_on()
    next(made)
    return made


def cut_ranges(chunks: Iterator[bytes], position: int, ranges: list[tuple[int, int]]) -> Iterator[bytes]:
    """Yield the bytes of `chunks`, which begin at `position`, that lie in ascending `ranges` (start, end)."""
    waiting = iter(ranges)
    start, end = next(waiting)
    for piece in chunks:
        last = position + len(piece)
        while start < last:
            if end > position:
                yield piece[max(start - position, 0) : end - position]
            if end > last:
                break
            following = next(waiting, None)
            if following is None:
                return
            start, end = following
        position = last
