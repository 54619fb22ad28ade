"""Who writes waits for the index, so that who searches does not; see `dicouch.couch.index`.

One update of the index serves all requests of a process that wrote before it. Nothing depends on it: where it is not
waited for, as nobody searches, the database is too slow or refuses, a search that follows has the index brought up to
date itself. C-STORE's process cannot know of searches: a document tells it that the index is read as it is (`Word`).
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from dicouch.couch import patience
from dicouch.couch.client import Couch, Local
from dicouch.couch.index import BELIEVED, GRACE
from dicouch.couch.response import CouchError
from dicouch.couch.states import States, is_searched
from dicouch.errors import DicomWebError
from dicouch.rewrite import requests

# Seconds that a request waits for the index at most, and for which none waits behind one that waited in vain: an index
# that is built anew takes hours.
LONGEST, REST = 5.0, 30.0


class Word:
    """A document that says another word each time that somebody tells others of reading the index as it is."""

    def __init__(self, couch: Couch, clock: Callable[[], float] = time.monotonic) -> None:
        self._document = Local(couch, "read-as-it-is")
        self._clock = clock
        self._last: tuple[object, float] = (None, 0.0)

    def say(self) -> None:
        """Say a word; CouchError or DicomWebError where nobody hears it."""
        self._document.write(word=secrets.token_hex(8))

    def is_said(self) -> bool:
        """Return whether the word may be believed: it is not known to be old.

        Several threads may read different words; then each is new for longer.
        """
        asked = self._clock()  # no later than the database looks
        try:
            word = self._document.read().get("word")
        except (CouchError, DicomWebError):
            return True
        last, since = self._last
        if word != last:
            self._last = word, self._clock()
        return word is not None and (word != last or asked - since < BELIEVED)


class Indexed:
    """How often this process wrote, and how much of it is in the index.

    Parameters
    ----------
    couch : Couch
        Its `wrote` is to call that of this object.
    states : States
        Shared by all processes.
    clock : callable
        Seconds.
    """

    def __init__(self, couch: Couch, states: States, clock: Callable[[], float] = time.monotonic) -> None:
        self._couch = couch.with_timeout(LONGEST)
        self._word = Word(self._couch, clock)
        self._states = states
        self._clock = clock
        self._changed = threading.Condition()
        # How often this process wrote, and how often when the last update of the index was begun that is over.
        self.writes = self._done = 0
        # How often it had when the last one was begun, or left out, without success.
        self._failed = 0
        self._running = False
        self._rests_until = float("-inf")

    def wrote(self, document_ids: Sequence[str] | None) -> None:
        """Tell that documents were written, or may have been; see `Couch.wrote`."""
        self._states.wrote(document_ids)
        if document_ids is None or any(map(is_searched, document_ids)):
            self._states.index.wrote()
            with self._changed:
                self.writes += 1

    def wait_for_others(self) -> None:
        """Wait as `wait` does, where another process reads the index as it is."""
        with patience.apart(LONGEST):
            said = self._word.is_said()
        if said and not self.wait(None, searched=True):
            # The searching processes cannot know that this one owes an update; after this they read none from before.
            time.sleep(GRACE)

    def wait(self, authorization: str | None, *, searched: bool = False) -> bool:
        """Wait until the index has what this process wrote before, or until that is a search's to do.

        Return whether the index has it.

        Parameters
        ----------
        authorization : str or None
            The client's own credentials.
        searched : bool
            Whether others search of whom this process does not know.
        """
        with self._changed:
            wanted, until = self.writes, self._clock() + LONGEST
            while self._done < wanted and self._running and self._changed.wait(until - self._clock()):
                pass
            if self._done >= wanted:
                return self._failed < wanted
            begun, now = self.writes, self._clock()
            mine = not self._running and self._rests_until <= now < until
            mine = mine and (searched or self._states.index.is_searched())
            self._running |= mine
        done = False
        try:
            done = mine and self._update(authorization, until - now, searched)
        finally:
            if not done:
                self._states.index.owe()
            with self._changed:
                self._done = max(self._done, begun)
                self._failed = self._failed if done else max(self._failed, begun)
                if mine:
                    self._running = False
                self._changed.notify_all()
        return done

    def _update(self, authorization: str | None, seconds: float, others: bool) -> bool:
        index, request = self._states.index, requests.indexed()
        try:
            # Not of what the request has left: others wait for this, too.
            with patience.apart(seconds):
                if not others and not index.is_told():
                    with suppress(CouchError):  # another server was first, or this one must not: then it is not read so
                        index.tell(self._word.say)
                mark = index.mark()
                self._couch.json(request.method, request.path, params=request.params, authorization=authorization)
        except DicomWebError:
            self._rests_until = self._clock() + REST
            return False
        except CouchError:
            return False
        index.covered(mark)
        return True
