"""Requests to CouchDB for the worklist (PS3.18 11): which part of its index a search reads. Pure functions."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Any

from dicouch.errors import DicomWebError
from dicouch.rewrite import requests
from dicouch.rewrite.plan import Range, between
from dicouch.rewrite.query import Query
from dicouch.rewrite.requests import CouchRequest, Paging, as_json, list_request
from dicouch.rewrite.values import is_wild
from dicouch.tables import HIGH

# That of what changes workitems; their views are in the one that looks at every document anyway.
DESIGN = "_design/worklist"
# Well-known UIDs of the subscriptions to the whole worklist (PS3.18 Table 11.10.1-1).
GLOBAL, FILTERED = "1.2.840.10008.5.1.4.34.5", "1.2.840.10008.5.1.4.34.5.1"
KINDS = {GLOBAL: "global", FILTERED: "filtered"}
TRANSACTION, SOP_UID, STATE, START = "00081195", "00080018", "00741000", "00404005"
# How ``views/workitems`` names the keys that it has, the most selective first; codes by their Code Value.
VALUES = {"00100020": "patient", "00404025": "station", "00404018": "code", "00741202": "label"}
CODE_VALUE = "00080100"
LONGEST_KEY = 64
EVENTS = f"{requests.DESIGN}/_view/workitem_events"
# Documents that are read and written at a time.
TOGETHER = 500


def document_id(uid: str) -> str:
    """Return the id of a workitem's document."""
    return f"workitem-{uid}"


def subscriber_id(title: str) -> str:
    """Return the id of the document of an AE title."""
    return f"subscriber-{title}"


def choose(query: Query) -> Range:
    """Return the part of the index that has all workitems that a query finds, in order of their scheduled start."""
    if uids := query.values(SOP_UID):
        return Range("_all_docs", keys=[document_id(uid) for uid in uids], documents=True)
    state = _exact(query.keys.get(STATE))
    covered = {STATE} if state else set()
    name, value = "all", ""
    for tag, wanted in VALUES.items():
        key = query.keys.get(tag, {})
        inner = key.get("items", {}).get(CODE_VALUE) if not key.get("empty") else None
        if found := _exact(inner if "items" in key else key):
            name, value = wanted, found
            if "items" not in key:
                covered.add(tag)
            break
    place = [name, value, state]
    days = _days(query.values(START))
    low, high = ([*place, days[0]], [*place, days[1]]) if days else (place, place)
    return Range("workitems", between(low, high), covered=frozenset(covered), documents=True)


def _exact(key: dict[str, Any] | None) -> str:
    """Return the one value of a key that only an equal value matches, else nothing."""
    values = (key or {}).get("values", [])
    if len(values) != 1 or (key or {}).get("empty") or is_wild(values[0]) or len(values[0]) > LONGEST_KEY:
        return ""
    text: str = values[0].strip(" ")
    return text


def _days(values: list[str]) -> tuple[str, str] | None:
    """Return the days between which what a date-time key matches begins, wherever on earth it was written."""
    moment = r"(\d{8})\d{0,6}(?:\.\d{1,6})?"
    found = re.fullmatch(f"(?:{moment})?(-)?(?:{moment})?", values[0]) if len(values) == 1 else None
    if not found or (found[1] and found[3] and not found[2]):
        return None
    first, last = found[1], found[3] if found[2] else found[1]
    try:
        return _day(first, -1) if first else "", _day(last, 1) + HIGH if last else HIGH
    except (ValueError, OverflowError):
        return None


def _day(text: str, more: int) -> str:
    return f"{date(int(text[:4]), int(text[4:6]), int(text[6:])) + timedelta(more):%Y%m%d}"


def residual(query: Query, chosen: Range) -> dict[str, Any]:
    """Return the matching keys that a range does not decide."""
    return {tag: key for tag, key in query.keys.items() if tag not in chosen.covered}


def search(query: Query, chosen: Range, paging: Paging, *, rows: bool = True) -> CouchRequest:
    """Return the request for one page of workitems; without `rows`, of their ids."""
    match = residual(query, chosen)
    include = "all" if query.include == "all" else {**dict.fromkeys(query.keys, True), **query.include}
    page = {"match": match, "fields": {"include": include} if rows else None, "limit": paging.limit, "sort": False}
    if not match and chosen.keys is None:
        page = {**page, "offset": 0}
        return list_request("workitems", chosen, page, limit=paging.limit, skip=paging.offset)
    return list_request("workitems", chosen, {**page, "offset": paging.offset, "rest": paging.rest})


def count(chosen: Range) -> CouchRequest:
    """Return the request that counts the rows of a range."""
    return CouchRequest("GET", f"{requests.DESIGN}/_view/{chosen.view}", {"reduce": "true", **chosen.params})


def subscribers() -> CouchRequest:
    """Return the request for the documents of all AE titles that subscribed."""
    ids = {"startkey": as_json(subscriber_id("")), "endkey": as_json(subscriber_id(HIGH))}
    return CouchRequest("GET", "_all_docs", {**ids, "include_docs": "true"})


def subscribed(ids: list[str], asked: dict[str, Any]) -> CouchRequest:
    """Return the request for workitems as they are with a further subscriber; see ``lists/subscribe.js``."""
    path = f"{DESIGN}/_list/subscribe/_all_docs"
    return CouchRequest("POST", path, {"include_docs": "true"}, {"keys": ids, "query": asked})


def told_last(limit: int) -> CouchRequest:
    """Return the request for the ids of the events of the workitems whose last events are the latest."""
    return CouchRequest("GET", EVENTS, {"descending": "true", "limit": str(limit)})


def told_since(at: str) -> CouchRequest:
    """Return the request for the ids of the events of workitems with an event since a time."""
    return CouchRequest("GET", EVENTS, {"startkey": as_json(at)})


def event_report(number: int, uid: str, event: dict[str, Any]) -> dict[str, Any]:
    """Return an event as it is sent: the command's attributes (PS3.7 10.3.1) and the report's (PS3.18 8.10.5)."""
    head = {
        "00000002": {"vr": "UI", "Value": ["1.2.840.10008.5.1.4.34.6.1"]},  # UPS Push: PS3.4 CC.3.1
        "00000100": {"vr": "US", "Value": [0x0100]},
        "00000110": {"vr": "US", "Value": [number % 0xFFFF + 1]},
        "00000800": {"vr": "US", "Value": [0]},
        "00001000": {"vr": "UI", "Value": [uid]},
        "00001002": {"vr": "US", "Value": [event["type"]]},
    }
    return {**head, **dict(sorted(event["info"].items()))}


def scp_status(status: str) -> dict[str, Any]:
    """Return the event that tells subscribers that the server goes down or is there again; its lists are kept."""
    texts = {"00741242": status, "00741244": "WARM START", "00741246": "WARM START"}
    return {"type": 4, "info": {tag: {"vr": "CS", "Value": [text]} for tag, text in texts.items()}}


def title_of(text: str) -> str:
    """Return an AE title (PS3.5 6.2); DicomWebError 400 for what is none."""
    title = text.strip(" ")
    if not 0 < len(title) <= 16 or not title.isascii() or not title.isprintable() or "\\" in title:
        raise DicomWebError(400, f"an AE title has 1 to 16 characters of ASCII and no backslash, not {text[:40]!r}")
    return title
