"""Reading ahead: while one instance is sent, the database is asked for the next, and for where those around it are."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from threading import Event
from time import monotonic
from typing import Any, cast

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
# Instances that are read with the first look into a study, with a further one, and behind others; documents that are
# read together; bytes that a row of the index may take.
BEGINNING = 64
FURTHER = 256
SPAN = 64
DOCUMENTS = 16
LARGEST_ROW = 3000
# Instances of a series that are remembered together: of a longer one those that were read last.
MOST = 2000
# Under which it is remembered that a study was looked into, and whether people fixed something in it.
LOOKED = "looked", ""
# Under which it is remembered that documents of a study are read together.
TOGETHER = "together", ""
# Series at the end of what a look has read: who comes to one of them has those behind it read in the background.
NEAR = 3
# Looks of others that a request waits for, one after the other, before it does without.
TURNS = 3
# Seconds for which an answer waits for what is read ahead of it, and for what others read. Where the first is not
# enough, it waits as many times as long as a request takes that needs no index: on a busy machine all takes long.
PATIENCE = 0.03
LONGEST = 2.0
SLOWER = 8


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
    onwards : str
        Series at which the index is to be read on for those behind this one; empty where that has been done.
    """

    found: dict[str, Stored]
    whole: bool
    fixed: bool
    onwards: str = ""


class Look(Event):
    """Something that is being read, set when others need not wait for it any more.

    Attributes
    ----------
    late : bool
        Whether they need not because it takes too long.
    wanted : set of str
        Series of those who wait.
    """

    def __init__(self) -> None:
        super().__init__()
        self.late = False
        self.wanted: set[str] = set()


# What is being read, for a request or in the background: who wants the same waits for it.
_READING: dict[Hashable, Look] = {}


def _end(place: Hashable, look: Look) -> None:
    _READING.pop(place, None)
    look.set()


