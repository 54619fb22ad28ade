"""Sending events to webhooks: at least once each, in their order, by a position in the log of changes that is kept.

A receiver that does not answer is tried again until it does: its position stays, and nothing is queued. Messages and
signatures are those of the Standard Webhooks specification (https://www.standardwebhooks.com).
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import socket
import threading
import time
from base64 import b64encode
from collections.abc import Sequence

import orjson
import requests

from dicouch.config import split_url
from dicouch.couch.client import Local
from dicouch.couch.response import CouchError
from dicouch.errors import DicomWebError
from dicouch.hooks.rules import Hook
from dicouch.read.events import Batch
from dicouch.rewrite.events import Event, Position
from dicouch.services import Services

LOG = logging.getLogger(__name__)

# Seconds before the second attempt, doubled each time, and at most.
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 600.0
# Seconds for which a process that sends is taken for alive, and between two words of it.
LEASE, RENEW = 30.0, 5.0
# Seconds between looks whether to stop, and for what is being sent then.
SLICE, GRACE = 0.5, 5.0


def signed(hook: Hook, message: str, at: int, body: bytes) -> dict[str, str]:
    """Return the headers of a message."""
    headers = {"Content-Type": "application/json", "webhook-id": message, "webhook-timestamp": str(at)}
    if hook.key:
        digest = hmac.digest(hook.key, f"{message}.{at}.".encode() + body, "sha256")
        headers["webhook-signature"] = f"v1,{b64encode(digest).decode('ascii')}"
    return headers


class Sender:
    """Sends to one webhook, in a thread of its own."""

    def __init__(self, services: Services, hook: Hook, stopped: threading.Event) -> None:
        self._services = services
        self._hook = hook
        self._stopped = stopped
        place = hashlib.sha256(hook.name.encode()).hexdigest()[:16]
        self._kept = Local(services.couch, f"webhook-{place}")
        self._session = requests.Session()
        self._session.trust_env = False
        url, self._session.auth = split_url(hook.url)
        self._url = url if url.count("/") > 2 else f"{url}/"
        self._pause = FIRST_PAUSE
        self._thread = threading.Thread(target=self._run, name=f"webhook {hook.name}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def join(self) -> None:
        """Wait for a moment until what is being sent is sent."""
        self._thread.join(GRACE)

    def _run(self) -> None:
        while not self._stopped.is_set():
            began = time.monotonic()
            try:
                with self._services.events.joined():
                    self._follow()
            except (CouchError, DicomWebError) as problem:
                LOG.warning("webhook %s: %s", self._hook.name, problem)
            except Exception:  # an error of ours must not end it
                LOG.exception("webhook %s", self._hook.name)
            if time.monotonic() - began > LONGEST_PAUSE:
                self._pause = FIRST_PAUSE  # it was well for long: this is no further failure of the same
            self._stopped.wait(self._pause)
            self._pause = min(self._pause * 2, LONGEST_PAUSE)

    def _follow(self) -> None:
        position = self._begin()
        while not self._stopped.is_set():
            batch = self._services.events.behind(position, SLICE)
            if batch is None:
                continue
            if not all(self._sent(event) for event in batch.events if self._hook.wanted.takes(event)):
                return  # it is to stop: the batch is sent again
            position = self._keep(batch)

    def _begin(self) -> Position:
        """Return where to go on; where it begins is kept, so that what comes while nobody sends is sent later."""
        now = self._services.events.now()
        kept = Position.read(str(self._kept.read().get("position", "")))
        if kept is not None and kept.log == now.log:
            return kept
        position = Position(now.log) if self._hook.from_the_beginning or kept is not None else now
        self._kept.write(webhook=self._hook.name, position=str(position))
        return position

    def _keep(self, batch: Batch) -> Position:
        self._kept.write(webhook=self._hook.name, position=str(batch.position))
        self._pause = FIRST_PAUSE
        return batch.position

    def _sent(self, event: Event) -> bool:
        """Send one event, again and again; return False when it is to stop before that succeeds."""
        header = None
        if self._hook.attributes:
            header = self._services.couch.get(f"{event.study}:study")
        body = orjson.dumps(self._hook.body_of(event, header))
        message = "msg_" + hashlib.sha256(self._hook.name.encode() + b"\n" + body).hexdigest()[:32]
        pause = FIRST_PAUSE
        while not self._stopped.is_set():
            problem = self._post(message, body)
            if not problem:
                return True
            LOG.warning("webhook %s: %s; next attempt in %g s", self._hook.name, problem, pause)
            self._stopped.wait(pause)
            pause = min(pause * 2, LONGEST_PAUSE)
        return False

    def _post(self, message: str, body: bytes) -> str:
        """Send a message; return what went wrong, empty where nothing did. What the receiver answers is not read."""
        try:
            with self._session.post(
                self._url,
                data=body,
                headers=signed(self._hook, message, int(time.time()), body),
                timeout=self._hook.timeout,
                verify=self._hook.ca or True,
                allow_redirects=False,
                stream=True,
            ) as answer:
                return "" if 200 <= answer.status_code < 300 else f"the receiver answered {answer.status_code}"
        except (OSError, requests.RequestException) as problem:
            return f"the receiver cannot be reached: {type(problem).__name__}"


class Senders:
    """Sends to all webhooks, while no other process does."""

    def __init__(self, services: Services, hooks: Sequence[Hook]) -> None:
        self._services = services
        self._hooks = hooks
        self._lease = Local(services.couch, "webhooks")
        self._owner = f"{socket.gethostname()} {os.getpid()}"
        self._stopped = threading.Event()
        self._running: list[Sender] = []
        self._renewed = float("-inf")

    def look(self) -> bool:
        """Begin, or stop where another process sends; to be called every second. Return whether this one does."""
        if time.monotonic() - self._renewed < RENEW:
            return bool(self._running)
        try:
            told = self._lease.read()
            if (
                told.get("owner", self._owner) != self._owner
                and told.get("until", 0) > time.time()
                and _lives(told["owner"])
            ):
                self._end()
                return False
            self._lease.write(owner=self._owner, until=time.time() + LEASE)
        except (CouchError, DicomWebError) as problem:
            LOG.warning("webhooks: %s", problem)
            return bool(self._running)
        if not self._running:
            self._stopped = threading.Event()
            try:
                for hook in self._hooks:
                    sender = Sender(self._services, hook, self._stopped)
                    sender.start()
                    self._running.append(sender)
            except RuntimeError as problem:  # no further thread can be had: all or none, and the next look tries again
                LOG.warning("webhooks: %s", problem)
                self._end()
                return False
        self._renewed = time.monotonic()
        return True

    def stop(self) -> None:
        """Send no more, and let another process begin."""
        had = bool(self._running)
        self._end()
        if had:
            try:
                self._lease.write(owner=self._owner, until=0)
            except (CouchError, DicomWebError) as problem:
                LOG.warning("webhooks: %s", problem)

    def _end(self) -> None:
        self._stopped.set()
        for sender in self._running:
            sender.join()
        self._running = []


def _lives(owner: str) -> bool:
    """Return whether a process may still send: one of this machine that is gone does not."""
    host, _, process = owner.rpartition(" ")
    if host != socket.gethostname() or not process.isdigit():
        return True
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
