"""Reading ahead: while one instance is sent, the database is asked for the next, and for where those around it are."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from threading import Event
from time import monotonic
from typing import cast

import orjson

from dicouch.couch.client import Pending, answers
from dicouch.couch.memory import Memory
from dicouch.couch.response import CouchError
from dicouch.errors import DicomWebError
from dicouch.read.retrieve import Retriever, Stored, stored_in_row
from dicouch.rewrite import requests
from dicouch.store import ATTACHED, NOWHERE

Opener = Callable[[], Iterable[bytes]]
# A thread is busy only until the database begins to answer; what it sends then waits in the connection's buffers.
POOL = ThreadPoolExecutor(16, thread_name_prefix="ahead")
# These wait for an index that is being built, and must not hold up bodies.
BACKGROUND = ThreadPoolExecutor(4, thread_name_prefix="around")
# Instances that are read with the first look into a series, and behind others, documents that are read together; bytes
# that a row of the index may take.
BEGINNING = 64
SPAN = 64
DOCUMENTS = 8
LARGEST_ROW = 3000
# Instances of a series that are remembered together: of a longer one those that were read last.
MOST = 2000
# Seconds for which an answer waits for what is read ahead of it.
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
    BACKGROUND.submit(job)


@dataclass(frozen=True)
class Known:
    """Instances of a series as the index has them.

    Attributes
    ----------
    found : dict
        By their SOP Instance UIDs, in order; without what people fixed.
    whole : bool
        Whether these are all of the series.
    fixed : bool
        Whether people fixed something in the study.
    """

    found: dict[str, Stored]
    whole: bool
    fixed: bool


# Series that are being read in the background, or beside a request; the event tells that waiting for it is no use.
_READING: dict[Hashable, Event] = {}


class Around:
    """What is around an instance that is asked for: who asks for one mostly goes through its series, and the next.

    The first look into a series reads its beginning from the index, and where it is short, that of those behind it. One
    that is not in there has those behind it read in the background.

    Parameters
    ----------
    memory : Memory
    reader : Retriever
    study, series : str

    Attributes
    ----------
    token : Token
        The state of the study before anything is read.
    fresh : bool
        Whether what is known was read for this request.
    """

    def __init__(self, memory: Memory, reader: Retriever, study: str, series: str) -> None:
        self.token = memory.token(study)
        self.fresh = False
        self._memory = memory
        self._reader = reader
        self._study = study
        self._series = series
        self._place = study, series, reader.authorization
        self._known: Known | None = None

    def known(self, *, look: bool = True) -> Known | None:
        """Return what is known of the series; with `look` its beginning is read where nothing is."""
        self._known = self._recall()
        if self._known is None and look and self._memory.is_awake():
            self._known = self._look()
        return self._known

    def _recall(self) -> Known | None:
        known: Known | None = self._memory.recall(
            self._study, ("rows", self._series), self._reader.authorization, admitted=True
        )
        return known

    def _look(self) -> Known | None:
        """Read the beginning of the series; who asks for it meanwhile waits for that. None when it takes long."""
        done = Event()
        if (other := _READING.setdefault(self._place, done)) is not done:
            other.wait(PATIENCE)
            return self._recall()

        def end() -> None:
            _READING.pop(self._place, None)
            done.set()

        def finish() -> None:
            try:
                with suppress(CouchError, DicomWebError):
                    rows, corrected = answers(asked, lambda one: one.json()["rows"])
                    self._keep(rows, bool(corrected))
            finally:
                end()

        wanted = requests.onwards(self._study, self._series, BEGINNING), requests.corrections(self._study)
        until = monotonic() + PATIENCE
        asked: list[Pending] = []
        try:
            asked = answers(map(self._reader.start, wanted), lambda one: one)
            if not all(one.is_answered(max(0.0, until - monotonic())) for one in asked):
                done.set()  # the index is being brought up to date
                submit(finish)
                return None
        except BaseException as problem:
            for one in asked:
                one.close()
            end()
            if isinstance(problem, RuntimeError):
                return None  # no thread can be started: nothing is read ahead
            raise
        finish()
        self.fresh = True
        return self._recall()

    def _keep(self, rows: list[dict], fixed: bool) -> None:
        """Remember rows of the study from the beginning of the series on."""
        by_series: dict[str, dict[str, Stored]] = {self._series: {}}
        for row in rows:
            _study, series, _number, instance = row["key"]
            by_series.setdefault(series, {})[instance] = stored_in_row(row)
        *_ended, last = by_series
        for series, found in by_series.items():
            self.remember(series, Known(found, series != last or len(rows) < BEGINNING, fixed))

    def remember(self, series: str, known: Known) -> None:
        """Remember instances of a series."""
        key, size = ("rows", series), LARGEST_ROW * (1 + len(known.found))
        self._memory.remember(self._study, key, self._reader.authorization, known, self.token, size)

    def document(self, instance: str) -> dict:
        """Return the document of an instance; from the second that is asked for on, those behind it are read with it.

        Raises
        ------
        DicomWebError
            As `Retriever.document` does.
        """
        study, series, credentials = self._place
        kept = self._memory.recall(study, ("document", series, instance), credentials)
        if kept is not None:
            return cast(dict, orjson.loads(kept))
        drawn = "drawn", series
        known = self.known() if self._memory.recall(study, drawn, credentials, admitted=True) else None
        self._memory.remember(study, drawn, credentials, True, self.token)
        # An attachment may be replaced while it is read; what a file's name stands for never changes.
        ids = [one.id for one in known.found.values() if one.is_here and one.file["store"] != ATTACHED] if known else []
        own = ":".join((study, series, instance))
        found: dict = {}
        if own in ids:
            place = ids.index(own)
            for row in self._reader.rows(requests.documents(ids[place : place + DOCUMENTS])):
                document = row.get("doc") or {}
                if document.get("file", {}).get("store") not in (None, NOWHERE, ATTACHED):
                    key, said = ("document", series, row["id"].rpartition(":")[2]), orjson.dumps(document)
                    self._memory.remember(study, key, credentials, said, self.token, len(said) + 500)
                    found = document if row["id"] == own else found
        return found or self._reader.document(study, series, instance)

    def behind(self, one: Stored) -> None:
        """Read the instances behind one, in the background, unless the index has told of it."""
        told = self._known is not None and one.id.rpartition(":")[2] in self._known.found
        if told or self._place in _READING or not self._memory.is_awake():
            return
        _READING[self._place] = done = Event()
        done.set()

        def read() -> None:
            try:
                with suppress(CouchError, DicomWebError):
                    rows = self._reader.behind(one, SPAN)
                    if known := self._recall():
                        new = {row.id.rpartition(":")[2]: row for row in rows}
                        together = len(known.found) + len(new) <= MOST
                        found, whole = (known.found | new, known.whole) if together else (new, False)
                        self.remember(self._series, replace(known, found=found, whole=whole))
            finally:
                _READING.pop(self._place, None)

        try:
            submit(read)
        except RuntimeError:  # no thread can be started
            _READING.pop(self._place, None)
