"""What this server remembers of the database, by one rule.

What is remembered belongs to a study or to the whole database (its *scope*), and is true until a change of that is
seen; or to one revision of a document, of which it stays true. All processes of the server share one number a scope
(`dicouch.couch.states`); a change gives it another. Whoever reads takes the number before (`Memory.token`), and what
was read is true as long as the number is the same.

- What this server writes changes the number behind CouchDB's answer and before the client is answered
  (`Couch.wrote`), so a client reads what it wrote, whichever process answers.
- What others write is told by the changes feed (`dicouch.couch.feed`). While that is silent nothing is remembered;
  each time it begins anew, everything is forgotten.
- What was read with a client's credentials is for the same credentials, and only while CouchDB let them in during the
  last `Config.remember` seconds: a right that was taken back is seen within that time.
"""

from __future__ import annotations

import struct
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Protocol

from dicouch.couch.client import Couch
from dicouch.couch.feed import Feed
from dicouch.couch.index import Mark
from dicouch.couch.response import CouchError
from dicouch.couch.ring import Ring
from dicouch.couch.states import DATABASE, REVISION, WORKLIST, States, Token
from dicouch.errors import DicomWebError

__all__ = ("DATABASE", "REVISION", "WORKLIST", "Memory", "Token")

# Bytes of all objects that one process remembers, and credentials of which it knows when they were let in.
LARGEST = 64 << 20
CREDENTIALS = 4096
# Before the bytes in the ring: the token, and when they were read.
_HEAD = struct.Struct("<QQd")


class Following(Protocol):
    """What follows the changes of the database, in this process; see `dicouch.couch.feed.Feed`."""

    # Told the ids of documents that were written, None where it is not known which.
    told: Callable[[list[str] | None], None]

    def start(self) -> None:
        """Begin to follow, unless that goes on already."""

    def is_alive(self) -> bool:
        """Return whether every change is heard of that was made a second ago."""

    def close(self) -> None:
        """Follow no longer."""


