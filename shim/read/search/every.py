"""All rows of a search, some at a time, for who asks for no pages: C-FIND and what is retrieved.

A page costs as much as all that lie before it. So behind a first one the studies that match are listed by their UIDs
alone, and rows are read of some studies after the other; patients go on at the last Patient ID.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain

from dicouch.couch.client import Couch
from dicouch.read.search import own_attributes, patients, ranges
from dicouch.read.search.levels import run
from dicouch.read.search.studies import ALL, Search, uid_of
from dicouch.rewrite import plan, requests
from dicouch.rewrite.extended import Extended
from dicouch.rewrite.plan import Range
from dicouch.rewrite.query import SERIES_UID, SOP_UID, STUDY_UID, Query
from dicouch.rewrite.requests import Paging

# Rows of the first page and of the others, and UIDs that are listed at a time.
FIRST, MOST, LISTED = 100, 1000, 10_000
# Studies whose series or instances are read at first, and most studies at a time.
FEW = 4

Ask = Callable[[], Query]
"""Gives the search anew: running it changes it."""


def every(couch: Couch, level: str, ask: Ask, extended: list[Extended]) -> Iterator[dict]:
    """Yield all rows of a search at a level, one of `dicouch.rewrite.query.LEVELS`.

    Raises
    ------
    DicomWebError
        400 for a malformed value.
    """
    if level == "patient":
        yield from patients.every(couch, ask, FIRST, MOST)
        return
    first = _page(couch, level, ask(), extended, 0, FIRST)
    yield from first
    if len(first) < FIRST:
        return
    seen = set(map(_place, first))
    for row in chain.from_iterable(_behind(couch, level, ask, extended)):
        place = _place(row)
        if place not in seen:
            yield row
        if level == "study":  # what is stored meanwhile moves those behind it
            seen.add(place)


def _behind(couch: Couch, level: str, ask: Ask, extended: list[Extended]) -> Iterator[list[dict]]:
    asked, search = ask(), Search(couch, "")
    asked.level = level
    listed = own_attributes.split(asked, level, extended)
    asked.drop_below(level)
    if listed or asked.values(SERIES_UID) or asked.values(SOP_UID):
        yield from _pages(couch, level, ask, extended)  # bounded by what is named
        return
    above = asked if level == "study" else plan.narrowed_by_series(asked)
    chosen = ranges.choose(search, above, plan.study_candidates(above))
    if level == "study" and len(chosen) == 1 and requests.decides(above, chosen[0], "study"):
        yield from _pages(couch, level, ask, extended)  # straight from the view, which skips without a script
        return
    uids, at, size = list(dict.fromkeys(_studies(search, above, chosen))), 0, MOST if level == "study" else FEW
    while at < len(uids):
        some, read = {STUDY_UID: {"vr": "UI", "values": uids[at : at + size]}}, 0
        at += size
        for rows in _pages(couch, level, ask, extended, some):
            read += len(rows)
            yield rows
        # A chunk shall have about as many rows as a page.
        size = min(size * 2, MOST) if read < MOST // 2 else max(size // 2, 1) if read > MOST else size


def _studies(search: Search, above: Query, chosen: tuple[Range, ...]) -> Iterator[str]:
    """Yield the UIDs of the studies in which rows are, newest first."""
    if uids := above.values(STUDY_UID):
        yield from uids
        return
    if len(chosen) != 1:
        yield from ranges.uids(search, above, chosen)
        return
    # Without anything to match the view has more to say than its ids: that is read in parts.
    offset, most = 0, LISTED if requests.decides(above, chosen[0], "study") else ALL
    while True:
        rows = search.list("study", above, chosen[0], Paging(offset, most), fields=None)["rows"]
        yield from map(uid_of, rows)
        if len(rows) < most:
            return
        offset += most


def _pages(
    couch: Couch, level: str, ask: Ask, extended: list[Extended], narrowed: dict | None = None
) -> Iterator[list[dict]]:
    offset = 0
    while True:
        asked = ask()
        asked.keys.update(narrowed or {})
        rows = _page(couch, level, asked, extended, offset, MOST)
        yield rows
        if len(rows) < MOST:
            return
        offset += MOST


def _page(couch: Couch, level: str, asked: Query, extended: list[Extended], offset: int, limit: int) -> list[dict]:
    asked.offset, asked.limit, asked.limit_given = offset, limit, True
    return run(Search(couch, ""), level, asked, extended).rows


def _place(row: dict) -> tuple[str, ...]:
    return tuple(row[tag]["Value"][0] for tag in (STUDY_UID, SERIES_UID, SOP_UID) if tag in row)
