"""Forwarding: what arrives goes on to other archives, by rules of the peers file.

Each instance and target is a document of type `forward` until it was sent, so the queue outlives the process. It is
sent at least once: twice when a process ends between the peer's answer and the deletion of the document.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator

import requests
from pynetdicom import AE
from urllib3.exceptions import NewConnectionError

from dicouch.config import split_url
from dicouch.couch.response import CouchError
from dicouch.dimse.peers import Rule, Settings
from dicouch.dimse.queue import PAGE, Queue, Worker, pause_after
from dicouch.dimse.retrieve import paused
from dicouch.dimse.send import NotSent, Sub, associate, contexts_for, explained, send
from dicouch.errors import DicomWebError
from dicouch.read.retrieve import Retriever
from dicouch.services import Services
from dicouch.write.received import Received

LOG = logging.getLogger(__name__)

KIND = "forward"
# Seconds without a byte from a target.
TIMEOUT = 60
BOUNDARY = "dicouch-forward-7d1f0c5a9b"


class Unreachable(NotSent):
    """A target takes nothing just now; the message says why."""


def target_of(rule: Rule) -> str:
    """Return what documents call a target: no password of a URL goes to the database."""
    return split_url(rule.to)[0] if rule.to.startswith("http") else rule.to


class Forwarder(Worker):
    """Queues what arrives, and sends what is queued."""

    def __init__(self, services: Services, settings: Settings, entity: AE) -> None:
        super().__init__(Queue(services.couch, KIND, settings.bind), KIND)
        self._services = services
        self._settings = settings
        self._entity = entity
        self._rules = {target_of(rule): rule for rule in settings.rules}
        # When a target that failed is tried again (`time.monotonic`), and how often it failed.
        self._resting: dict[str, tuple[float, int]] = {}

    def start(self) -> None:
        """Begin to send, where there is a rule."""
        if self._rules:
            super().start()

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
            instance, summary = ":".join(outcome.place), f"{modality or 'instance'} to {target}"
            content = {"summary": summary, "instance": instance, "sopClass": outcome.sop_class, "to": target}
            self.queue.add(f"{instance} {target}", content)
        if matching:
            self.wake()

    def look(self) -> bool:
        """Send all that is due; return whether anything is before long."""
        if not any(map(self._is_ready, self._rules)):
            return True  # a long queue is not read for nothing
        batches: dict[str, list[dict]] = {}
        soon = False
        for document in self.queue.documents():
            target = document["to"]
            soon = soon or self.queue.is_soon(document)
            if not self.queue.is_due(document) or not self._is_ready(target):
                continue
            batches.setdefault(target, []).append(document)
            if len(batches[target]) >= PAGE:
                self._send(target, batches.pop(target))
            if self.stopped.is_set():
                return soon
        for target, batch in batches.items():
            self._send(target, batch)
        return soon

    def _is_ready(self, target: str) -> bool:
        return target in self._rules and self._resting.get(target, (0.0, 0))[0] <= time.monotonic()

    def _send(self, target: str, batch: list[dict]) -> None:
        claimed = self.queue.claim(batch)
        try:
            self._send_claimed(target, claimed)
        finally:
            self.queue.release(claimed)

    def _send_claimed(self, target: str, batch: list[dict]) -> None:
        rule, reader = self._rules[target], Retriever(self._services.couch, self._services.store)
        subs, begun = [], False
        # What failed goes last: a target that ends the association for it has the others before.
        for document in sorted(batch, key=lambda one: one["attempts"]):
            try:
                (stored,) = reader.instances(*document["instance"].split(":"))
                subs.append((document, Sub(stored, document["sopClass"])))
            except Exception as problem:  # noqa: BLE001 - of this instance alone
                if isinstance(problem, DicomWebError) and problem.status == 404:
                    self.queue.done(document)  # deleted meanwhile
                else:
                    self._failed(rule, document, explained(problem))
        if not subs:
            return
        try:
            way = self._by_web if rule.to.startswith("http") else self._by_dimse
            for document, reason in way(rule, reader, subs):
                begun = True
                if reason:
                    self._failed(rule, document, reason)
                else:
                    self.queue.done(document)
                if self.stopped.is_set():
                    return
            self._resting.pop(target, None)
        except (CouchError, DicomWebError):  # the queue cannot be written
            raise
        except Exception as problem:  # noqa: BLE001 - an error of ours, too, must not hold up other targets
            reason = explained(problem)
            failures = self._resting.get(target, (0.0, 0))[1] + 1
            self._resting[target] = time.monotonic() + pause_after(failures), failures
            for document, _sub in [] if begun else subs:  # else it may be the one that was sent last, which is counted
                self._failed(rule, document, reason)

    def _failed(self, rule: Rule, document: dict, reason: str) -> None:
        self.queue.failed(document, reason, rule.attempts)
        LOG.warning("%s was not forwarded to %s: %s", document["instance"], document["to"], reason)

    def _by_dimse(self, rule: Rule, reader: Retriever, subs: list[tuple[dict, Sub]]) -> Iterator[tuple[dict, str]]:
        """Send instances over one association; yield each with what went wrong, empty where nothing did."""
        association = associate(self._entity, self._settings.peers[rule.to], contexts_for(sub for _doc, sub in subs))
        if not association.is_established:
            raise Unreachable(f"{rule.to} accepts no association")
        with paused(association):
            for number, (document, sub) in enumerate(subs, 1):
                if not association.is_established:
                    raise Unreachable(f"{rule.to} ended the association")
                try:
                    told = send(association, reader, sub, number)
                except Exception as problem:  # noqa: BLE001 - of this instance alone
                    yield document, explained(problem)
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
                try:
                    answer = session.post(f"{url}/studies", data=_body(reader, sub), headers=headers, timeout=TIMEOUT)
                except requests.RequestException as problem:
                    if not _is_unreachable(problem):
                        yield document, explained(problem)
                    raise Unreachable(explained(problem)) from problem
                except Exception as problem:  # noqa: BLE001 - its bytes cannot be had
                    yield document, explained(problem)
                    continue
                if answer.status_code in (502, 503, 504):
                    yield document, f"{target_of(rule)} answered {answer.status_code}"
                    raise Unreachable(f"{target_of(rule)} answered {answer.status_code}")
                refused = answer.status_code not in (200, 202) or b"00081198" in answer.content
                yield document, f"{answer.status_code} {answer.text[:200]}" if refused else ""


def _is_unreachable(problem: requests.RequestException) -> bool:
    """Return whether there was no connection, so that it was not for what was sent on it."""
    cause = getattr(problem.args[0], "reason", None) if problem.args else None
    return isinstance(problem, requests.ConnectTimeout | requests.exceptions.SSLError) or isinstance(
        cause, NewConnectionError
    )


def _body(reader: Retriever, sub: Sub) -> Iterable[bytes]:
    """Yield the body of a store request (PS3.18 10.5.1).

    Raises
    ------
    NotSent
        Whatever goes wrong with reading it: OSError would look like one of the connection.
    """
    try:
        _size, pieces = reader.content(sub.stored)
        yield f"--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        yield from pieces()
        yield f"\r\n--{BOUNDARY}--\r\n".encode()
    except Exception as problem:
        raise NotSent(explained(problem)) from problem
