"""Reading ahead: while one instance is sent, the database is already asked for the next."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

Opener = Callable[[], Iterable[bytes]]
# A thread is busy only until the database begins to answer; what it sends then waits in the connection's buffers.
POOL = ThreadPoolExecutor(16, thread_name_prefix="ahead")


class Ahead:
    """Bodies that are opened one after the other, each while the one before is read.

    Parameters
    ----------
    openers : sequence of callable
        Each gives the pieces of a body, with a `close` method.
    """

    def __init__(self, openers: Sequence[Opener]):
        self._openers = openers
        self._next: tuple[int, Future] | None = None

    def opener(self, number: int) -> Opener:
        """Return what opens body `number`; the bodies must be opened in their order."""
        return lambda: self._open(number)

    def _open(self, number: int) -> Iterator[bytes]:
        following, self._next = self._next, None
        body = following[1].result() if following is not None and following[0] == number else self._openers[number]()
        if number + 1 < len(self._openers):
            self._next = number + 1, POOL.submit(self._openers[number + 1])
        return _Body(body, self.abandon)

    def abandon(self) -> None:
        """Close what was opened ahead: nobody will read it."""
        if self._next is not None:
            future, self._next = self._next[1], None
            if not future.cancel():
                future.add_done_callback(_close)


def _close(future: Future) -> None:
    if future.exception() is None:
        future.result().close()


class _Body:
    """A body; closed before its end, it tells that the next is not wanted either."""

    def __init__(self, pieces: Iterable[bytes], abandon: Callable[[], None]):
        self._source = pieces
        self._pieces = iter(pieces)
        self._abandon = abandon
        self._ended = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            return next(self._pieces)
        except StopIteration:
            self._ended = True
            raise
        except BaseException:
            self._abandon()
            raise

    def close(self) -> None:
        """Close the body, and the next when this one was not read to its end."""
        if not self._ended:
            self._abandon()
        if hasattr(self._source, "close"):
            self._source.close()
