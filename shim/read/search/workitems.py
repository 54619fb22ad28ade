"""Searching the worklist (PS3.18 11.9), and reading one workitem (11.5)."""

from __future__ import annotations

from typing import Any

from dicouch.couch.client import Couch, segment
from dicouch.couch.response import CouchError
from dicouch.errors import DicomWebError
from dicouch.read.search.studies import Page, Search
from dicouch.rewrite import workitems
from dicouch.rewrite.query import Query
from dicouch.rewrite.requests import Paging


def search(searching: Search, asked: Query) -> Page:
    """Search for workitems, in order of their scheduled start."""
    if asked.keys.pop(workitems.TRANSACTION, None) is not None:
        asked.unknown.append(asked.names.get(workitems.TRANSACTION, "TransactionUID"))
    chosen = workitems.choose(asked)
    paging = Paging(asked.offset, asked.limit, rest=not asked.limit_given)
    answer = searching.ask(workitems.search(asked, chosen, paging))
    rows = [row["dataset"] for row in answer["rows"]]
    if asked.limit_given:
        return Page(rows)
    matched = answer["matched"]
    if chosen.keys is None and not workitems.residual(asked, chosen):
        counted = searching.ask(workitems.count(chosen))["rows"]
        matched = counted[0]["value"] if counted else 0
    return Page(rows, max(0, matched - asked.offset - len(rows)))


def retrieve(couch: Couch, uid: str, authorization: str | None) -> dict[str, Any]:
    """Return the data set of a workitem, without its Transaction UID, which no document has.

    Raises
    ------
    DicomWebError
        404, or 410 for one that was deleted.
    """
    try:
        document = couch.json("GET", segment(workitems.document_id(uid)), authorization=authorization)
    except CouchError as problem:
        if problem.status != 404 or problem.reason not in ("missing", "deleted"):
            raise
        raise gone(uid, problem) from problem
    dataset: dict[str, Any] = document["dataset"]
    return dict(sorted(dataset.items()))


def gone(uid: str, problem: CouchError) -> DicomWebError:
    """Return what is told of a workitem that is not there."""
    if problem.reason == "deleted":
        return DicomWebError(410, f"the workitem {uid} was deleted")
    return DicomWebError(404, f"there is no workitem {uid}")
