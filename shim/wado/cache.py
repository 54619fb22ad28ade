"""A cache of answers in memory, bounded by their bytes. Its keys are exact validators, so nothing in it is ever old."""

from __future__ import annotations

import threading
from collections import OrderedDict


class Cache:
    """The most recently used answers of one process.

    Parameters
    ----------
    limit : int
        Bytes of all answers together; one of more than an eighth of them is not kept.
    """

    def __init__(self, limit: int = 32 * 1024 * 1024):
        self.limit = limit
        self.largest = limit // 8
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, key: str) -> bytes | None:
        """Return an answer, or None when it is not kept."""
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
            return found

    def put(self, key: str, answer: bytes) -> None:
        """Keep an answer, and forget those that were not asked for longest."""
        if len(answer) > self.largest:
            return
        with self._lock:
            self._bytes += len(answer) - len(self._kept.pop(key, b""))
            self._kept[key] = answer
            while self._bytes > self.limit:
                self._bytes -= len(self._kept.popitem(last=False)[1])
