"""What may take several attempts, as documents: a queue that outlives the process, and of which each is one's to do.

A document waits until it is due. Who does it writes so first (`sending`, by whom, until when): the database lets one of
two such writes through (409 for the other). The claim is renewed while work goes on; after a crash it runs out.
"""

from __future__ import annotations

import hashlib
import logging
import socket
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from dicouch.couch.client import Couch, segment
from dicouch.couch.response import CouchError
from dicouch.errors import DicomWebError, shortened

LOG = logging.getLogger(__name__)

WAITING, SENDING, FAILED = "waiting", "sending", "failed"
# Documents that are read, and claimed, at a time.
PAGE = 50
# Seconds between looks at a queue in which something is soon due, and at another one, which replication may fill.
POLL, IDLE = 2.0, 30.0
# Seconds after a first and after the most failures.
FIRST_PAUSE, LONGEST_PAUSE = 5, 3600
# Seconds for which a claim holds, and for what is being sent when the process stops.
LEASE, GRACE = 120, 5
ATTEMPTS = 5

Document = dict[str, Any]


class Queue:
    """The documents of one kind.

    Parameters
    ----------
    kind : str
        Their type, and the beginning of their ids.
    bind : str
        Where this process listens. Only one process at a time does so on a machine, so what it claimed before a crash
        is its own after it.
    """

    def __init__(self, couch: Couch, kind: str, bind: str) -> None:
        self._couch = couch
        self._kind = kind
        self._by = f"{socket.gethostname()} {bind}"
        # What this process has claimed, as it was written last.
        self._held: dict[str, Document] = {}
        self._lock = threading.Lock()

    @property
    def held(self) -> int:
        """How many documents this process works on."""
        return len(self._held)

    def add(self, name: str, content: Document) -> None:
        """Queue something under a name of its own; what has the same name is done anew.

        Raises
        ------
        CouchError, DicomWebError
            When that cannot be written.
        """
        digest = hashlib.sha256(name.encode()).hexdigest()[:40]
        document = {"_id": f"{self._kind}-{digest}", "type": self._kind, **content}
        document.update(state=WAITING, attempts=0, due=moment(0))
        for _attempt in range(ATTEMPTS):
            if put(self._couch, document):
                return
            before = self._couch.get(document["_id"])
            document.pop("_rev", None)
            document.update({"_rev": before["_rev"]} if before else {})
        raise DicomWebError(503, "others write to the queue at the same time")

    def documents(self) -> Iterator[Document]:
        """Yield all that is queued, what was given up included."""
        return queued(self._couch, self._kind)

    def is_due(self, document: Document, early: bool = False) -> bool:
        """Return whether it is time for an attempt, and nobody makes one; `early`: also before it is due."""
        if document["state"] == SENDING:
            with self._lock:  # what is just finished is written first: a claim of it as it was fails
                held = document["_id"] in self._held
            # What is not held but this process's own was left by a crash.
            return not held and (document["by"] == self._by or document["until"] <= moment(0))
        return document["state"] == WAITING and (early or document["due"] <= moment(0))

    def is_soon(self, document: Document) -> bool:
        """Return whether the next look at a document may be worth it before long."""
        return document["state"] == SENDING or document["state"] == WAITING and document["due"] <= moment(int(IDLE))

    def claim(self, documents: list[Document]) -> list[Document]:
        """Claim documents as they were read; return those that nobody else has written meanwhile."""
        claimed = {"state": SENDING, "by": self._by, "until": moment(LEASE)}
        with self._lock:
            written = self._write([{**document, **claimed} for document in documents])
            self._held.update((document["_id"], document) for document in written)
        return written

    def renew(self) -> None:
        """Write that this process goes on with what it has claimed; what others have taken is no longer held."""
        with self._lock:
            until = {"until": moment(LEASE)}
            written = self._write([{**document, **until} for document in self._held.values()])
            self._held = {document["_id"]: document for document in written}

    def done(self, document: Document) -> None:
        """Delete a claimed document, unless it was queued anew meanwhile."""
        self._finish(document["_id"], {"_deleted": True}, only=("_id", "_rev"))

    def failed(self, document: Document, reason: str, attempts: int, early: bool = False) -> None:
        """Note a failure of a claimed document: the next attempt is later, and the last one says why it was.

        One that was made before it was due is none of the `attempts`, and puts off nothing.
        """
        told = {"state": WAITING, "reason": shortened(reason, 300)}
        if not early:
            made = document["attempts"] + 1
            state = WAITING if made < attempts else FAILED
            told = {**told, "state": state, "attempts": made, "due": moment(pause_after(made))}
        self._finish(document["_id"], told)

    def release(self, documents: list[Document]) -> None:
        """Give back what of claimed documents is still held: another attempt is made at once."""
        for document in documents:
            try:
                self._finish(document["_id"], {"state": WAITING})
            except (CouchError, DicomWebError) as problem:  # the claim runs out, and for this process it has
                LOG.warning("%s was not given back: %s", document["_id"], problem)

    def _finish(self, document_id: str, changes: Document, only: tuple[str, ...] = ()) -> None:
        with self._lock:
            held = self._held.pop(document_id, None)
            if held is None:
                return
            kept = {name: value for name, value in held.items() if name not in ("by", "until")}
            put(self._couch, {**({name: kept[name] for name in only} or kept), **changes})

    def _write(self, documents: list[Document]) -> list[Document]:
        """Write documents; return those that were, with their new revisions."""
        if not documents:
            return []
        rows = self._couch.json("POST", "_bulk_docs", body={"docs": documents})
        pairs = zip(documents, rows, strict=True)
        return [{**document, "_rev": row["rev"]} for document, row in pairs if "rev" in row and "error" not in row]


