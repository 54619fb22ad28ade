"""Listing patients: not in the standard, offered as other archives do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from dicouch.couch.client import Couch
from dicouch.read.search import ranges
from dicouch.read.search.studies import Page, Search
from dicouch.rewrite import plan, requests
from dicouch.rewrite.plan import PATIENT_ID, Range
from dicouch.rewrite.query import PATIENT_TAGS, Query
from dicouch.rewrite.requests import Paging
from dicouch.tables import STUDY_TAGS

# Rows of a page where all are sorted anew for each.
SORTED = 5000
Chosen = tuple[Range, ...]


def patients(search: Search, query: Query) -> Page:
    """Search for patients, in order of their IDs, by attributes of the patient.

    A row has the attributes of a patient's newest study, and how many studies, series and instances there are.
    """
    paging = Paging(query.offset, query.limit, not query.limit_given)
    answer = _read(search, query, _choose(search, query), paging)
    remaining = 0 if query.limit_given else max(0, answer["matched"] - query.offset - query.limit)
    return Page(_finished(search, answer["rows"]), remaining)


def every(couch: Couch, ask: Callable[[], Query], first: int, most: int) -> Iterator[dict]:
    """Yield all patients, some read at a time: each time from the last Patient ID on, where they come in its order."""
    query = _prepared(ask())
    chosen = _choose(Search(couch, ""), query)
    ordered = len(chosen) == 1 and not chosen[0].sort and not chosen[0].params
    start, offset, limit = "", 0, first
    while True:
        some = (replace(chosen[0], params={"startkey": [start]}),) if ordered and start else chosen
        search = Search(couch, "")
        rows = _read(search, query, some, Paging(offset, limit))["rows"]
        ids = [_patient_id(row) for row in rows]
        yield from _finished(search, rows)
        if len(rows) < limit:
            return
        if ordered:
            # There may be others of the last ID: of another issuer, or without any ID.
            offset = (offset if ids[-1] == start else 0) + ids.count(ids[-1])
            start, limit = ids[-1], most
        else:
            offset, limit = offset + limit, max(most, SORTED)


def _prepared(query: Query) -> Query:
    query.level, query.limit_given = "patient", True
    query.drop_below("patient")
    query.include = {PATIENT_ID: True} if query.include == "all" else {**query.include, PATIENT_ID: True}
    return query


def _patient_id(row: dict) -> str:
    return str((row["dataset"].get(PATIENT_ID, {}).get("Value") or [""])[0] or "")


def _choose(search: Search, query: Query) -> Chosen:
    if query.include == "all":
        query.include = dict.fromkeys(PATIENT_TAGS, True)
    query.include = {tag: wanted for tag, wanted in query.include.items() if tag in PATIENT_TAGS & STUDY_TAGS}
    chosen = ranges.choose(search, query, plan.patient_candidates(query))
    if len(chosen) != 1:
        chosen = (Range("studies_by_uid", keys=ranges.uids(search, query, chosen), sort=True),)
    return chosen


def _read(search: Search, query: Query, chosen: Chosen, paging: Paging) -> dict:
    answer: dict = search.ask(requests.patients(query, chosen[0], paging))
    return answer


def _finished(search: Search, found: list[dict]) -> list[dict]:
    counted = search.counts([study for row in found for study in row["studies"]])
    rows = []
    for row in found:
        stored = [counted[study] for study in row["studies"] if counted[study][1]]
        if stored:
            numbers = (len(stored), sum(pair[0] for pair in stored), sum(pair[1] for pair in stored))
            tags = ("00201200", "00201202", "00201204")
            added = {tag: {"vr": "IS", "Value": [number]} for tag, number in zip(tags, numbers, strict=True)}
            rows.append(dict(sorted({**row["dataset"], **added}.items())))
    return rows
