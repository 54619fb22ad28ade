"""What the server counts of its requests, in memory that its processes share, and a short history of it.

Each process has a row of the table for itself, so that no lock crosses processes: `Counters.take_row` gives a process
the row of one that ended, whose counts go on. Nothing that is counted names a patient, a study or a person.
`dicouch.routes.metrics` tells the numbers, `dicouch.routes.status` draws them.
"""

from __future__ import annotations

import mmap
import threading
import time
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import cast

from flask import Flask

from dicouch.server.timing import Trace

NAME = "dicouch.counters"
# Rows of the table until `Counters.make_room` is told how many workers there are.
ROWS = 64
# Seconds that are the upper bounds of the buckets of a histogram; a last bucket has the rest.
BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
BUCKETS = len(BOUNDS) + 1
# Statuses that are sent; 0 stands for all others, and for answers that never began.
STATUSES = (
    *(0, 101, 200, 201, 202, 204, 206, 303, 304, 308, 400, 401, 403, 404, 405, 406, 408, 409, 411),
    *(412, 413, 414, 415, 416, 421, 426, 431, 500, 501, 502, 503),
)
# Of a route, behind its statuses and its buckets.
SUMS = ("seconds", "received", "sent", "couchdb", "shim")
# Of a process: sums, and what is so at the moment.
TOTALS = ("hits", "misses", "silent")
GAUGES = ("active", "threads", "waiting", "connections", "storing", "unindexed")
# How a request to CouchDB is recognised by its target, and what it is counted as.
ASKED = {
    **{"/_list/": "list", "/_view/": "view", "/_update/": "update", "/_show/": "show", "/_all_docs": "documents"},
    **{"/_bulk_docs": "bulk", ".dcm": "bytes", "/_": "other"},
}
ASKED_KINDS = (*ASKED.values(), "document")
# Groups of routes for pictures; the first whose beginning or end fits.
KINDS = ("search", "metadata", "frames", "rendered", "files", "store", "other")
# The history: so many steps of so many seconds.
STEP, STEPS = 5, 180
# What a step has besides the buckets of each kind.
SAMPLED = ("errors", "received", "sent", "couchdb", "shim", "hits", "misses", "behind")


def label(endpoint: str | None) -> str:
    """Return how a route is called: as in the capabilities (PS3.18 8.9), or by the page's name."""
    blueprint, _, name = (endpoint or "none").rpartition(".")
    return f"ui.{name}" if blueprint.startswith("ui") else name


def kind(route: str) -> str:
    """Return the group of a route; see `KINDS`."""
    if route.startswith(("SearchFor", "Count")):
        return "search"
    if route.startswith("Store"):
        return "store"
    if "Rendered" in route or route.endswith("Thumbnail"):
        return "rendered"
    if route.endswith("Metadata"):
        return "metadata"
    if route.endswith(("Frames", "PixelData", "Bulkdata", "BulkdataValue")):
        return "frames"
    return "files" if route.startswith("Retrieve") or "wado" in route else "other"


@dataclass
class Totals:
    """What was counted since the server started, of all processes."""

    # By route: requests by status, buckets, and `SUMS`; routes that nobody asked are left out.
    statuses: dict[str, dict[int, float]] = field(default_factory=dict)
    buckets: dict[str, list[float]] = field(default_factory=dict)
    sums: dict[str, dict[str, float]] = field(default_factory=dict)
    # `TOTALS` and `GAUGES`.
    values: dict[str, float] = field(default_factory=dict)
    # By kind: requests to CouchDB and their seconds.
    asked: dict[str, tuple[float, float]] = field(default_factory=dict)

    def of_all(self, name: str) -> float:
        """Return one of `SUMS`, of all routes."""
        return sum(sums[name] for sums in self.sums.values())