class Worker(ABC):
    """A thread that looks at a queue again and again; a subclass says what is done then."""

    def __init__(self, queue: Queue, name: str) -> None:
        self.queue = queue
        self.stopped = threading.Event()
        self._woken = threading.Event()
        loops = (self._run, self._keep)
        self._threads = [threading.Thread(target=loop, name=name, daemon=True) for loop in loops]

    def start(self) -> None:
        """Begin, also with what an earlier process has left."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Begin nothing more, and wait a little for what is under way."""
        self.stopped.set()
        self.wake()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(GRACE)

    def wake(self) -> None:
        """Let it look at once."""
        self._woken.set()

    @abstractmethod
    def look(self) -> bool:
        """Do what is due; return whether anything is before long."""

    def _run(self) -> None:
        while not self.stopped.is_set():
            self._woken.clear()
            pause = POLL
            try:
                pause = POLL if self.look() else IDLE
            except (CouchError, DicomWebError) as problem:
                LOG.warning("the queue cannot be read: %s", problem)
            except Exception:  # an error of ours must not end the thread
                LOG.exception("a look at the queue")
            self._woken.wait(pause)

    def _keep(self) -> None:
        while not self.stopped.wait(LEASE / 3):
            try:
                self.queue.renew()
            except (CouchError, DicomWebError) as problem:
                LOG.warning("what is being sent could not be claimed again: %s", problem)


def pause_after(attempts: int) -> int:
    """Return the seconds between a failure and the next attempt."""
    return int(min(FIRST_PAUSE * 2 ** (attempts - 1), LONGEST_PAUSE))


def moment(later: int) -> str:
    """Return the time in so many seconds, as documents have it."""
    return (datetime.now(UTC) + timedelta(seconds=later)).strftime("%Y-%m-%dT%H:%M:%SZ")


def put(couch: Couch, document: Document) -> bool:
    """Write a document; return whether nobody else has written it meanwhile."""
    try:
        couch.json("PUT", segment(document["_id"]), body=document)
    except CouchError as problem:
        if problem.status == 409:
            return False
        raise
    return True


def queued(couch: Couch, kind: str) -> Iterator[Document]:
    """Yield the documents of a queue, some read at a time."""
    first: Document = {"startkey": orjson.dumps(f"{kind}-").decode()}
    last = orjson.dumps(f"{kind}-\uffff").decode()
    while True:
        params = {**first, "endkey": last, "include_docs": "true", "limit": PAGE}
        rows = couch.json("GET", "_all_docs", params=params)["rows"]
        yield from (row["doc"] for row in rows if (row.get("doc") or {}).get("type") == kind)
        if len(rows) < PAGE:
            return
        first = {"startkey": orjson.dumps(rows[-1]["id"]).decode(), "skip": 1}
