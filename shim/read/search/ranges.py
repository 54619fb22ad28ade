"""Which ranges of an index a search reads: their rows are counted, and those of several are put together."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dicouch.couch.client import answers
from dicouch.couch.memory import DATABASE, REVISION
from dicouch.read.search.reading import Asked, Reading
from dicouch.rewrite import columns, plan, requests
from dicouch.rewrite.plan import Candidate, Range
from dicouch.rewrite.query import Query
from dicouch.rewrite.requests import Paging

# More studies than any archive has.
ALL = 10**9
# Studies that are looked at one by one rather than by a list over a range; at least so many at a time.
FEW, FEWEST = 100, 25


def choose(reading: Reading, query: Query, candidates: list[Candidate], page: int = 0) -> tuple[Range, ...]:
    """Return the ranges that hold all that a search finds and have the fewest rows; none when nothing matches.

    `reading` remembers for ``?explain`` which keys no index serves. `page` says how many of the newest
    are wanted; 0: all.
    """
    if not plan.needs_counts(candidates):
        ((chosen,),) = candidates[0]
        reading.walked = plan.walked(query, chosen)
        return (chosen,)
    few = _few(reading, candidates, page if page <= FEW else 0)
    return _counted(reading, candidates) if few is None else few


def _counted(reading: Reading, candidates: list[Candidate]) -> tuple[Range, ...]:
    found = [one for parts in candidates for part in parts for one in part]
    views = list(dict.fromkeys(one.view for one in found))
    # One request an index, all on their way at the same time.
    asked = (reading.start(requests.count_ranges(view, [one for one in found if one.view == view])) for view in views)
    counted = {view: iter(one["results"]) for view, one in zip(views, answers(asked, Asked.answer), strict=True)}
    rows = [next(counted[one.view])["rows"] for one in found]
    return plan.rarest(candidates, [one[0]["value"] if one else 0 for one in rows])


def _few(reading: Reading, candidates: list[Candidate], page: int) -> tuple[Range, ...] | None:
    """Return the studies in ranges that seem to have few rows, newest first; of many the newest, or None.

    Many rows are remembered as long as there is the database: that only changes where is looked first.
    """
    likely = plan.likely(candidates, lambda one: not page and reading.recall(REVISION, _common(one)) is not None)
    if not likely:
        return None
    found: dict[str, list[str]] = {}
    since: list[str] = []
    for named in _places(reading, likely):
        # Of a range with more rows nothing is known of what is older than the last of these.
        since = max(since, min(last for _places, last in named))
        for uid, place in (each for places, _last in named for each in places.items()):
            if all(uid in places or place < last for places, last in named):
                found[uid] = place
    if since and not page:
        return None
    keys = [uid for uid in sorted(found, key=found.__getitem__, reverse=True) if found[uid] >= since]
    if not keys:
        return None if since else ()
    ranges = [one for part in likely for one in part]
    decided = frozenset.intersection(*(one.covered for one in ranges))
    behind = candidates if since else []
    return (Range("studies_by_uid", keys=keys, covered=decided, sort=ranges[0].sort, behind=behind),)


def _places(reading: Reading, likely: Candidate) -> list[list[tuple[dict[str, list[str]], list[str]]]]:
    """Return the studies in each range of each part with their places in the order of the answer, `FEW` rows at most.

    Beside them stands the place of the last row where there may be more, else nothing.
    """
    # Where one range of a part is known to be empty, so is the part.
    parts = [[] if any(reading.recall(DATABASE, _empty(one)) for one in part) else part for part in likely]
    unknown = [one for part in parts for one in part]
    asked = (reading.start(requests.rows(replace(one, documents=False), FEW)) for one in unknown)
    rows = iter(answers(asked, Asked.answer))
    found = []
    for part in parts:
        named = []
        for one in part:
            # Behind kind and text a key has date, time and UID.
            keys = [row["key"] for row in next(rows)["rows"]]
            named.append(({key[4]: key[2:] for key in keys}, keys[-1][2:] if len(keys) == FEW else []))
            if not keys:
                reading.remember(DATABASE, _empty(one), True, 500)
            elif len(keys) == FEW:
                reading.remember(REVISION, _common(one), True, 500)
        found.append(named or [({}, [])])
    return found


def _empty(one: Range) -> tuple[str, ...]:
    return "empty", *one.params["startkey"], *one.params["endkey"]


def _common(one: Range) -> tuple[str, ...]:
    return "common", *one.params["startkey"][:2]


def studies(
    reading: Reading, query: Query, chosen: tuple[Range, ...], paging: Paging, *, fields: dict[str, Any]
) -> dict[str, Any]:
    """Return a page of the studies that match in some ranges, newest first, as `Reading.list` does for one."""
    if len(chosen) == 1 and chosen[0].keys and not chosen[0].sort and not paging.ordered:
        return _matching(reading, query, chosen[0], paging, fields)
    if len(chosen) == 1:
        return reading.list("study", query, chosen[0], paging, fields=fields)
    found = uids(reading, query, chosen, ALL if paging.rest else paging.offset + paging.limit)
    page = found[paging.offset : paging.offset + paging.limit]
    by_uid = Range("studies_by_uid", keys=page)
    rows = reading.list("study", query, by_uid, Paging(0, len(page)), fields=fields)["rows"] if page else []
    return {"rows": rows, "matched": len(found)}


def _matching(reading: Reading, query: Query, chosen: Range, paging: Paging, fields: dict[str, Any]) -> dict[str, Any]:
    """Return a page of those of some studies, named in the order of the answer, that match."""
    match, select = requests.residual(query, chosen, "study"), columns.selector("study", fields)
    waiting, looked = chosen.keys or [], 0
    found: list[dict] = []
    end = ALL if paging.rest else paging.offset + paging.limit
    while waiting and len(found) < end:
        size = max(end - len(found), FEWEST)
        rows, waiting = reading.rows_of(waiting[:size]), waiting[size:]
        found += [row for row, matches in zip(rows, reading.matches(match, rows), strict=True) if matches]
        looked += size
        if chosen.behind and len(found) < looked / 2:
            break
    if chosen.behind and len(found) < end:
        return studies(reading, query, _counted(reading, chosen.behind), paging, fields=fields)
    page = found[paging.offset : min(paging.offset + paging.limit, end)]
    told = [{"id": row["id"], "dataset": select(columns.dataset_of(row))} for row in page]
    return {"rows": told, "matched": min(len(found), end)}


def uids(reading: Reading, query: Query, chosen: tuple[Range, ...], most: int = ALL) -> list[str]:
    """Return the UIDs of the studies that match in several ranges, newest first and each once."""
    order: dict[str, list[str]] = {}
    for one in chosen:
        answer = reading.list("study", query, one, Paging(0, most, ordered=True), fields=None)
        order.update((row["id"].partition(":")[0], row["order"]) for row in answer["rows"])
    return sorted(order, key=order.__getitem__, reverse=True)[:most]
