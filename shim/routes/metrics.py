"""``/metrics``: what the server counts, for Prometheus; docs/upload-and-status.md has the list."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import accumulate

from flask import Blueprint, Response, current_app, request
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector, CollectorRegistry

from dicouch.couch.response import CouchError
from dicouch.errors import DicomWebError
from dicouch.routes import current
from dicouch.server import counters, listening, sampling
from dicouch.server.counters import BOUNDS, GAUGES, Totals
from dicouch.server.proxy import PROXIED
from dicouch.services import services

blueprint = Blueprint("metrics", __name__)

# Seconds for which who logged in may see how the server does while the database does not answer.
LATELY = 3600.0
# What `dicouch.server.counters` calls them, and what they are.
OF_ROUTES = {
    "received": ("request_bytes", "Bytes of bodies of requests"),
    "sent": ("response_bytes", "Bytes of bodies of answers"),
    "couchdb": ("request_couchdb_seconds", "What requests waited for CouchDB before their answers began"),
    "shim": ("request_shim_seconds", "What the shim took besides before answers began"),
}
NOW = {
    "active": ("requests_active", "Requests that are being answered"),
    "threads": ("threads", "Threads that answer requests"),
    "waiting": ("requests_waiting", "Requests that wait for a thread"),
    "connections": ("connections", "Open connections of clients"),
    "storing": ("store_batches_waiting", "Batches of instances that wait for a thread that stores"),
    "unindexed": ("store_instances_unindexed", "Stored instances that may not be indexed yet"),
}


@blueprint.get("/metrics")
def metrics() -> Response:
    """Tell the counters in Prometheus' text format, or as OpenMetrics where that is asked for."""
    admit()
    registry = CollectorRegistry(auto_describe=False)
    behind = sampling.lag(services().couch.with_timeout(sampling.PATIENCE), sampling.designs_of(services()))
    registry.register(Counted(counters.of(current_app).totals(), behind))
    encoder, kind = choose_encoder(request.headers.get("Accept", ""))
    response = Response(encoder(registry), content_type=kind)
    response.headers["Cache-Control"] = "no-store"
    return response


def admit() -> None:
    """Let those see how the server does who are on this machine, log in, or may read everything.

    Raises
    ------
    DicomWebError
        401 for others; 503 while nobody says who logs in.
    """
    if services().config.open_to_the_network == "yes":
        return
    environ = request.environ
    forwarded = any(name.startswith("HTTP_X_FORWARDED_") or name in PROXIED for name in environ)
    if not forwarded and listening.is_local((environ.get("REMOTE_ADDR", ""),)):
        return
    who = current.authorization()
    if who is None or not _is_user(who):
        reason = "figures of this server are for who is on its machine or logs in (docs/safety.md)"
        raise DicomWebError(401, reason, {"WWW-Authenticate": 'Basic realm="dicouch"'})


def _is_user(who: str) -> bool:
    """Return whether the database lets credentials in, or did lately where it does not answer; else `DicomWebError`."""
    memory = services().memory
    if memory.admitted(who):
        return True
    couch = services().couch.with_timeout(sampling.PATIENCE)
    couch.answered = memory.answered
    try:
        couch.json("GET", "", authorization=who)
    except (CouchError, DicomWebError) as problem:
        if problem.status in (400, 401, 403):
            return False
        if memory.admitted(who, LATELY):
            return True
        reason = "the database, which knows who logs in, does not answer"
        raise DicomWebError(503, reason, {"Retry-After": "5"}) from problem
    return True


class Counted(Collector):
    """The counters as metrics of Prometheus."""

    def __init__(self, totals: Totals, behind: dict[str, float]) -> None:
        self._totals = totals
        self._behind = behind

    def collect(self) -> Iterator[Metric]:
        """Yield every metric."""
        told = self._totals
        requests = CounterMetricFamily("dicouch_requests", "Requests that were answered", labels=("route", "status"))
        latency = HistogramMetricFamily(
            "dicouch_request_seconds", "From the beginning of a request to the end of its answer", labels=("route",)
        )
        for route, counts in told.statuses.items():
            for status, number in counts.items():
                requests.add_metric((route, str(status or "none")), number)
            buckets = zip((*map(str, BOUNDS), "+Inf"), accumulate(told.buckets[route]), strict=True)
            latency.add_metric((route,), list(buckets), told.sums[route]["seconds"])
        yield requests
        yield latency
        for name, (metric, what) in OF_ROUTES.items():
            family = CounterMetricFamily(f"dicouch_{metric}", what, labels=("route",))
            for route, sums in told.sums.items():
                family.add_metric((route,), sums[name])
            yield family
        asked = CounterMetricFamily("dicouch_couchdb_requests", "Requests to CouchDB", labels=("kind",))
        seconds = CounterMetricFamily("dicouch_couchdb_seconds", "What requests to CouchDB took", labels=("kind",))
        for kind, (number, took) in told.asked.items():
            asked.add_metric((kind,), number)
            seconds.add_metric((kind,), took)
        yield asked
        yield seconds
        looks = CounterMetricFamily("dicouch_memory_lookups", "Looks into the shim's memory", labels=("result",))
        for name, result in (("hits", "hit"), ("misses", "miss"), ("silent", "silent")):
            looks.add_metric((result,), told.values[name])
        yield looks
        for name in GAUGES:
            metric, what = NOW[name]
            yield GaugeMetricFamily(f"dicouch_{metric}", what, value=told.values[name])
        index = GaugeMetricFamily(
            "dicouch_index_behind", "Changes of the database that an index does not have yet", labels=("design",)
        )
        known = {design: number for design, number in self._behind.items() if not math.isnan(number)}
        for design, number in known.items():
            index.add_metric((design,), number)
        yield index
        yield GaugeMetricFamily(
            "dicouch_couchdb_up", "Whether CouchDB told how far its index is", value=float(bool(known))
        )
