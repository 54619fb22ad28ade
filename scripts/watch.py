"""Starting again what has ended or hangs: parts of a command that runs until a signal stops it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import requests

from dicouch.scripts.connection import CommandError
from dicouch.scripts.databases import DatabaseError

# Seconds between two looks, and those after which a part counts as steady: then its next end is its first.
INTERVAL = 0.2
STEADY = 60.0
# Seconds before the second start in a row, doubled each time, and at most.
FIRST_PAUSE, LAST_PAUSE = 0.5, 30.0
# Seconds for which a part may leave requests unanswered: while it does nothing at all, and while it works.
IDLE, BUSY = 10.0, 120.0
# Seconds between two requests that ask whether it answers, and for which each of them waits.
ASK, WAIT = 1.0, 3.0


class Pulse:
    """Whether a process still answers, asked in the background.

    Parameters
    ----------
    url : str
        What it answers at once when it is well.
    process : callable
        Returns the process as it is now.
    clock : callable
        Seconds.
    """

    def __init__(
        self, url: str, process: Callable[[], subprocess.Popen | None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._url = url
        self._process = process
        self._clock = clock
        self.begin()
        threading.Thread(target=self._ask, daemon=True).start()

    def begin(self) -> None:
        """Count from now on: the process was started."""
        self._answered = self._moved = self._clock()
        self._worked = -1

    def _ask(self) -> None:
        while True:
            self.feel(self._answers())
            time.sleep(ASK)

    def _answers(self) -> bool:
        try:
            requests.get(self._url, timeout=WAIT)  # whatever it says
        except requests.RequestException:
            return False
        return True

    def feel(self, answers: bool) -> None:
        """Take note of whether a request was answered, and of what the process worked when it was not."""
        if answers:
            self.begin()
            return
        process = self._process()
        worked = work_of(process.pid) if process else -1
        if worked != self._worked:
            self._worked, self._moved = worked, self._clock()

    def is_lost(self) -> bool:
        """Return whether it has not answered for too long: for longer while it works than while it does nothing."""
        now = self._clock()
        return now - self._answered > BUSY or min(now - self._answered, now - self._moved) > IDLE


def work_of(group: int) -> int:
    """Return the ticks of a processor that the processes of a group have used; 0 where the system does not tell."""
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):  # ended meanwhile
            # Behind the name, which may hold anything: proc(5).
            fields = path.read_text().rpartition(")")[2].split()
            if int(fields[2]) == group:
                ticks += int(fields[11]) + int(fields[12])
    return ticks


class Part:
    """A process that is started again when it has ended, or does not answer any more.

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
    pulse : Pulse, optional
        Tells whether it answers; one that does not leads a process group, which is ended.
    """

    def __init__(
        self,
        name: str,
        process: Callable[[], subprocess.Popen | None],
        restart: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
        pulse: Pulse | None = None,
    ) -> None:
        self.name = name
        self._process = process
        self._restart = restart
        self._clock = clock
        self._pulse = pulse
        self._starts = 0
        self._started = clock()
        # When the next start is due; None while the part runs.
        self._due: float | None = None

    def look(self, tell: Callable[[str], None]) -> None:
        """Start the part again when it has ended and its pause is over; `tell` is given each line for people."""
        process, now = self._process(), self._clock()
        code = process.poll() if process else None
        if self._due is None:
            if process is not None and code is None and self._pulse and self._pulse.is_lost():
                tell(f"{self.name} does not answer; it is ended")
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                code = process.wait()
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
        if self._pulse:
            self._pulse.begin()
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