class Counters:
    """The table of an application; made before gunicorn forks.

    Parameters
    ----------
    endpoints : iterable of str
        Flask's names of all routes.
    """

    def __init__(self, endpoints: Iterable[str]) -> None:
        names = sorted({label(each) for each in endpoints} | {label(None)})
        self._block = len(STATUSES) + BUCKETS + len(SUMS)
        self._routes = {name: place * self._block for place, name in enumerate(names)}
        self._values = {name: place for place, name in enumerate((*TOTALS, *GAUGES), len(names) * self._block)}
        self._asked = len(names) * self._block + len(self._values)
        self._width = self._asked + 2 * len(ASKED_KINDS)
        self._sample = 1 + len(KINDS) * BUCKETS + len(SAMPLED)
        self._row = 0
        self._lock = threading.Lock()
        self.make_room(0)

    def make_room(self, workers: int) -> None:
        """Make the table anew for so many workers and as many again while they are replaced; before gunicorn forks."""
        self._rows = max(ROWS, 2 * workers)
        # Behind the rows one for processes beyond them, which is not told, and the step that was sampled last.
        self._history = (self._rows + 1) * self._width + 1
        # One step more than is shown: a step's numbers are what came to those of the step before.
        size = self._history + (STEPS + 1) * self._sample
        self._cells = memoryview(mmap.mmap(-1, size * 8)).cast("d")

    def take_row(self, row: int) -> None:
        """Count in a row of the table from now on, as the only process; what was counted there before stays."""
        self._row = min(row, self._rows) * self._width
        self._lock = threading.Lock()
        for name in GAUGES:
            self.set(name, 0.0)

    def set(self, name: str, value: float) -> None:
        """Say how one of `GAUGES` is in this process."""
        self._cells[self._row + self._values[name]] = value

    def begin(self) -> None:
        """Take note of a request that begins."""
        with self._lock:
            self._cells[self._row + self._values["active"]] += 1

    def end(self, trace: Trace | None, status: int, seconds: float, received: int, sent: int) -> None:
        """Take note of a request that was answered, or whose client went away."""
        route = self._row + self._routes[label(trace.endpoint if trace else None)]
        bucket = route + len(STATUSES) + bisect_left(BOUNDS, seconds)
        sums = route + len(STATUSES) + BUCKETS
        cells, values, active = self._cells, self._row + self._values["hits"], self._row + self._values["active"]
        with self._lock:
            cells[route + _STATUS_PLACES.get(status, 0)] += 1
            cells[bucket] += 1
            cells[sums] += seconds
            cells[sums + 1] += received
            cells[sums + 2] += sent
            cells[active] -= 1
            if trace is not None:
                cells[sums + 3] += trace.couch
                cells[sums + 4] += trace.shim
                if trace.hits or trace.misses or trace.silent:
                    cells[values] += trace.hits
                    cells[values + 1] += trace.misses
                    cells[values + 2] += trace.silent

    def asked(self, request: str, seconds: float, again: bool) -> None:
        """Take note of a request to CouchDB, or of more seconds of one (`again`)."""
        target = request.partition("?")[0]
        place = next((number for number, mark in enumerate(ASKED) if mark in target), len(ASKED))
        place = self._row + self._asked + 2 * place
        with self._lock:
            self._cells[place] += not again
            self._cells[place + 1] += seconds

    def totals(self) -> Totals:
        """Return what all processes have counted."""
        cells, width = self._cells, self._width
        rows = [list(cells[start : start + width]) for start in range(0, self._rows * width, width)]
        used = [row for row in rows if any(row)] or [[0.0] * width]
        summed = [sum(column, 0.0) for column in zip(*used, strict=True)]
        found = Totals()
        for name, start in self._routes.items():
            behind = start + len(STATUSES)
            statuses = dict(zip(STATUSES, summed[start:behind], strict=True))
            if any(statuses.values()):
                found.statuses[name] = {status: count for status, count in statuses.items() if count}
                found.buckets[name] = summed[behind : behind + BUCKETS]
                sums = summed[behind + BUCKETS : start + self._block]
                found.sums[name] = dict(zip(SUMS, sums, strict=True))
        found.values = {name: summed[place] for name, place in self._values.items()}
        pairs = summed[self._asked :]
        found.asked = {name: (pairs[2 * place], pairs[2 * place + 1]) for place, name in enumerate(ASKED_KINDS)}
        return found

    def due(self) -> int:
        """Return the number of this step for the first process that asks, which writes it, and 0 for the others.

        Where two are as fast as each other, they write the same.
        """
        step, last = int(time.monotonic() // STEP), self._history - 1
        if self._cells[last] >= step:
            return 0
        self._cells[last] = step
        return step

    def sample(self, step: int, behind: float) -> None:
        """Write a step into the history: what is counted by now, and how far the index is `behind`."""
        totals = self.totals()
        buckets = {name: [0.0] * BUCKETS for name in KINDS}
        for route, counted in totals.buckets.items():
            own = buckets[kind(route)]
            own[:] = [one + more for one, more in zip(own, counted, strict=True)]
        errors = sum(n for counts in totals.statuses.values() for status, n in counts.items() if status >= 500)
        told = {name: totals.of_all(name) for name in SUMS} | totals.values | {"errors": errors, "behind": behind}
        numbers = [*(count for name in KINDS for count in buckets[name]), *map(told.__getitem__, SAMPLED)]
        place = self._place(step)
        self._cells[place] = 0.0  # nobody reads what is half written
        for offset, number in enumerate(numbers, 1):
            self._cells[place + offset] = number
        self._cells[place] = step

    def samples(self) -> list[Sample]:
        """Return the history, the oldest first."""
        last = int(time.monotonic() // STEP)
        found = []
        for step in range(max(1, last - STEPS), last + 1):
            place = self._place(step)
            numbers = self._cells[place : place + self._sample].tolist()
            if numbers[0] == step:
                found.append(Sample(numbers))
        return found

    def _place(self, step: int) -> int:
        return self._history + step % (STEPS + 1) * self._sample


_STATUS_PLACES = {status: place for place, status in enumerate(STATUSES)}


class Sample:
    """What was counted by one step of the history."""

    def __init__(self, numbers: Sequence[float]) -> None:
        self.step = int(numbers[0])
        self.buckets = {
            name: numbers[1 + place * BUCKETS : 1 + (place + 1) * BUCKETS] for place, name in enumerate(KINDS)
        }
        self.values = dict(zip(SAMPLED, numbers[1 + len(KINDS) * BUCKETS :], strict=True))


def quantile(share: float, counts: Sequence[float]) -> float | None:
    """Return the seconds within which a share of requests was answered, by their buckets; None for no request.

    Between the bounds of a bucket it is as likely everywhere, as Prometheus' ``histogram_quantile`` has it.
    """
    wanted, before = share * sum(counts), 0.0
    if not wanted:
        return None
    for (low, high), count in zip(pairwise((0.0, *BOUNDS)), counts, strict=False):
        if count and before + count >= wanted:
            return low + (high - low) * (wanted - before) / count
        before += count
    return BOUNDS[-1]


def of(app: Flask) -> Counters:
    """Return the counters of an application."""
    return cast(Counters, app.extensions[NAME])
