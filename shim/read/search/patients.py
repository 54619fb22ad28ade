"""Listing patients: not in the standard, offered as other archives do."""

from __future__ import annotations

from dicouch.read.search import ranges
from dicouch.read.search.studies import Page, Search
from dicouch.rewrite import plan, requests
from dicouch.rewrite.plan import Range
from dicouch.rewrite.query import PATIENT_TAGS, Query
from dicouch.rewrite.requests import Paging
from dicouch.tables import STUDY_TAGS


def patients(search: Search, query: Query) -> Page:
    """Search for patients, in order of their IDs, by attributes of the patient.

    A row has the attributes of a patient's newest study, and how many studies, series and instances there are.
    """
    if query.include == "all":
        query.include = dict.fromkeys(PATIENT_TAGS, True)
    query.include = {tag: wanted for tag, wanted in query.include.items() if tag in PATIENT_TAGS & STUDY_TAGS}
    paging = Paging(query.offset, query.limit, not query.limit_given)
    chosen = ranges.choose(search, query, plan.patient_candidates(query))
    if len(chosen) != 1:
        uids = ranges.uids(search, query, chosen)
        chosen = (Range("studies_by_uid", keys=uids, sort=True),)
    answer = search.ask(requests.patients(query, chosen[0], paging))
    counted = search.counts([study for row in answer["rows"] for study in row["studies"]])
    rows = []
    for row in answer["rows"]:
        stored = [counted[study] for study in row["studies"] if counted[study][1]]
        if stored:
            numbers = (len(stored), sum(pair[0] for pair in stored), sum(pair[1] for pair in stored))
            tags = ("00201200", "00201202", "00201204")
            added = {tag: {"vr": "IS", "Value": [number]} for tag, number in zip(tags, numbers, strict=True)}
            rows.append(dict(sorted({**row["dataset"], **added}.items())))
    return Page(rows, 0 if query.limit_given else max(0, answer["matched"] - query.offset - query.limit))
