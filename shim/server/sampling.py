"""Watching: what gunicorn tells of each request, and every few seconds how full a process is and how far the index."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Sequence
from typing import Any
from wsgiref.types import WSGIEnvironment

from gunicorn.http.body import LengthReader
from gunicorn.http.message import Request

from dicouch.couch.client import Couch
from dicouch.couch.response import CouchError
from dicouch.errors import DicomWebError
from dicouch.rewrite import extended, requests
from dicouch.server.counters import STEP, Counters
from dicouch.server.timing import TRACE, Trace
from dicouch.server.worker import Worker
from dicouch.services import Services
from dicouch.write import upload

# Seconds that the database has to say how far its index is.
PATIENCE = 3.0


def count(counters: Counters, req: Request, environ: WSGIEnvironment, resp: Any) -> None:
    """Take note of a request that gunicorn has done with; `req.began` is when it began."""
    trace: Trace | None = environ.get(TRACE)
    began = getattr(req, "began", None)
    if began is None:
        return
    started = resp is not None and resp.headers_sent
    sent = 0
    if started and req.method != "HEAD":
        # What the kernel copies from a file by itself, gunicorn does not count.
        sent = resp.sent or resp.response_length or 0
    received = 0
    if trace is not None and trace.body is not None:
        received = trace.body.taken
    elif isinstance(getattr(req.body, "reader", None), LengthReader):
        received = max(0, int(environ.get("CONTENT_LENGTH") or 0) - req.body.reader.length)
    seconds = time.perf_counter() - began
    status = resp.status_code if started else 0
    endpoint = (trace.endpoint or "") if trace is not None else ""
    if trace is not None and endpoint.endswith(".OpenEventChannel") and resp is not None and not started:
        # It was no HTTP any more from the handshake on, and the shim waited all the time.
        status, trace.shim = 101, 0.0
    if trace is not None and endpoint.endswith((".RetrieveEvents", ".OpenEventChannel")):
        seconds = trace.couch + trace.shim  # they last as long as somebody listens
    counters.end(trace, status, seconds, received, sent)


def lag(couch: Couch, designs: Sequence[str]) -> dict[str, float]:
    """Return how many changes each design document's index is behind the database; NaN where that is not told."""
    found = {}
    for name in designs:
        found[name.partition("/")[2]] = math.nan
        try:
            request = requests.index_state(name)
            told = couch.json(request.method, request.path)["view_index"]["updates_pending"]
            # Of the copies of each shard, those that are asked.
            found[name.partition("/")[2]] = float(told.get("preferred", told.get("total", math.nan)))
        except (CouchError, DicomWebError, KeyError, TypeError):
            continue  # an older CouchDB, or none
    return found


def furthest(behind: dict[str, float]) -> float:
    """Return how far the index is behind that is furthest; NaN where nothing is known."""
    return max((number for number in behind.values() if not math.isnan(number)), default=math.nan)


def designs_of(services: Services) -> list[str]:
    """Return the design documents whose indexes searches use."""
    return [requests.DESIGN, *([extended.DESIGN] if services.extended else [])]


class Sampler:
    """A thread of a worker that takes note of how full it is, and writes the history with those of the others."""

    def __init__(self, worker: Worker, counters: Counters, services: Services) -> None:
        self._worker = worker
        self._counters = counters
        self._services = services
        self._couch = services.couch.with_timeout(PATIENCE)
        self._seen: tuple[float, float] = (-1.0, math.nan)

    def start(self) -> None:
        """Begin; once a process, behind the fork."""
        threading.Thread(target=self._run, name="sampler", daemon=True).start()

    def _run(self) -> None:
        while True:
            time.sleep(STEP - time.monotonic() % STEP)
            self._look()
            if step := self._counters.due():
                self._counters.sample(step, self._behind())

    def _look(self) -> None:
        """Say how full this process is."""
        pool = self._worker.tpool
        told = {
            "threads": len(pool._threads),
            "waiting": pool._work_queue.qsize(),
            "connections": self._worker.nr_conns,
            "storing": upload.POOL._work_queue.qsize(),
            "unindexed": self._services.pace.behind,
        }
        for name, number in told.items():
            self._counters.set(name, number)

    def _behind(self) -> float:
        """Return how far the index is behind; an idle database is not asked again."""
        asked = sum(number for number, _seconds in self._counters.totals().asked.values())
        before, known = self._seen
        if asked != before or known > 0:
            known = furthest(lag(self._couch, designs_of(self._services)))
        self._seen = asked, known
        return known
