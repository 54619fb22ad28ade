"""Reading of the index what is around an instance: who asks for two of a series mostly goes through all of it."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable

from shim.wado.ahead import POOL

# Instances that one request to the index tells of.
SPAN = 64
# For how many seconds a request for an instance of a series stands for interest in the others.
INTEREST = 2
# Series that are looked at.
SERIES = 256


class Neighbours:
    """Which series are read instance by instance, in one process.

    The second instance that the database had to be asked for within `INTEREST` has those behind it read, in the
    background; one reading of a series goes on at a time.

    Parameters
    ----------
    submit : callable
        Has a function called with its arguments.
    """

    def __init__(self, submit: Callable = POOL.submit):
        self._submit = submit
        self._series: OrderedDict[Hashable, float] = OrderedDict()
        self._reading: set[Hashable] = set()
        self._lock = threading.Lock()

    def asked(self, series: Hashable, read: Callable[[], None]) -> None:
        """Tell that the database was asked for an instance.

        Parameters
        ----------
        series : hashable
            Its series, and what else makes the difference.
        read : callable
            Reads what is behind the instance. What it raises is dropped: the next request will tell.
        """
        now = time.monotonic()
        with self._lock:
            before = self._series.pop(series, float("-inf"))
            self._series[series] = now
            if len(self._series) > SERIES:
                self._series.popitem(last=False)
            if now - before > INTEREST or series in self._reading:
                return
            self._reading.add(series)
        self._submit(self._read, series, read)

    def _read(self, series: Hashable, read: Callable[[], None]) -> None:
        try:
            read()
        finally:
            with self._lock:
                self._reading.discard(series)
