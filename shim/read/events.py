"""Following the log of changes: one thread a process reads it while anybody listens, and all listeners share that.

What is stored in a row becomes one event a study: it is told when nothing further has come for a moment.
"""

from __future__ import annotations

import logging
import math
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from dicouch.couch.changelog import PAGE, ChangeLog
from dicouch.couch.client import Couch
from dicouch.couch.memory import Memory
from dicouch.couch.response import CouchError
from dicouch.errors import DicomWebError
from dicouch.read.changefeed import read_pages
from dicouch.rewrite import events, requests
from dicouch.rewrite.events import Event, Position

LOG = logging.getLogger(__name__)

# Seconds without a further change after which events are made of what came, and after which they are in any case.
QUIET, LONGEST = 1.0, 5.0
# Seconds between looks while no change is heard of, and where changes are not heard of at all.
IDLE, DEAF = 15.0, 1.0
# Pages of the log that are read at a time, and batches that are kept for listeners that are behind.
PAGES, KEPT = 10, 100


class Room:
    """How many threads of this process those may hold, together, who only wait for what happens."""

    def __init__(self, most: float = math.inf) -> None:
        self.most = most
        self._held = 0
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Take a place; return False where there is none."""
        with self._lock:
            free = self._held < self.most
            self._held += free
        return free

    def leave(self) -> None:
        """Give a place back."""
        with self._lock:
            self._held -= 1


class Batch(NamedTuple):
    """Events that belong together, and where the log is read to when they are told."""

    start: Position
    position: Position
    events: list[Event]


class Events:
    """The events of one database, for one process.

    Parameters
    ----------
    couch : Couch
        With the account that reads and writes the log.
    log : ChangeLog
    memory : Memory
        Whose feed tells when something changed.
    most : int
        Listeners at a time.
    room : Room
        That they share with others who wait.
    """

    def __init__(self, couch: Couch, log: ChangeLog, memory: Memory, most: int, room: Room) -> None:
        self._couch = couch
        self._log = log
        self._memory = memory
        self._most = most
        self._room = room
        # Whether listeners may go on: not while the process stops.
        self.is_open: Callable[[], bool] = lambda: True
        self._changed = threading.Condition()
        self._woken = threading.Event()
        self._listeners = 0
        self._runs = False
        self._head: Position | None = None
        self._kept: deque[Batch] = deque(maxlen=KEPT)

    @contextmanager
    def joined(self) -> Iterator[None]:
        """Have the log followed meanwhile.

        Raises
        ------
        DicomWebError
            503 when there are as many listeners as there may be.
        """
        self.join()
        try:
            yield
        finally:
            self.leave()

    def join(self) -> None:
        """Begin to listen; see `joined`."""
        with self._changed:
            if self._listeners >= self._most or not self._room.take():
                reason = f"as many clients as may follow this process already ({self._listeners} of them events)"
                raise DicomWebError(503, reason, {"Retry-After": "10"})
            try:
                self._begin()
            except RuntimeError as problem:  # no further thread can be had
                self._room.leave()
                raise DicomWebError(503, "the server has no thread left", {"Retry-After": "10"}) from problem
            self._listeners += 1

    def _begin(self) -> None:
        if self._runs:
            return
        self._head = None
        self._kept.clear()
        self._memory.start()
        self._memory.states.observe = lambda _id: self._woken.set()
        threading.Thread(target=self._run, name="events", daemon=True).start()
        self._runs = True

    def leave(self) -> None:
        """Listen no longer."""
        with self._changed:
            self._listeners -= 1
        self._room.leave()
        self._woken.set()

    def now(self) -> Position:
        """Return where the log ends, with all that was written before.

        Raises
        ------
        CouchError, DicomWebError
            The server's own account may not write the log, or the database does not answer.
        """
        self._log.catch_up(None)
        name = self._log.name(None)
        page = self._log.last_page(None)
        return events.behind([page], Position(name)).position if page else Position(name)

    def begin(self, last: Position | None) -> Position:
        """Return where to go on that has heard everything up to `last`; the end of the log where that is of another."""
        now = self.now()
        return last if last is not None and last.log == now.log and last <= now else now

    def behind(self, position: Position, wait: float) -> Batch | None:
        """Return the next events behind a position; None when there are none within some seconds.

        Raises
        ------
        DicomWebError
            503 when the database was made anew, and has another log now.
        """
        with self._changed:
            if self._head is not None and self._head.log != position.log:
                raise DicomWebError(503, "the database was made anew: begin anew", {"Retry-After": "1"})
            if self._head is None or position >= self._head:
                self._changed.wait(wait)
            if self._head is None or position >= self._head:
                return None
            for batch in self._kept:
                if batch.start == position:
                    return batch
        return self._read(position)

    def _read(self, position: Position) -> Batch | None:
        """Read some pages of the log, and make events of what they have behind a position."""
        pages = read_pages(self._couch, position.log, max(0, position.sequence - 1) // PAGE, PAGES)
        read = events.behind(pages, position)
        if read.position == position:
            return None
        studies, series = events.concerned(read)
        counted = requests.counts(studies + series)
        told = self._couch.json(counted.method, counted.path, params=counted.params, body=counted.body)
        held = {row["key"]: row["value"] for row in told["rows"]}
        params = {"include_docs": "true"}
        rows = self._couch.json("POST", "_all_docs", params=params, body={"keys": studies})["rows"]
        modalities = {
            row["id"].partition(":")[0]: frozenset(map(str, row["doc"].get("series", {}).values()))
            for row in rows
            if row.get("doc")
        }
        return Batch(position, read.position, events.coalesced(read, held, modalities))

    def _run(self) -> None:
        while True:
            try:
                self._look()
            except (CouchError, DicomWebError) as problem:
                LOG.warning("the log of changes cannot be followed: %s", problem)
                time.sleep(DEAF)
            except Exception:  # noqa: BLE001 - without this thread nobody would hear anything any more
                LOG.exception("following the log of changes")
                time.sleep(DEAF)
            self._woken.wait(IDLE if self._memory.is_awake() else DEAF)
            with self._changed:
                if not self._listeners:
                    self._runs = False
                    return
                woken = self._woken.is_set()
            self._woken.clear()
            if woken:
                time.sleep(random.uniform(0, 0.2))  # not all processes at once

    def _look(self) -> None:
        """Tell what is new, once nothing further comes."""
        now, head = self.now(), self._head
        if head is None or head.log != now.log:
            with self._changed:
                self._head = now
                self._kept.clear()
                self._changed.notify_all()
            return
        began, seen = time.monotonic(), head
        while (now := self.now()) != seen and time.monotonic() - began < LONGEST and self.is_open():
            seen = now
            time.sleep(QUIET)
        while head != now:
            batch = self._read(head)
            if batch is None:
                return
            head = batch.position
            with self._changed:
                self._kept.append(batch)
                self._head = head
                self._changed.notify_all()
