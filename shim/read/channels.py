"""Event channels of subscribers (PS3.18 11.13).

Each workitem carries its last events, and the changes feed says which workitems changed: so events reach a channel
whichever process or server wrote them. Nothing is kept for who has no channel open: the standard does not ask for it,
and a subscriber that comes back reads the state of its workitems.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
import time
import uuid
from collections import defaultdict
from typing import Any

from dicouch.couch.client import Couch
from dicouch.couch.memory import Memory
from dicouch.couch.response import CouchError
from dicouch.errors import DicomWebError
from dicouch.read.events import Room
from dicouch.rewrite import requests, workitems
from dicouch.rewrite.requests import CouchRequest

LOG = logging.getLogger(__name__)

# Events that wait for one slow channel: with more it is closed.
LONGEST = 1000
# Seconds for which the changes feed may take to begin.
PATIENCE = 3.0
PAUSE = 1.0
# Workitems whose events are read when the first channel opens, those told last; and of which they are remembered.
FIRST, KEPT = 1000, 10_000


class Channel:
    """The events for one open channel; None at its end."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.events: queue.Queue[dict[str, Any] | None] = queue.Queue(LONGEST)
        # Whether it fell behind, and is to be closed.
        self.late = False
        self._number = 0

    def put(self, uid: str, event: dict[str, Any]) -> None:
        """Add an event."""
        self._number += 1
        try:
            self.events.put_nowait(workitems.event_report(self._number, uid, event))
        except queue.Full:
            self.late = True

    def end(self) -> None:
        """Have the channel closed behind what waits."""
        with contextlib.suppress(queue.Full):
            self.events.put_nowait(None)


