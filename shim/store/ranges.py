"""Cutting ranges out of a stream of bytes, and beginning one before it is wanted."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from time import monotonic
from typing import TypeVar

T = TypeVar("T")
# What is made of an answer before it begins, so that its status tells what cannot be had of it: bytes, seconds.
AHEAD, AHEAD_SECONDS = 16 << 20, 2.0


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


def begun(source: Iterator[T], most: int = 0, size: Callable[[T], int] = len) -> Begun[T]:  # type: ignore[assignment]
    """Return an iterator whose beginning is there already, or raise what it comes to; closed, it closes `source`.

    The beginning is one item, and further ones until they have `most` bytes together, or took `AHEAD_SECONDS`.
    """
    made: deque[T] = deque()
    taken, end = 0, monotonic() + AHEAD_SECONDS
    for item in source:
        made.append(item)
        taken += size(item)
        if taken >= most or monotonic() > end:
            break
    return Begun(made, source)


class Begun(Iterator[T]):
    """Items that are there, and those that follow them."""

    def __init__(self, made: deque[T], rest: Iterator[T]) -> None:
        self._made = made
        self._rest = rest

    def __next__(self) -> T:
        return self._made.popleft() if self._made else next(self._rest)

    def close(self) -> None:
        """Close what the items come from."""
        self._made.clear()
        if hasattr(self._rest, "close"):
            self._rest.close()


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
