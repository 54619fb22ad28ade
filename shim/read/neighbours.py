"""Reading of the index what is around an instance: who asks for one of a series mostly goes through all of it."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from contextlib import suppress

from dicouch.couch import known
from dicouch.couch.client import CouchError, Pending
from dicouch.errors import DicomWebError
from dicouch.read.ahead import POOL
from dicouch.read.retrieve import Retriever, Stored, stored_in_row
from dicouch.rewrite import requests

# Instances of the beginning of a series that are read beside the first one, and behind others.
BEGINNING = 16
SPAN = 64
# Seconds for which an answer waits for what is read beside it.
PATIENCE = 0.03
# For how many seconds a request for an instance of a series stands for interest in the others.
INTEREST = 2
# Series that are looked at.
SERIES = 256

# Keeps an instance that was read: when the database was asked (`time.monotonic`), `known.generation` of before that.
Keep = Callable[[Stored, float, str], None]


class Neighbours:
    """Which series are read instance by instance, in one process.

    Parameters
    ----------
    submit : callable
        Has a function called with its arguments.
    """

    def __init__(self, submit: Callable = POOL.submit):
        self.submit = submit
        self._series: OrderedDict[Hashable, float] = OrderedDict()
        self._reading: set[Hashable] = set()
        self._lock = threading.Lock()

    def is_first(self, series: Hashable) -> bool:
        """Tell that the database is asked for an instance; return whether it was for none of its series lately.

        Parameters
        ----------
        series : hashable
            Its series, and what else makes the difference.
        """
        now = time.monotonic()
        with self._lock:
            before = self._series.pop(series, float("-inf"))
            self._series[series] = now
            if len(self._series) > SERIES:
                self._series.popitem(last=False)
            return now - before > INTEREST

    def read(self, series: Hashable, read: Callable[[], None]) -> None:
        """Have what is around an instance read in the background, unless that is going on for its series.

        What it raises is dropped: the next request will tell.
        """
        with self._lock:
            if series in self._reading:
                return
            self._reading.add(series)
        self.submit(self._read, series, read)

    def _read(self, series: Hashable, read: Callable[[], None]) -> None:
        try:
            read()
        finally:
            with self._lock:
                self._reading.discard(series)


class Around:
    """What is around an instance that is about to be asked for.

    The first of a series has the beginning of the series read beside it, as most begin there; another one, which was
    not in that, has those behind it read in the background. A context: what is not read in it is given up.

    Parameters
    ----------
    neighbours : Neighbours
    reader : Retriever
        Not the one that answers.
    study, series : str
    *what : hashable
        What is kept of the instances, and for whom.
    wanted : bool
        Without it nothing is read.

    Attributes
    ----------
    asked : float
    generation : str
        What to keep the instance with; see `Keep`.
    """

    def __init__(
        self, neighbours: Neighbours, reader: Retriever, study: str, series: str, *what: Hashable, wanted: bool = True
    ):
        self._neighbours = neighbours
        self._reader = reader
        self._place = study, series
        self._key = study, series, reader.authorization, *what
        self.generation, self.asked = known.generation(), time.monotonic()
        self._beside: Pending | None = None
        self._wanted = wanted
        if wanted and neighbours.is_first(self._key):
            self._beside = reader.start(requests.beginning(study, series, BEGINNING))

    def read(self, one: Stored, keep: Keep) -> None:
        """Keep the others, in the background where that takes long.

        Parameters
        ----------
        one : Stored
            The instance, as its document tells.
        keep : callable
        """
        if not self._wanted:
            return
        if self._beside is None:
            self._neighbours.read(self._key, lambda: self._put(self._reader.behind(one, SPAN), one, keep))
            return
        beside, self._beside = self._beside, None

        def finish() -> None:
            with suppress(CouchError, DicomWebError):
                self._put([stored_in_row(row) for row in beside.json()["rows"]], one, keep)

        if beside.is_answered(PATIENCE):
            finish()
        else:  # the index is being brought up to date
            self._neighbours.submit(finish)

    def _put(self, found: list[Stored], one: Stored, keep: Keep) -> None:
        # As if they had been read with the first: a correction since then has made another generation.
        for stored in found:
            if stored.id != one.id:
                keep(stored, self.asked, self.generation)

    def __enter__(self) -> Around:
        return self

    def __exit__(self, *_exc) -> None:
        if self._beside is not None:
            self._beside.close()
