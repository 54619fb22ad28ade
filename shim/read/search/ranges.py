"""Which ranges of an index a search reads: their rows are counted, and those of several are put together."""

from __future__ import annotations

from typing import Any

from dicouch.couch.client import answers
from dicouch.read.search.reading import Asked, Reading
from dicouch.rewrite import plan, requests
from dicouch.rewrite.plan import Candidate, Range
from dicouch.rewrite.query import Query
from dicouch.rewrite.requests import Paging

# More studies than any archive has.
ALL = 10**9


def choose(reading: Reading, query: Query, candidates: list[Candidate]) -> tuple[Range, ...]:
    """Return the ranges that hold all that a search finds and have the fewest rows; none when nothing matches.

    `reading` remembers for ``?explain`` which keys no index serves.
    """
    if not plan.needs_counts(candidates):
        ((chosen,),) = candidates[0]
        reading.walked = plan.walked(query, chosen)
        return (chosen,)
    found = [one for parts in candidates for part in parts for one in part]
    views = list(dict.fromkeys(one.view for one in found))
    # One request an index, all on their way at the same time.
    asked = (reading.start(requests.count_ranges(view, [one for one in found if one.view == view])) for view in views)
    counted = {view: iter(one["results"]) for view, one in zip(views, answers(asked, Asked.answer), strict=True)}
    rows = [next(counted[one.view])["rows"] for one in found]
    return plan.rarest(candidates, [one[0]["value"] if one else 0 for one in rows])


def studies(
    reading: Reading, query: Query, chosen: tuple[Range, ...], paging: Paging, *, fields: dict[str, Any]
) -> dict[str, Any]:
    """Return a page of the studies that match in some ranges, newest first, as `Reading.list` does for one."""
    if len(chosen) == 1:
        return reading.list("study", query, chosen[0], paging, fields=fields)
    found = uids(reading, query, chosen, ALL if paging.rest else paging.offset + paging.limit)
    page = found[paging.offset : paging.offset + paging.limit]
    by_uid = Range("studies_by_uid", keys=page)
    rows = reading.list("study", query, by_uid, Paging(0, len(page)), fields=fields)["rows"] if page else []
    return {"rows": rows, "matched": len(found)}


def uids(reading: Reading, query: Query, chosen: tuple[Range, ...], most: int = ALL) -> list[str]:
    """Return the UIDs of the studies that match in several ranges, newest first and each once."""
    order: dict[str, list[str]] = {}
    for one in chosen:
        answer = reading.list("study", query, one, Paging(0, most, ordered=True), fields=None)
        order.update((row["id"].partition(":")[0], row["order"]) for row in answer["rows"])
    return sorted(order, key=order.__getitem__, reverse=True)[:most]
