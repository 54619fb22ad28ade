"""Whether the index may be read as it is: numbers that all processes of a server share.

Who writes waits for the index (`dicouch.write.indexed`), so who searches need not wait for what is being written at the
moment: the index is read as it is (``update=false``) while

- this server wrote after the last update of the index was begun: else an update costs nothing,
- that was a moment ago (`GRACE`): what others wrote, and an index that is lost, shows by then,
- nothing is owed that this server acknowledged without waiting (`Index.owe`),
- and the processes of C-STORE have been told of it, without a gap since before that update: they wait only then.

What is owed, and the state of everything, are numbers that get another value. Who has the index brought up to date
takes them before (`Index.mark`): when they are the same afterwards, all that was known then is in it. An answer that
was read of the index as it is is never remembered.
"""

from __future__ import annotations

import mmap
import os
import time
from collections.abc import Callable
from typing import NamedTuple

# Seconds for which the index is read as it is behind the beginning of an update.
GRACE = 0.8
# Seconds behind a search within which another one is expected, so that who writes waits for the index.
SEARCHED = 2.0
# Seconds behind which others are told again, for which the index may be read then, and for which they believe it.
TELL, TOLD, BELIEVED = 0.5, 1.5, 2.5
_OWED, _OF_EVERYTHING, _OF_OWED, _BEGUN, _WROTE, _SEARCHED, _TOLD, _SINCE = range(8)


class Mark(NamedTuple):
    """What was known to be written at a time, and that time in nanoseconds."""

    everything: int
    owed: int
    at: int


class Index:
    """What is known of the index of the design document.

    Its numbers lie in memory that is made before gunicorn forks. Each is written at once, and says something of an
    update that is over, so numbers of two that are mixed are true as well.

    Parameters
    ----------
    everything : callable
        Gives the state of everything (`dicouch.couch.states.States`): another one each time the feed begins, and when a
        design document changes.
    clock : callable
        Nanoseconds, the same in all processes.
    """

    def __init__(self, everything: Callable[[], int], clock: Callable[[], int] = time.monotonic_ns) -> None:
        self._everything = everything
        self._clock = clock
        self._slots = memoryview(mmap.mmap(-1, mmap.PAGESIZE)).cast("Q")
        self._slots[_OF_EVERYTHING] = _number()  # nobody's: the index is brought up to date first

    def owe(self) -> None:
        """Tell that something is acknowledged that the index may not have."""
        self._slots[_OWED] = _number()

    def wrote(self) -> None:
        """Tell that this server wrote: whoever did so brings the index up to date, or owes that."""
        self._slots[_WROTE] = self._clock()

    def searched(self) -> None:
        """Tell that somebody searches."""
        self._slots[_SEARCHED] = self._clock()

    def is_searched(self) -> bool:
        """Return whether somebody searched a moment ago."""
        return self._within(self._slots[_SEARCHED], SEARCHED)

    def is_told(self, within: float = TELL) -> bool:
        """Return whether others were told some seconds ago that the index is read as it is."""
        return self._within(self._slots[_TOLD], within)

    def tell(self, word: Callable[[], object]) -> None:
        """Tell others by `word`, which raises where that fails.

        What they acknowledged before they could know of it needs an update that begins afterwards, unless they believe
        an earlier word still.
        """
        begun = self._clock()
        word()
        if not self.is_told(BELIEVED):
            self._slots[_SINCE] = self._clock()
        self._slots[_TOLD] = begun

    def mark(self) -> Mark:
        """Return what is known to be written; to be taken before the index is asked for."""
        at = self._clock()  # no later than what is taken behind it
        return Mark(self._everything(), self._slots[_OWED], at)

    def covered(self, mark: Mark) -> None:
        """Tell that the index was brought up to date after `mark`."""
        slots = self._slots
        if mark.at >= slots[_BEGUN] and mark.everything == self._everything():
            slots[_BEGUN], slots[_OF_OWED], slots[_OF_EVERYTHING] = mark.at, mark.owed, mark.everything

    def has(self, mark: Mark) -> bool:
        """Return whether the index has all that this server had acknowledged at `mark`."""
        return (self._slots[_OF_EVERYTHING], self._slots[_OF_OWED]) == (mark.everything, mark.owed)

    def may_be_read(self, mark: Mark) -> bool:
        """Return whether the index may be read as it is after `mark`, and that saves time."""
        begun = self._slots[_BEGUN]
        wanted = self._slots[_WROTE] >= begun >= self._slots[_SINCE] and self._within(begun, GRACE)
        return wanted and self.is_told(TOLD) and self.has(mark)

    def _within(self, moment: int, seconds: float) -> bool:
        return moment > 0 and self._clock() - moment < seconds * 1e9


def _number() -> int:
    return int.from_bytes(os.urandom(8), "little")