class Around:
    """What is around an instance that is asked for: who asks for one mostly goes through its series, and the next.

    The first look into a study reads the index from the beginning of the series on, past its end into those behind it;
    all who look into the study meanwhile wait for that, as most of what they want will be in it. Who comes near the
    end of what is known has more read in the background. An instance that is not in there has those behind it read.

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
        self._place = study, reader.authorization
        self._known: Known | None = None

    def known(self, *, look: bool = True, whole: bool = False) -> Known | None:
        """Return what is known of the series; with `look` the index is read where nothing is, or not the `whole`."""
        self._known, first = self._recall(), self._series
        for _turn in range(TURNS if look and self._memory.is_awake() else 0):
            if self._known is not None and not (whole and self._known.onwards == self._series):
                break
            if (others := self._look(first)) is None:
                break
            self._known = self._recall()
            # One look for all who waited in vain.
            first = min((one for one in others if self._recall(one) is None), default=self._series)
        if self._known is not None and self._known.onwards and not self.fresh:
            self._go_on(self._known.onwards)
        return self._known

    def _recall(self, series: str = "") -> Known | None:
        known: Known | None = self._recalled(("rows", series or self._series))
        return known

    def _look(self, first: str) -> set[str] | None:
        """Read the index from a series on, or wait for who reads it; None when it takes too long.

        Otherwise the series of all who waited.
        """
        look = Look()
        if (other := _READING.setdefault(self._place, look)) is not look:
            other.wanted.add(self._series)
            return other.wanted.copy() if other.wait(LONGEST) and not other.late else None
        self.fresh = self._read(look, first) and first == self._series
        return None if look.late else look.wanted.copy()

    def _go_on(self, series: str) -> None:
        """Have the index read from a series on, in the background, unless that is done or being done."""
        known, look = self._recall(series), Look()
        if (known is None or known.onwards == series) and _READING.setdefault(self._place, look) is look:
            # Nobody waits for it before it has begun: it may stand behind others that wait for an index.
            look.late = True
            look.set()

            def read() -> None:
                look.late = False
                look.clear()
                with suppress(CouchError, DicomWebError):
                    self._read(look, series)

            try:
                submit(read)
            except RuntimeError:  # no thread can be started
                _end(self._place, look)

    def _read(self, look: Look, series: str) -> bool:
        """Read the index from a series on; False when it takes long, and is done in the background."""
        looked = self._recalled(LOOKED)
        most = BEGINNING if looked is None else FURTHER
        wanted = [requests.onwards(self._study, series, most)]
        if looked is None:
            wanted.append(requests.corrections(self._study))
        asked: list[Pending] = []

        def finish() -> None:
            try:
                with suppress(CouchError, DicomWebError):
                    rows, *corrected = answers(asked, lambda one: one.json()["rows"])
                    self._keep(series, rows, any(corrected) if looked is None else looked, len(rows) >= most)
            finally:
                _end(self._place, look)

        try:
            asked = answers(map(self._reader.start, wanted), lambda one: one)
            if not self._is_in_time(asked):
                look.late = True  # the index is being brought up to date
                look.set()
                submit(finish)
                return False
        except BaseException as problem:
            for one in asked:
                one.close()
            _end(self._place, look)
            if isinstance(problem, RuntimeError):
                return False  # no thread can be started: nothing is read ahead
            raise
        finish()
        return True

    def _is_in_time(self, asked: list[Pending]) -> bool:
        """Wait for answers of the index, not much longer than for one that needs no index."""
        until = monotonic() + PATIENCE
        if all(one.is_answered(max(0.0, until - monotonic())) for one in asked):
            return True
        began = monotonic()
        information = self._reader.start(requests.information())
        if not information.is_answered(LONGEST):
            information.close()
            return False
        with suppress(CouchError, DicomWebError):
            information.json()
        until = monotonic() + min(SLOWER * (monotonic() - began), LONGEST)
        return all(one.is_answered(max(0.0, until - monotonic())) for one in asked)

    def _keep(self, series: str, rows: list[dict], fixed: bool, more: bool) -> None:
        """Remember rows of the study from the beginning of a series on; whether there are `more` is not known."""
        by_series: dict[str, dict[str, Stored]] = {series: {}}
        for row in rows:
            _study, below, _number, instance = row["key"]
            by_series.setdefault(below, {})[instance] = stored_in_row(row)
        self._remember(LOOKED, fixed, 500)
        *_ended, last = by_series
        near = list(by_series)[-NEAR:] if more and last != series else []
        for below, found in by_series.items():
            whole = below != last or not more
            if whole or below == series or self._recall(below) is None:
                self.remember(below, Known(found, whole, fixed, last if below in near else ""))

    def remember(self, series: str, known: Known) -> None:
        """Remember instances of a series."""
        self._remember(("rows", series), known, LARGEST_ROW * (1 + len(known.found)))

    def document(self, instance: str) -> dict:
        """Return the document of an instance; from the second of a series on, those behind it are read with it.

        Raises
        ------
        DicomWebError
            As `Retriever.document` does.
        """
        own, place = f"{self._study}:{self._series}:{instance}", (*self._place, "documents")
        first, together = own, ("together", self._series)
        if not self._recalled(together) and not self._recalled(TOGETHER):
            alone: dict = self._remembered(own) or self._reader.document(self._study, self._series, instance)
            # An attachment may be replaced while it is read; what a file's name stands for never changes.
            if alone["file"]["store"] != ATTACHED:
                self._remember(together, True, 500)
            return alone
        for _turn in range(TURNS):
            if (found := self._remembered(own)) is not None:
                return found
            look = Look()
            if (other := _READING.setdefault(place, look)) is not look:
                other.wanted.add(own)
                if not other.wait(LONGEST):
                    break
                # As in a look: from the first that somebody waited for in vain.
                first = min((one for one in other.wanted.copy() if not self._recalled(("document", one))), default=own)
                continue
            try:
                self._read_documents(first)
                first = own
            finally:
                _end(place, look)
        return self._remembered(own) or self._reader.document(self._study, self._series, instance)

    def _recalled(self, key: tuple[str, str]) -> Any:
        return self._memory.recall(self._study, key, self._reader.authorization, admitted=True)

    def _remember(self, key: tuple[str, str], value: object, size: int) -> None:
        self._memory.remember(self._study, key, self._reader.authorization, value, self.token, size)

    def _remembered(self, own: str) -> dict | None:
        """Return a document that was read with others; the second half of these has the next ones read."""
        kept = self._memory.recall(self._study, ("document", own), self._reader.authorization)
        if kept is None:
            return None
        said, last = kept
        if last and self._place not in _READING and not self._recalled(("documents", last)):
            self._remember(("documents", last), True, 500)
            with suppress(RuntimeError):  # no thread can be started
                submit(lambda: self._read_documents(last))
        return cast(dict, orjson.loads(said))

    def _read_documents(self, first: str) -> None:
        """Read documents of the study from one on, past the end of its series."""
        rows = self._reader.rows(requests.documents_from(self._study, None, first, DOCUMENTS))
        last = rows[-1]["id"] if len(rows) == DOCUMENTS else ""
        for number, row in enumerate(rows):
            document = row["doc"] or {}
            if document.get("type") == "instance" and document["file"]["store"] not in (NOWHERE, ATTACHED):
                said = orjson.dumps(document)
                kept = said, last if number >= DOCUMENTS // 2 else ""
                self._remember(("document", row["id"]), kept, len(said) + 500)
                self._remember(TOGETHER, True, 500)

    def behind(self, one: Stored) -> None:
        """Read the instances behind one, in the background, unless the index has told of it."""
        place, look = (*self._place, self._series), Look()
        told = self._known is not None and one.id.rpartition(":")[2] in self._known.found
        if told or {place, self._place} & _READING.keys() or not self._memory.is_awake():
            return
        _READING[place] = look

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
                _end(place, look)

        try:
            submit(read)
        except RuntimeError:  # no thread can be started
            _end(place, look)
