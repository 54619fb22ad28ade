"""Storing and indexing at one pace, so that a search after a large upload finds little left to index.

CouchDB indexes what was written by itself, but behind a fast writer it falls behind by any number of documents, for
which the next search then waits. Here the index is asked for every few hundred instances, and who stores much more than
that while it catches up waits for it. A process paces what it stores itself.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from dicouch.couch.client import Couch, CouchError
from dicouch.errors import DicomWebError
from dicouch.rewrite import requests

EVERY = 600
"""Instances behind which the index is brought up to date: beginning to do so costs as much as a hundred of them."""
MOST = 1500
"""Instances that may be stored while it is not."""
LONGEST = 30.0
"""Seconds that an upload waits at most: an index that is built anew takes hours, and nothing is lost without it."""


class Pace:
    """How far the index is behind what this process has stored.

    Parameters
    ----------
    couch : Couch
    start : callable, optional
        Runs a function beside the request.
    """

    def __init__(self, couch: Couch, start: Callable[[Callable[[], None]], None] | None = None):
        self._couch = couch
        self._start = start or (lambda job: threading.Thread(target=job, name="index", daemon=True).start())
        self._changed = threading.Condition()
        self._behind = 0
        self._running = False

    def stored(self, count: int, authorization: str | None) -> None:
        """Take note of stored instances; wait while the index is too far behind.

        Parameters
        ----------
        count : int
        authorization : str or None
            The client's own credentials.
        """
        with self._changed:
            self._behind += count
            begin = self._behind >= EVERY and not self._running
            self._running = self._running or begin
        if begin:
            self._start(lambda: self._index(authorization))
        deadline = time.monotonic() + LONGEST
        with self._changed:
            while self._running and self._behind > MOST and time.monotonic() < deadline:
                self._changed.wait(1.0)

    def _index(self, authorization: str | None) -> None:
        while True:
            with self._changed:
                taken = self._behind
            try:
                request = requests.indexed()
                self._couch.json(request.method, request.path, params=request.params, authorization=authorization)
            except (CouchError, DicomWebError):
                pass  # a search will tell; the instances are stored
            with self._changed:
                self._behind -= taken
                self._running = self._behind >= EVERY
                self._changed.notify_all()
                if not self._running:
                    return
