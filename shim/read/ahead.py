"""Reading ahead: while one instance is sent, the database is asked for the next, and for where those around it are."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

from dicouch.couch.client import Pending
from dicouch.couch.memory import Memory, Token
from dicouch.couch.response import CouchError
from dicouch.errors import DicomWebError
from dicouch.read.retrieve import Retriever, Stored, stored_in_row
from dicouch.rewrite import requests

Opener = Callable[[], Iterable[bytes]]
# A thread is busy only until the database begins to answer; what it sends then waits in the connection's buffers.
POOL = ThreadPoolExecutor(16, thread_name_prefix="ahead")
# Instances of the beginning of a series that are read beside the first one, and behind others.
BEGINNING = 16
SPAN = 64
# Seconds for which an answer waits for what is read beside it.
PATIENCE = 0.03


class Ahead:
    """Bodies that are opened one after the other, each while the one before is read.

    Parameters
    ----------
    openers : sequence of callable
        Each gives the pieces of a body, with a `close` method.
    """

    def __init__(self, openers: Sequence[Opener]) -> None:
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

    def __init__(self, pieces: Iterable[bytes], abandon: Callable[[], None]) -> None:
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


def submit(job: Callable[[], None]) -> None:
    """Have something done in the background; what it raises is dropped, as the next request will tell."""
    POOL.submit(job)


# Keeps an instance that was read; told the state of its study before that.
Keep = Callable[[Stored, Token], None]
# Series of which instances are read in the background.
_READING: set[Hashable] = set()


class Around:
    """What is around an instance that is about to be asked for: who asks for one mostly goes through its whole series.

    The first of a series has the beginning of the series read beside it, as most begin there; another one, which was
    not in that, has those behind it read in the background. That one was asked for is remembered like anything else. A
    context: what is not read in it is given up.

    Parameters
    ----------
    memory : Memory
    reader : Retriever
        Not the one that answers.
    study, series : str
    *what : hashable
        What is kept of the instances.
    wanted : bool
        Without it nothing is read.

    Attributes
    ----------
    token : Token
        The state of the study before anything is read.
    """

    def __init__(
        self, memory: Memory, reader: Retriever, study: str, series: str, *what: Hashable, wanted: bool = True
    ) -> None:
        self.token = memory.token(study)
        self._reader = reader
        self._key = "asked", series, *what
        self._study = study
        self._beside: Pending | None = None
        # What is read ahead is of no use where nothing is remembered.
        self._wanted = wanted and memory.is_awake()
        if self._wanted and memory.recall(study, self._key, reader.authorization, admitted=True) is None:
            memory.remember(study, self._key, reader.authorization, True, self.token)
            self._beside = reader.start(requests.beginning(study, series, BEGINNING))

    def read(self, one: Stored, keep: Keep) -> None:
        """Keep the others, in the background where that takes long.

        Parameters
        ----------
        one : Stored
            The instance, as its document tells.
        keep : callable
        """
        if not self._wanted:
            return
        if self._beside is None:
            self._read_behind(one, keep)
            return
        beside, self._beside = self._beside, None

        def finish() -> None:
            with suppress(CouchError, DicomWebError):
                self._keep([stored_in_row(row) for row in beside.json()["rows"]], one, keep)

        if beside.is_answered(PATIENCE):
            finish()
        else:  # the index is being brought up to date
            submit(finish)

    def _read_behind(self, one: Stored, keep: Keep) -> None:
        place = self._study, self._reader.authorization, self._key
        if place in _READING:
            return
        _READING.add(place)

        def read() -> None:
            try:
                self._keep(self._reader.behind(one, SPAN), one, keep)
            finally:
                _READING.discard(place)

        submit(read)

    def _keep(self, found: list[Stored], one: Stored, keep: Keep) -> None:
        for stored in found:
            if stored.id != one.id:
                keep(stored, self.token)

    def __enter__(self) -> Around:
        return self

    def __exit__(self, *_exc: object) -> None:
        if self._beside is not None:
            self._beside.close()
