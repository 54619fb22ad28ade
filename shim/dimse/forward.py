"""Forwarding: what arrives goes on to other archives, by rules of the peers file.

Each instance and target is a document of type `forward` until it was sent, so the queue outlives the process. It is
sent at least once: twice when a process ends between the peer's answer and the deletion of the document.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import requests
from pynetdicom import AE

from dicouch.config import split_url
from dicouch.couch.client import Couch, segment
from dicouch.couch.response import CouchError
from dicouch.dimse.peers import Rule, Settings
from dicouch.dimse.retrieve import paused
from dicouch.dimse.send import NotSent, Sub, associate, contexts_for, send
from dicouch.errors import DicomWebError, shortened
from dicouch.read.retrieve import Retriever
from dicouch.services import Services
from dicouch.write.received import Received

LOG = logging.getLogger(__name__)

KIND = "forward"
# Documents that are read at a time, and sent over one association.
PAGE = 50
# Seconds between looks at a queue in which something waits, and at an empty one, which replication may fill.
POLL, IDLE = 2.0, 30.0
# Seconds after a first and after the most failures.
FIRST_PAUSE, LONGEST_PAUSE = 5, 3600
# Seconds without a byte from a target, and for what is being sent when the process stops.
TIMEOUT, GRACE = 60, 5
BOUNDARY = "dicouch-forward-7d1f0c5a9b"


def target_of(rule: Rule) -> str:
    """Return what documents call a target: no password of a URL goes to the database."""
    return split_url(rule.to)[0] if rule.to.startswith("http") else rule.to


class Forwarder:
    """Queues what arrives, and sends what is queued."""

    def __init__(self, services: Services, settings: Settings, entity: AE) -> None:
        self._services = services
        self._settings = settings
        self._entity = entity
        self._rules = {target_of(rule): rule for rule in settings.rules}
        self._woken, self._stopped = threading.Event(), threading.Event()
        # When a target that failed is tried again (`time.monotonic`), and how often it failed.
        self._resting: dict[str, tuple[float, int]] = {}
        self._thread = threading.Thread(target=self._run, name=KIND, daemon=True)

    def start(self) -> None:
        """Begin to send, also what an earlier process has left."""
        if self._rules:
            self._thread.start()

    def stop(self) -> None:
        """Send no more."""
        self._stopped.set()
        self._woken.set()
        if self._thread.is_alive():
            self._thread.join(GRACE)

    def arrived(self, received: Received, calling: str) -> None:
        """Queue an instance for all targets whose rules it matches.

        Raises
        ------
        CouchError, DicomWebError
            When that cannot be written: the instance is then not acknowledged, and will be sent again.
        """
        outcome = received.outcome
        modality = str((received.part10.dataset.get("00080060", {}).get("Value") or [""])[0])
        matching = [rule for rule in self._settings.rules if rule.matches(modality, calling, outcome.sop_class)]
        for target in dict.fromkeys(map(target_of, matching)):
            self._queue(target, ":".join(outcome.place), outcome.sop_class, modality)
        if matching:
            self._woken.set()

    def _queue(self, target: str, instance: str, sop_class: str, modality: str) -> None:
        document: dict[str, Any] = {
            "_id": f"{KIND}-{hashlib.sha256(f'{instance} {target}'.encode()).hexdigest()[:40]}",
            "type": KIND,
            "summary": f"{modality or 'instance'} to {target}",
            "instance": instance,
            "sopClass": sop_class,
            "to": target,
            "state": "waiting",
            "attempts": 0,
            "due": _moment(0),
        }
        if not put(self._services.couch, document):
            before = self._services.couch.get(document["_id"])
            put(self._services.couch, document | ({"_rev": before["_rev"]} if before else {}))

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._woken.clear()
            pause = POLL
            try:
                pause = POLL if self._look() else IDLE
            except (CouchError, DicomWebError) as problem:
                LOG.warning("the queue cannot be read: %s", problem)
            except Exception:  # an error of ours must not end forwarding
                LOG.exception("forwarding")
            self._woken.wait(pause)

    def _look(self) -> bool:
        """Send all that is due; return whether anything waits."""
        if not any(map(self._is_ready, self._rules)):
            return True  # a long queue is not read for nothing
        batches: dict[str, list[dict]] = {}
        now, waits = _moment(0), False
        for document in queued(self._services.couch):
            target = document["to"]
            waits = waits or document["state"] == "waiting"
            if document["state"] != "waiting" or document["due"] > now or not self._is_ready(target):
                continue
            batches.setdefault(target, []).append(document)
            if len(batches[target]) >= PAGE:
                self._send(target, batches.pop(target))
            if self._stopped.is_set():
                return waits
        for target, batch in batches.items():
            self._send(target, batch)
        return waits

    def _is_ready(self, target: str) -> bool:
        return target in self._rules and self._resting.get(target, (0.0, 0))[0] <= time.monotonic()

    def _send(self, target: str, batch: list[dict]) -> None:
        reader = Retriever(self._services.couch, self._services.store)
        subs = []
        for document in batch:
            try:
                (stored,) = reader.instances(*document["instance"].split(":"))
                subs.append((document, Sub(stored, document["sopClass"])))
            except DicomWebError as problem:
                if problem.status != 404:
                    raise
                self._delete(document)  # deleted meanwhile
        rule = self._rules[target]
        try:
            way = self._by_web if rule.to.startswith("http") else self._by_dimse
            for document, reason in way(rule, reader, subs):
                if reason:
                    self._failed(rule, document, reason)
                else:
                    self._delete(document)
            self._resting.pop(target, None)
        except OSError as problem:  # the target cannot be reached, which requests' errors are as well
            failures = self._resting.get(target, (0.0, 0))[1] + 1
            self._resting[target] = time.monotonic() + _pause(failures), failures
            for document, _sub in subs:
                self._failed(rule, document, str(problem))

    def _by_dimse(self, rule: Rule, reader: Retriever, subs: list[tuple[dict, Sub]]) -> Iterator[tuple[dict, str]]:
        """Send instances over one association; yield each with what went wrong, empty where nothing did."""
        association = associate(self._entity, self._settings.peers[rule.to], contexts_for(sub for _doc, sub in subs))
        if not association.is_established:
            raise ConnectionError(f"{rule.to} accepts no association")
        with paused(association):
            for number, (document, sub) in enumerate(subs, 1):
                if not association.is_established:
                    raise ConnectionError(f"{rule.to} ended the association")
                try:
                    told = send(association, reader, sub, number)
                except NotSent as problem:
                    yield document, str(problem)
                    continue
                # Warnings are of what was stored (PS3.4 Table B.2-1).
                yield document, "" if told == 0 or told & 0xF000 == 0xB000 else f"{rule.to} answered {told:04X}H"

    def _by_web(self, rule: Rule, reader: Retriever, subs: list[tuple[dict, Sub]]) -> Iterator[tuple[dict, str]]:
        """Send instances by STOW-RS, each in a request of its own; yield as `_by_dimse` does."""
        url, credentials = split_url(rule.to)
        headers = {
            "Content-Type": f'multipart/related; type="application/dicom"; boundary={BOUNDARY}',
            "Accept": "application/dicom+json",
        }
        with requests.Session() as session:
            session.auth = credentials
            session.trust_env = False
            for document, sub in subs:
                answer = session.post(f"{url}/studies", data=_body(reader, sub), headers=headers, timeout=TIMEOUT)
                if answer.status_code in (502, 503, 504):
                    raise ConnectionError(f"{target_of(rule)} answered {answer.status_code}")
                refused = answer.status_code not in (200, 202) or b"00081198" in answer.content
                yield document, f"{answer.status_code} {answer.text[:200]}" if refused else ""

    def _failed(self, rule: Rule, document: dict, reason: str) -> None:
        """Note a failure: the next attempt is later, and the last one says why it was."""
        attempts = document["attempts"] + 1
        state = "waiting" if attempts < rule.attempts else "failed"
        changed = {
            "attempts": attempts,
            "state": state,
            "reason": shortened(reason, 300),
            "due": _moment(_pause(attempts)),
        }
        put(self._services.couch, document | changed)
        LOG.warning("%s was not forwarded to %s: %s", document["instance"], document["to"], reason)

    def _delete(self, document: dict) -> None:
        put(self._services.couch, {"_id": document["_id"], "_rev": document["_rev"], "_deleted": True})


def _pause(attempts: int) -> int:
    return min(FIRST_PAUSE * 2 ** (attempts - 1), LONGEST_PAUSE)


def _moment(later: int) -> str:
    return (datetime.now(UTC) + timedelta(seconds=later)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _body(reader: Retriever, sub: Sub) -> Iterable[bytes]:
    """Yield the body of a store request (PS3.18 10.5.1)."""
    _size, pieces = reader.content(sub.stored)
    yield f"--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    yield from pieces()
    yield f"\r\n--{BOUNDARY}--\r\n".encode()


def put(couch: Couch, document: dict[str, Any]) -> bool:
    """Write a document; return whether nobody else has written it meanwhile."""
    try:
        couch.json("PUT", segment(document["_id"]), body=document)
    except CouchError as problem:
        if problem.status == 409:
            return False
        raise
    return True


def queued(couch: Couch) -> Iterator[dict]:
    """Yield the documents of the queue, some read at a time."""
    first: dict[str, Any] = {"startkey": orjson.dumps(f"{KIND}-").decode()}
    last = orjson.dumps(f"{KIND}-\uffff").decode()
    while True:
        params = {**first, "endkey": last, "include_docs": "true", "limit": PAGE}
        rows = couch.json("GET", "_all_docs", params=params)["rows"]
        yield from (row["doc"] for row in rows if (row.get("doc") or {}).get("type") == KIND)
        if len(rows) < PAGE:
            return
        first = {"startkey": orjson.dumps(rows[-1]["id"]).decode(), "skip": 1}
