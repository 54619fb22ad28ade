"""Keeps the index near what is stored, so that a search after a large upload has little left to wait for.

CouchDB indexes by itself what was written, but each update begins with costs, and a fast writer leaves its index behind
by any number of documents. Here the index is asked for after every few hundred instances, and once nothing was stored
for a moment; uploads wait while it is too far behind. Each process counts what it stores itself.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress

from dicouch.couch.client import Couch
from dicouch.couch.response import CouchError
from dicouch.errors import DicomWebError
from dicouch.rewrite import requests

EVERY = 600
"""Instances after which the index is brought up to date: to begin with that costs as much as indexing a hundred."""
PAUSE = 1.0
"""Seconds without a store request after which the index is brought up to date with what is left."""
MOST = 1500
"""Instances that may be stored and not yet indexed before uploads wait."""
LONGEST = 30.0
"""Seconds that an upload waits at most, in all: an index built anew takes hours, and nothing is lost without it."""


class Pace:
    """How far the index is behind what this process has stored."""

    def __init__(self, couch: Couch) -> None:
        self._couch = couch
        self._changed = threading.Condition()
        self._behind = 0
        self._stored = 0.0  # when something was, the last time, and by whom
        self._authorization: str | None = None
        self._running = False

    @property
    def behind(self) -> int:
        """How many instances this process has stored and not had indexed yet."""
        return self._behind

    def stored(self, count: int, authorization: str | None, patience: float = LONGEST) -> float:
        """Take note of stored instances; wait while the index is too far behind, up to `patience` seconds.

        Return how many seconds it waited.
        """
        with self._changed:
            self._behind += count
            self._stored = time.monotonic()
            self._authorization = authorization
            begin, self._running = not self._running, True
            if self._behind >= EVERY:
                self._changed.notify_all()
        if begin:
            try:
                threading.Thread(target=self._index, name="index", daemon=True).start()
            except RuntimeError:  # no further thread can be had: the next batch tries again
                self._end()
        with self._changed:
            began = time.monotonic()
            self._changed.wait_for(lambda: not self._running or self._behind <= MOST, max(0.0, patience))
            return time.monotonic() - began

    def _index(self) -> None:
        """Bring the index up to date, each time that enough is stored or a pause comes; end when nothing is left."""
        try:
            while True:
                with self._changed:
                    while self._behind < EVERY and (left := self._stored + PAUSE - time.monotonic()) > 0:
                        self._changed.wait(left)
                    taken, authorization = self._behind, self._authorization
                request = requests.indexed()
                with suppress(CouchError, DicomWebError):  # the instances are stored; a search will say what is wrong
                    self._couch.json(request.method, request.path, params=request.params, authorization=authorization)
                with self._changed:
                    self._behind -= taken
                    self._running = self._behind > 0
                    self._changed.notify_all()
                    if not self._running:
                        return
        except BaseException:
            self._end()  # else uploads would wait for a thread that is gone
            raise

    def _end(self) -> None:
        with self._changed:
            self._running = False
            self._changed.notify_all()
