"""Bytes that the processes of a server share, in a ring whose oldest are overwritten. See `dicouch.couch.memory`."""

from __future__ import annotations

import fcntl
import hashlib
import mmap
import struct
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager

# A slot of the table: digest of the key, where the bytes begin (counted since the beginning of time), how many.
_SLOT = struct.Struct("<24sQQ")
_HEAD = struct.Struct("<Q")
_WAYS = 4


class Ring:
    """What was asked for last, in memory that is made before gunicorn forks and goes with its processes.

    Answers lie in a ring, the oldest being overwritten; one that is asked for again in its older half is put anew.
    A table tells where they are. Who looks at it or writes holds a lock that the system takes back when the process
    ends; answers are read without it, and what was overwritten meanwhile shows in how far the ring went on. A process
    that is killed while it writes leaves a part of the ring unused until its turn comes, and no entry.

    Parameters
    ----------
    limit : int
        Bytes of all answers together; one of more than an eighth of them is not kept.
    entries : int
        Answers at the most.
    """

    def __init__(self, limit: int = 64 << 20, entries: int = 1 << 15) -> None:
        self.limit = limit
        self.largest = limit // 8
        self._buckets = max(1, entries // _WAYS)
        self._start = _HEAD.size + self._buckets * _WAYS * _SLOT.size
        self._memory = mmap.mmap(-1, self._start + limit)
        # Locks of records belong to a process and threads do not see them, hence both.
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the cache
        self._lock = threading.Lock()

    def get(self, key: str) -> bytes | None:
        """Return an answer, or None when it is not kept."""
        digest = _digest(key)
        with self._locked():
            _place, begin, size = self._find(digest)
        if size is None:
            return None
        answer = self._memory[self._at(begin) : self._at(begin) + size]
        with self._locked():
            behind = self._head() - begin
        if behind > self.limit:
            return None
        if behind > self.limit // 2:
            self.put(key, answer)
        return answer

    def put(self, key: str, answer: bytes) -> None:
        """Keep an answer, in the place of the oldest."""
        size = len(answer)
        if size > self.largest:
            return
        with self._locked():
            begin = self._head()
            left = self.limit - begin % self.limit
            begin += left if left < size else 0
            # First of all, for readers and should the process be killed: those bytes are no other answer's any more.
            _HEAD.pack_into(self._memory, 0, begin + size)
            # Still locked: were the ring to go round meanwhile, this would overwrite what others put.
            self._memory[self._at(begin) : self._at(begin) + size] = answer
            digest = _digest(key)
            place = self._find(digest)[0]
            # Empty while it is written, should that be the moment when the process is killed.
            self._memory[place : place + _SLOT.size] = bytes(_SLOT.size)
            self._memory[place + 24 : place + _SLOT.size] = _SLOT.pack(digest, begin, size)[24:]
            self._memory[place : place + 24] = digest

    def _find(self, digest: bytes) -> tuple[int, int, int | None]:
        """Return the slot of a key, where its answer begins and its size; None for the size when there is none.

        The slot is then the one that is free, or the oldest of those that the key can have.
        """
        bucket = _HEAD.size + int.from_bytes(digest[:4], "little") % self._buckets * _WAYS * _SLOT.size
        slots = []
        for place in range(bucket, bucket + _WAYS * _SLOT.size, _SLOT.size):
            kept, begin, size = _SLOT.unpack_from(self._memory, place)
            if kept == digest:
                return (place, begin, size) if self._head() - begin <= self.limit else (place, 0, None)
            slots.append((begin, place))
        return min(slots)[1], 0, None

    def _head(self) -> int:
        """Return how many bytes of the ring were ever given away."""
        (given,) = _HEAD.unpack_from(self._memory)
        return int(given)

    def _at(self, begin: int) -> int:
        return self._start + begin % self.limit

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with self._lock:
            fcntl.lockf(self._file, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.lockf(self._file, fcntl.LOCK_UN)


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()[:24]