class Told:
    """Which events of workitems are no news.

    Events of workitems that are not among these are told by their time: so a worklist's archive is not read.

    Parameters
    ----------
    rows : list of dict
        Of the view, the workitems that were told last first.
    """

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        # When the last event of each was, and the ids of its events.
        self._known = {row["id"]: (str(row["key"]), set(row["value"])) for row in rows}
        # No workitem that is not known had a later event.
        since = str(rows[-1]["key"]) if len(rows) >= FIRST else ""
        # Keys were ids before; such a view goes on serving until its successor is built.
        self.since = since if since[:1].isdigit() else ""

    def lacks(self, name: str, events: list[str]) -> bool:
        """Return whether there may be news in a workitem with these ids of events."""
        return name not in self._known or not self._known[name][1].issuperset(events)

    def news(self, name: str, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return those events of a workitem that are new, and take all as told."""
        known = self._known.get(name)
        last = max((str(event["at"]) for event in events), default="")
        self._known[name] = last, {event["id"] for event in events}
        if known is None:
            return [event for event in events if str(event["at"]) > self.since]
        return [event for event in events if event["id"] not in known[1]]

    def forget(self) -> None:
        """Forget the older half of what is remembered once it is too much."""
        if len(self._known) > KEPT:
            for name in sorted(self._known, key=lambda each: self._known[each][0])[: KEPT // 2]:
                self.since = max(self.since, self._known.pop(name)[0])


class Channels:
    """The open channels of one process.

    Parameters
    ----------
    couch : Couch
        With the server's own credentials.
    memory : Memory
        Tells of changes.
    most : int
        Channels at a time.
    room : Room
        That they share with others who wait.
    name : str
        Of this server: subscribers are told when it was started again.
    """

    def __init__(self, couch: Couch, memory: Memory, most: int, room: Room, name: str = "") -> None:
        self._couch = couch
        self._memory = memory
        self._most = most
        self._room = room
        # Made before gunicorn forks, so all processes say the same.
        self.server = {"server": name, "started": uuid.uuid4().hex}
        self._open: dict[str, set[Channel]] = defaultdict(set)
        self._count = 0
        self._closed = False
        self._lock = threading.Lock()
        # Ids of documents that changed, None for any.
        self._changed: queue.SimpleQueue[list[str] | None] = queue.SimpleQueue()
        # What was told, or was there before the first channel; None: to be read.
        self._told: Told | None = None
        self._thread: threading.Thread | None = None

    def open(self, title: str) -> Channel:
        """Open a channel for an AE title.

        Raises
        ------
        DicomWebError
            503 where there are too many, or the changes of the database are not heard of.
        """
        with self._lock:
            if self._closed or self._count >= self._most or not self._room.take():
                raise DicomWebError(503, "too many event channels are open", {"Retry-After": "30"})
            self._count += 1
        channel = Channel(title)
        try:
            self._follow()
        except BaseException as problem:
            with self._lock:
                self._count -= 1
            self._room.leave()
            if isinstance(problem, RuntimeError):  # no further thread can be had
                raise DicomWebError(503, "the server has no thread left", {"Retry-After": "30"}) from problem
            raise
        with self._lock:
            self._open[title].add(channel)
        return channel

    def close(self, channel: Channel) -> None:
        """Forget a channel."""
        with self._lock:
            self._count -= 1
            self._open[channel.title].discard(channel)
            if not self._open[channel.title]:
                del self._open[channel.title]
            if not self._count:
                self._told = None
        self._room.leave()

    def stop(self) -> None:
        """Tell all subscribers that the server goes down, and have their channels closed (PS3.4 CC.2.4.3)."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            there = [channel for some in self._open.values() for channel in some]
        for channel in there:
            channel.put(workitems.GLOBAL, workitems.scp_status("GOING DOWN"))
            channel.end()

    def _follow(self) -> None:
        """Have changes heard, and know which events are no news; DicomWebError 503."""
        until = time.monotonic() + PATIENCE
        while not self._memory.listen(self._hear):
            if time.monotonic() > until:
                raise DicomWebError(503, "the changes of the database are not heard of", {"Retry-After": "5"})
            time.sleep(0.02)
        # Not under the lock, for which a worker that stops would wait.
        told = self._told or Told(self._ask(workitems.told_last(FIRST))["rows"])
        with self._lock:
            if self._told is None:
                self._told = told
                self._changed.put(None)  # what was heard while that was read went to nobody
            if self._thread is None:
                started = threading.Thread(target=self._run, name="events", daemon=True)
                started.start()
                self._thread = started

    def _hear(self, ids: list[str] | None) -> None:
        if self._count:
            found = None if ids is None else [each for each in ids if each.startswith(workitems.document_id(""))]
            if found is None or found:
                self._changed.put(found)

    def _run(self) -> None:
        while True:
            ids = self._changed.get()
            while (told := self._told) is not None:
                try:
                    self._tell(told, ids)
                    break
                except (CouchError, DicomWebError) as problem:
                    LOG.info("events of workitems: %s", problem)
                    ids = None  # what was written meanwhile is read with it
                    time.sleep(PAUSE)
                except Exception:  # a document of another form: without this thread nobody would be told any more
                    LOG.exception("events of workitems")
                    break

    def _tell(self, told: Told, ids: list[str] | None) -> None:
        """Give the channels those events of some workitems that they were not given."""
        if ids is None:
            rows = self._ask(workitems.told_since(told.since))["rows"]
            ids = [row["id"] for row in rows if told.lacks(row["id"], row["value"])]
        for start in range(0, len(ids), workitems.TOGETHER):
            rows = self._ask(requests.documents(ids[start : start + workitems.TOGETHER]))["rows"]
            for document in (row.get("doc") for row in rows):
                if document and document.get("type") == "workitem":
                    self._deliver(told, document)
        told.forget()

    def _deliver(self, told: Told, document: dict[str, Any]) -> None:
        with self._lock:
            if self._told is not told:  # the last channel was closed meanwhile
                return
            uid = document["_id"].removeprefix(workitems.document_id(""))
            for event in told.news(document["_id"], document.get("events", [])):
                for channel in [one for title in event["to"] for one in self._open.get(title, ())]:
                    channel.put(uid, event)

    def _ask(self, request: CouchRequest) -> Any:
        return self._couch.json(request.method, request.path, params=request.params, body=request.body)
