"""Starting again what has ended: parts of a command that runs until a signal stops it."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Sequence

from dicouch.scripts.connection import CommandError
from dicouch.scripts.databases import DatabaseError

# Seconds between two looks, and those after which a part counts as steady: then its next end is its first.
INTERVAL = 0.2
STEADY = 60.0
# Seconds before the second start in a row, doubled each time, and at most.
FIRST_PAUSE, LAST_PAUSE = 0.5, 30.0


class Part:
    """A process that is started again when it has ended.

    Parameters
    ----------
    name : str
        For people.
    process : callable
        Returns the process as it is now; None for one that is not there.
    restart : callable
        Starts it again; may raise DatabaseError, CommandError or OSError.
    clock : callable
        Seconds.
    """

    def __init__(
        self,
        name: str,
        process: Callable[[], subprocess.Popen | None],
        restart: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._process = process
        self._restart = restart
        self._clock = clock
        self._starts = 0
        self._started = clock()
        # When the next start is due; None while the part runs.
        self._due: float | None = None

    def look(self, tell: Callable[[str], None]) -> None:
        """Start the part again when it has ended and its pause is over; `tell` is given each line for people."""
        process, now = self._process(), self._clock()
        code = process.poll() if process else None
        if self._due is None:
            if process is None or code is None:
                return
            if now - self._started > STEADY:
                self._starts = 0
            self._wait(f"{self.name} ended by itself (code {code})", tell)
        if self._due is None or now < self._due:
            return
        self._starts += 1
        try:
            self._restart()
        except (DatabaseError, CommandError, OSError) as problem:
            self._wait(f"{self.name} did not start: {problem}", tell)
            return
        self._started, self._due = self._clock(), None
        tell(f"again       {self.name}")

    def _wait(self, what: str, tell: Callable[[str], None]) -> None:
        pause = min(LAST_PAUSE, FIRST_PAUSE * 2 ** (self._starts - 1)) if self._starts else 0.0
        self._due = self._clock() + pause
        tell(f"{what}; it is started again" + (f" in {pause:g} s" if pause else ""))


def forever(parts: Sequence[Part], tell: Callable[[str], None], check: Callable[[], None]) -> None:
    """Look at all parts again and again; `check` ends it, by what it raises."""
    while True:
        check()
        for part in parts:
            part.look(tell)
        time.sleep(INTERVAL)
