"""The page that shows how the server does: charts of the last minutes, of the numbers that ``/metrics`` has."""

from __future__ import annotations

import math
from collections.abc import Callable
from html import escape
from itertools import pairwise
from typing import Any

from flask import Blueprint, Response, current_app, request

from dicouch.couch.response import CouchError
from dicouch.errors import DicomWebError
from dicouch.routes import metrics, pages, problems
from dicouch.server import counters
from dicouch.server.counters import KINDS, STEP, STEPS, Sample, quantile

blueprint = Blueprint("ui_status", __name__, url_prefix="/ui")

Values = list[float | None]


@blueprint.get("/status")
def status() -> Response:
    """Show how the server does, also while the database does not answer."""
    metrics.admit()
    counted = counters.of(current_app)
    now = [(what, counted.totals().values[name]) for name, (_metric, what) in metrics.NOW.items()]
    told: dict[str, Any] = {"now": now, "isStill": "still" in request.args, "origin": request.root_path}
    try:
        return pages.shown("status", 200, **told, **history(counted.samples()))
    except (CouchError, DicomWebError) as problem:
        if getattr(problem, "status", 0) in (401, 403):
            raise
        return _without_database(str(problem), now)


def history(samples: list[Sample]) -> dict[str, Any]:
    """Return what a page needs of the history: numbers of each step, None where there is none."""
    steps = list(pairwise(samples))
    last = samples[-1].step if samples else 0
    requests = {name: [sum(_came(name, step)) / _seconds(step) for step in steps] for name in KINDS}
    asked = [name for name in KINDS if any(requests[name])]
    series: dict[str, dict[str, Values]] = {
        "requests": {
            **{name: list(requests[name]) for name in asked},
            "errors": [_more("errors", step) / _seconds(step) for step in steps],
        },
        "took": {
            "CouchDB": _each(steps, lambda step: _share(_more("couchdb", step), _requests(step))),
            "shim": _each(steps, lambda step: _share(_more("shim", step), _requests(step))),
        },
        "memory": {
            "found": _each(steps, lambda step: _share(_more("hits", step), _more("hits", step) + _more("misses", step)))
        },
        "behind": {"changes": _each(steps, lambda step: _number(step[1].values["behind"]))},
        "bytes": {
            "in": [_more("received", step) / _seconds(step) for step in steps],
            "out": [_more("sent", step) / _seconds(step) for step in steps],
        },
    }
    for name, share in (("p50", 0.5), ("p95", 0.95)):
        series[name] = {kind: [quantile(share, _came(kind, step)) for step in steps] for kind in asked}
    ages = [(last - after.step) * STEP for _before, after in steps]
    return {
        "ages": ages,
        # The charts of a server that has just started are not empty.
        "longest": min(STEPS * STEP, max(60, *ages, 0)),
        "series": series,
    }


Step = tuple[Sample, Sample]


def _each(steps: list[Step], number: Callable[[Step], float | None]) -> Values:
    return [number(step) for step in steps]


def _seconds(step: Step) -> float:
    return float((step[1].step - step[0].step) * STEP)


def _came(kind: str, step: Step) -> list[float]:
    """Return the requests of a kind by the buckets of their time."""
    return [after - before for before, after in zip(step[0].buckets[kind], step[1].buckets[kind], strict=True)]


def _requests(step: Step) -> float:
    return sum(sum(_came(kind, step)) for kind in KINDS)


def _more(name: str, step: Step) -> float:
    return step[1].values[name] - step[0].values[name]


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def _without_database(reason: str, now: list[tuple[str, float]]) -> Response:
    """Return a page without charts, which come from the database."""
    rows = "".join(f"<tr><th>{escape(what)}</th><td>{number:g}</td></tr>" for what, number in now)
    body = (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        '<meta http-equiv="refresh" content="10"><title>Status – dicouch</title></head><body><main><h1>Status</h1>\n'
        f'<p role="alert">The database does not serve this page: {escape(reason[:500])}</p>\n'
        f"<table><caption>This server at the moment</caption>{rows}</table></main></body></html>\n"
    )
    headers = {"Content-Security-Policy": problems.POLICY, "Cache-Control": "no-store", "Retry-After": "10"}
    return Response(body, 503, headers, content_type="text/html; charset=utf-8")
