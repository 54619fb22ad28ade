"""What the database holds in all: numbers that views of Apache CouchDB have added up, whatever the archive's size."""

from __future__ import annotations

from typing import Any

from dicouch.couch.client import Couch, Pending, answers
from dicouch.rewrite import requests
from dicouch.rewrite.plan import Range
from dicouch.rewrite.requests import CouchRequest

# Up to so many years of studies are counted by months.
FEW_YEARS = 3


def holdings(couch: Couch, authorization: str | None) -> dict[str, Any]:
    """Return how many ``studies``, ``series``, ``instances`` and ``bytes`` there are, and when studies were made.

    ``times`` are ``[[year, modality, month], studies]``, without the month where there are many years; ``disagreeing``
    is how many studies and series have attributes that disagree.
    """

    def start(request: CouchRequest) -> Pending:
        return couch.start_json(request.method, request.path, params=request.params, authorization=authorization)

    def number(answer: Any, none: Any = 0) -> Any:
        rows = answer["rows"]
        return (rows[0]["value"] if rows else None) or none

    # The database works on all of them at a time.
    asked = requests.totals(), requests.count(Range("studies_by_uid")), requests.years(), requests.count_conflicts()
    totals, studies, years, disagreeing = answers(map(start, asked), lambda one: one.json())
    series, instances, size = number(totals, [0, 0, 0])
    found = {"series": series, "instances": instances // 2, "bytes": size // 2, "studies": number(studies)}
    times = years["rows"]
    named = sorted({row["key"][0] for row in times if row["key"][0]})
    if named and int(named[-1]) - int(named[0]) < FEW_YEARS:
        times = start(requests.years(months=True)).json()["rows"]
    return {**found, "times": [[row["key"], row["value"]] for row in times], "disagreeing": number(disagreeing)}