class Memory:
    """What one process remembers, and what it shares with the others of the server.

    Objects stay in the process (`remember`, `recall`), bytes go where all processes find them (`share`, `shared`).

    Parameters
    ----------
    couch : Couch
    feed : Following
    states : States
    ring : Ring
        These two are made before gunicorn forks.
    seconds : float
        For which credentials are trusted after CouchDB let them in; 0: nothing is remembered.
    largest : int
        Bytes of all objects together.
    clock : callable
        Seconds, the same in all processes.
    """

    def __init__(
        self,
        couch: Couch,
        feed: Following,
        states: States,
        ring: Ring,
        seconds: float,
        *,
        largest: int = LARGEST,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.states = states
        # Told of each recall whether something was found, None while nothing is remembered, and how many seconds ago it
        # was read (`Server-Timing`).
        self.observe: Callable[[bool | None, float], None] = lambda found, age: None
        self._couch = couch
        self._feed = feed
        self.ring = ring
        self._seconds = seconds
        self._largest = largest
        self._clock = clock
        # Value, token, when it was read, size.
        self._kept: OrderedDict[Hashable, tuple[object, Token, float, int]] = OrderedDict()
        self._bytes = 0
        self._admitted: OrderedDict[str | None, float] = OrderedDict()
        self._lock = threading.Lock()
        # Whether CouchDB keeps one copy of each document, and in which state of everything that was asked for.
        self._single: tuple[int, bool] | None = None
        weakref.finalize(self, feed.close)

    @classmethod
    def of(cls, couch: Couch, seconds: float, beside: Memory | None = None) -> Memory:
        """Return a memory that is told of what is written through `couch`, and follows the changes by others.

        Parameters
        ----------
        couch : Couch
        seconds : float
            See `Memory`.
        beside : Memory, optional
            With which it shares states and bytes, as processes that were forked do.
        """
        states, ring = (beside.states, beside.ring) if beside else (States(), Ring())
        memory = cls(couch, Feed(couch, states), states, ring, seconds)
        couch.wrote, couch.answered = states.wrote, memory.answered
        return memory

    def start(self) -> None:
        """Begin to follow the changes of the database; once a process, behind the fork."""
        if self._seconds:
            self._feed.start()

    def listen(self, told: Callable[[list[str] | None], None]) -> bool:
        """Tell changes of the database to somebody, also where nothing is remembered; return whether they are heard."""
        self._feed.told = told
        self._feed.start()
        return self._feed.is_alive()

    def is_awake(self) -> bool:
        """Return whether anything is remembered at all: not while changes by others are not heard of."""
        self.start()
        return self._seconds > 0 and self._feed.is_alive()

    def _sleeps(self) -> bool:
        if self.is_awake():
            return False
        if self._seconds:
            self.observe(None, 0.0)
        return True

    @property
    def largest_shared(self) -> int:
        """Bytes that can be shared at most."""
        return self.ring.largest - _HEAD.size

    def token(self, scope: str) -> Token:
        """Return the state of a scope. It is to be taken before what is remembered with it is read."""
        return self.states.token(scope)

    def moment(self) -> Callable[[str], Token]:
        """Return what tells the state in which any scope is now; for who learns of scopes by what is read."""
        return self.states.moment()

    def may_read_index(self, mark: Mark) -> bool:
        """Return whether the index may be read as it is; see `dicouch.couch.index`.

        Not in a cluster with copies: each has an index of its own, and which of them answers nobody knows.
        """
        if not self.is_awake():
            return False
        self.states.index.searched()
        if not self.states.index.may_be_read(mark):
            return False
        if self._single is None or self._single[0] != mark.everything:
            try:
                copies = self._couch.json("GET", "").get("cluster", {}).get("n", 1)
            except (CouchError, DicomWebError):
                return False
            self._single = mark.everything, copies == 1
        return self._single[1]

    def remember(
        self, scope: str, key: Hashable, authorization: str | None, value: object, token: Token, size: int = 500
    ) -> None:
        """Remember an object in this process.

        Parameters
        ----------
        scope : str
            Study Instance UID or `DATABASE`: the value stays true until that is changed. `REVISION` for what is true
            of one revision of a document: until the database is made anew.
        key : hashable
        authorization : str or None
            Credentials with which it was read.
        value : object
            Never changed by who is given it.
        token : Token
            The state of `scope` before it was read.
        size : int
            Bytes that it takes, about.
        """
        if size > self._largest // 8 or token != self.states.token(scope) or not self.is_awake():
            return
        place = (scope, key, authorization)
        with self._lock:
            self._drop(place)
            self._kept[place] = value, token, self._clock(), size
            self._bytes += size
            while self._bytes > self._largest:
                self._drop(next(iter(self._kept)))

    def recall(self, scope: str, key: Hashable, authorization: str | None, *, admitted: bool = False) -> Any:
        """Return an object that is still true, or None.

        Parameters
        ----------
        scope, key, authorization
            As in `remember`.
        admitted : bool
            Whether the caller sends CouchDB a request with these credentials in any case, so that they are checked.
        """
        if self._sleeps():
            return None
        place = (scope, key, authorization)
        with self._lock:
            value, token, read, _size = self._kept.get(place, (None, None, 0.0, 0))
            if token is not None and token != self.states.token(scope):
                self._drop(place)
                token = None
            if token is not None:
                self._kept.move_to_end(place)
        if token is None or not (admitted or self.admits(authorization)):
            self.observe(False, 0.0)
            return None
        self.observe(True, self._clock() - read)
        return value

    def share(self, scope: str, key: Hashable, authorization: str | None, value: bytes, token: Token) -> None:
        """Remember bytes in all processes; see `remember`."""
        if token == self.states.token(scope) and self.is_awake():
            self.ring.put(repr((scope, key, authorization)), _HEAD.pack(*token, self._clock()) + value)

    def shared(self, scope: str, key: Hashable, authorization: str | None) -> bytes | None:
        """Return bytes that are still true, whichever process remembered them, or None; see `recall`."""
        if self._sleeps():
            return None
        found = self.ring.get(repr((scope, key, authorization)))
        if found is not None:
            everything, own, read = _HEAD.unpack_from(found)
            if (everything, own) == self.states.token(scope) and self.admits(authorization):
                self.observe(True, self._clock() - read)
                return found[_HEAD.size :]
        self.observe(False, 0.0)
        return None

    def admits(self, authorization: str | None) -> bool:
        """Return whether CouchDB let credentials in a moment ago; it is asked when that was too long ago."""
        if self.admitted(authorization):
            return True
        try:
            self._couch.json("GET", "", authorization=authorization)
        except (CouchError, DicomWebError):
            return False
        return True

    def admitted(self, authorization: str | None, within: float | None = None) -> bool:
        """Return whether CouchDB let credentials in within some seconds, else a moment ago; it is not asked."""
        within = self._seconds if within is None else within
        return self._clock() - self._admitted.get(authorization, float("-inf")) <= within

    def answered(self, authorization: str | None, admitted: bool, asked: float) -> None:
        """Note whether CouchDB let credentials in, and when it was asked; see `Couch.answered`."""
        with self._lock:
            if not admitted:
                self._admitted.pop(authorization, None)
                return
            self._admitted[authorization] = max(asked, self._admitted.get(authorization, asked))
            self._admitted.move_to_end(authorization)
            if len(self._admitted) > CREDENTIALS:
                self._admitted.popitem(last=False)

    def _drop(self, place: Hashable) -> None:
        kept = self._kept.pop(place, None)
        if kept is not None:
            self._bytes -= kept[3]
