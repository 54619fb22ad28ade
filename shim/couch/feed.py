"""Following the changes of the database (``_changes``, long polls), in a thread of each process.

A long poll is answered by the first change; behind it comes a pause, so that a server that stores is not woken for
each of its own writes. With a continuous feed a write of one document cost CouchDB 3 ms more of processor time.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import orjson

from dicouch.couch.client import Couch
from dicouch.couch.response import CouchError
from dicouch.couch.states import States
from dicouch.errors import DicomWebError

LOG = logging.getLogger(__name__)

# Seconds between two signs of life that CouchDB is asked for, of silence after which nothing is trusted that was not
# heard of, and of silence after which the feed is begun anew.
HEARTBEAT = 0.4
SILENT = 2 * HEARTBEAT
LOST = 5 * HEARTBEAT
# Seconds between an answer with changes and the next request, and changes of one answer: a feed that begins anew, or
# replication, would bring those of a whole archive.
PAUSE, MOST = 0.25, 1000
# Seconds between two attempts, at first and at most.
FIRST_PAUSE, LAST_PAUSE = 0.1, 5.0


class Lost(Exception):
    """The feed was silent for so long that it is begun anew."""


class Feed:
    """Tells `States` of every change in the database, whoever made it.

    Parameters
    ----------
    couch : Couch
        With the server's own credentials.
    states : States
    clock, sleep : callable
        Of seconds.
    """

    def __init__(
        self,
        couch: Couch,
        states: States,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        # What is silent for this long shall raise.
        self._couch = couch.with_timeout(LOST)
        self._states = states
        self._clock = clock
        self._sleep = sleep
        self._process = 0
        self._closed = False
        # Told the ids of documents that were written, None where it is not known which.
        self.told: Callable[[list[str] | None], None] = lambda ids: None
        self._lock = threading.Lock()
        self._heard = self._trusted = float("-inf")

    def start(self) -> None:
        """Follow, in a thread of this process: threads do not survive the fork."""
        if self._process == os.getpid():
            return
        with self._lock:
            if self._process != os.getpid():
                self._heard = float("-inf")
                with suppress(RuntimeError):  # no further thread can be had: the next request tries again
                    threading.Thread(target=self._run, name="changes", daemon=True).start()
                    self._process = os.getpid()

    def is_alive(self) -> bool:
        """Return whether the feed was heard of a moment ago, so that no change is unknown that is older."""
        return self._trusted <= self._clock() <= self._heard + SILENT

    def close(self) -> None:
        """Follow no longer; the thread ends at the next sign of life."""
        self._closed = True

    def follow(self) -> None:
        """Follow until the feed ends.

        Raises
        ------
        CouchError, DicomWebError
            The database refuses, or does not answer.
        Lost
            It was silent for too long.
        """
        since = self._couch.json("GET", "_changes", params={"since": "now", "limit": 1})["last_seq"]
        # Every change from now on is told. What was read before, others may have changed without being heard.
        self._states.changed_all()
        self.told(None)
        self._trusted = self._heard = self._clock()
        while told := self._wait(since):
            if len(told["results"]) > _number(told["last_seq"]) - _number(since):
                self._states.changed_all()  # another database of the same name, told from its beginning
                self.told(None)
            since = told["last_seq"]
            if len(told["results"]) < MOST:
                self._sleep(PAUSE)

    def _wait(self, since: object) -> dict[str, Any] | None:
        """Return the first changes behind a sequence, each told to `States`; None when the feed is at its end."""
        parameters = {"feed": "longpoll", "since": since, "heartbeat": round(HEARTBEAT * 1000), "limit": MOST}
        headers = {"Accept-Encoding": "identity"}  # compressed, signs of life would wait for each other
        pieces: list[bytes] = []
        with self._couch.request("GET", "_changes", params=parameters, headers=headers) as answer:
            self.hear()
            for line in answer.lines():
                if line.strip():
                    pieces.append(line)
                if self._closed:
                    return None
                if len(pieces) <= 1:  # nothing is there yet that was not told
                    self.hear()
        told: dict[str, Any] = orjson.loads(b"".join(pieces))
        for change in told["results"]:
            self._states.changed(change["id"])
        self.told([change["id"] for change in told["results"]])
        self.hear()
        # Without any change the database is gone.
        return told if told["results"] else None

    def hear(self) -> None:
        """Note a sign of life.

        Raises
        ------
        Lost
            See `follow`.
        """
        now = self._clock()
        if now - self._heard > LOST:
            raise Lost
        if now - self._heard > SILENT:
            # What piled up meanwhile, in front of this line or behind it, is read by then.
            self._trusted = now + HEARTBEAT
        self._heard = now

    def attempt(self) -> bool:
        """Follow; return whether that began, at the end of it."""
        try:
            self.follow()
        except (CouchError, DicomWebError, Lost, OSError, ValueError) as problem:
            LOG.info("the changes feed ends: %s", problem or type(problem).__name__)
        finally:
            begun = self._heard > float("-inf")
            self._heard = float("-inf")
        return begun

    def _run(self) -> None:
        pause = FIRST_PAUSE
        while not self._closed:
            try:
                began = self.attempt()
            except Exception:  # noqa: BLE001 - without this thread the process would remember nothing any more
                LOG.exception("the changes feed")
                began = False
            pause = FIRST_PAUSE if began else min(pause * 2, LAST_PAUSE)
            time.sleep(pause)


def _number(sequence: object) -> int:
    """Return how many changes a sequence counts: CouchDB's ``5-g1AAAA…`` and the embedded database's 5."""
    return int(str(sequence).partition("-")[0])
