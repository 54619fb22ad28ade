"""How long one request waits for a database that does not answer, whatever it asks and in however many threads.

A context (`contextvars`) has it: who hands work to a thread hands it over (`handed`). Threads of the server's own have
none; each request of theirs to the database is bounded by itself.
"""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import ParamSpec, TypeVar

from dicouch.errors import DicomWebError

P = ParamSpec("P")
Made = TypeVar("Made")


class Patience:
    """Seconds that are left to wait: waits that end without an answer take from them, an answer begins them anew.

    Once none are left, no wait begins any more. Waits of several threads may each have all that is left, so the last
    of them ends after twice the seconds at most.

    Parameters
    ----------
    seconds : float
        In all.
    clock : callable
        Seconds.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = self._left = seconds
        self._clock = clock
        self._lock = threading.Lock()

    @contextmanager
    def waiting(self, most: float) -> Iterator[float]:
        """Give the seconds that may be waited, `most` at the most.

        Raises
        ------
        TimeoutError
            When none are left.
        """
        if self._left <= 0:
            raise TimeoutError(f"it was waited for {self._seconds:g} seconds in all")
        begun = self._clock()
        try:
            yield min(self._left, most)
        except (OSError, http.client.HTTPException):
            self.spend(self._clock() - begun)
            raise

    def spend(self, seconds: float) -> None:
        """Take what was waited in vain from what is left."""
        with self._lock:
            self._left -= seconds

    def renew(self) -> None:
        """Begin anew: the database works, whatever it answers."""
        with self._lock:
            if self._left > 0:
                self._left = self._seconds


_PATIENCE: ContextVar[Patience | None] = ContextVar("patience", default=None)


def begin(seconds: float | None) -> None:
    """Let what follows in this context wait so long in all; None: each wait has its own bound again."""
    _PATIENCE.set(None if seconds is None else Patience(seconds))


@contextmanager
def apart(seconds: float) -> Iterator[None]:
    """Let what is done here wait so long in all, whatever this context has left."""
    token = _PATIENCE.set(Patience(seconds))
    try:
        yield
    finally:
        _PATIENCE.reset(token)


def answered(status: int, seconds: float) -> None:
    """Tell what the database answered, and after how long: what fails there, or on the way, is no sign of life."""
    if (patience := _PATIENCE.get()) is not None:
        patience.renew() if status < 500 else patience.spend(seconds)


@contextmanager
def waiting(most: float) -> Iterator[float]:
    """Give the seconds that this context may wait, `most` at the most; TimeoutError when none are left."""
    if (patience := _PATIENCE.get()) is None:
        yield most
    else:
        with patience.waiting(most) as seconds:
            yield seconds


def wait_for(others: threading.Event, most: float) -> None:
    """Wait for what another thread asks the database.

    Raises
    ------
    DicomWebError
        503 when this context has nothing left before.
    """
    try:
        with waiting(most) as seconds:
            if not others.wait(seconds):
                raise TimeoutError("another request waits for it, too")
    except TimeoutError as problem:
        raise exhausted(problem) from problem


def spend(seconds: float) -> None:
    """Tell that this context waited in vain for others."""
    if (patience := _PATIENCE.get()) is not None:
        patience.spend(seconds)


def handed(job: Callable[P, Made]) -> Callable[P, Made]:
    """Return a job that another thread does with the patience of this one."""
    own = _PATIENCE.get()

    def run(*arguments: P.args, **options: P.kwargs) -> Made:
        token = _PATIENCE.set(own)
        try:
            return job(*arguments, **options)
        finally:
            _PATIENCE.reset(token)

    return run


def bound(sock: socket.socket | None, seconds: float) -> None:
    """Let a socket wait so long."""
    if sock is not None and sock.gettimeout() != seconds:
        with suppress(OSError):  # it broke, which is told already
            sock.settimeout(seconds)


def exhausted(problem: Exception) -> DicomWebError:
    """Return what a client is told of a database that does not answer."""
    reason = f"the database does not answer: {problem or type(problem).__name__}"
    return DicomWebError(503, reason, {"Retry-After": "5"})
