"""Searching by the attributes that a site lists itself: each key becomes a list of the UIDs that have it."""

from __future__ import annotations

from pathlib import Path

from dicouch.couch.response import CouchError
from dicouch.read.search.studies import Search
from dicouch.rewrite import requests
from dicouch.rewrite.extended import DESIGN, Extended, parse, scan_range
from dicouch.rewrite.query import LEVELS, SERIES_UID, SOP_UID, STUDY_UID, Query
from dicouch.rewrite.values import check, split_values

OWN_UID = {"study": STUDY_UID, "series": SERIES_UID, "instance": SOP_UID}


def read_listed(path: str | Path | None) -> list[Extended]:
    """Read the file in which a site lists its attributes (``EXTENDED_ATTRIBUTES``); see `dicouch.rewrite.extended`.

    Raises
    ------
    ValueError
        If the file cannot be read, or an entry makes no sense; the message names both.
    """
    if path is None:
        return []
    try:
        return parse(Path(path).read_bytes(), str(path))
    except (OSError, ValueError) as problem:
        raise ValueError(f"EXTENDED_ATTRIBUTES: {problem}") from problem


def split(query: Query, level: str, listed: list[Extended]) -> list[tuple[Extended, dict]]:
    """Take the keys out of `query` that a site has listed for `level` or one above.

    Each comes with its key, as the tree that ``lib/match/match.js`` reads, under the attribute's first tag.

    Raises
    ------
    DicomWebError
        400 for a value that the listed VR cannot have.
    """
    found = []
    for one in listed:
        key = one.key_of(query)
        if key is None or LEVELS.index(one.level) > LEVELS.index(level):
            continue
        if "values" in key:
            key["vr"] = one.vr
            key["values"] = [part for value in key["values"] for part in split_values(one.vr, value)]
            check(query.names[one.path[0]], one.vr, key["values"])
        found.append((one, {one.path[0]: query.keys.pop(one.path[0])}))
        if one.carrier == level and query.include != "all":
            query.include.setdefault(one.path[0], True)
    return found


def resolve(search: Search, query: Query, wanted: list[tuple[Extended, dict]]) -> bool:
    """Put lists of UIDs in the place of the attributes that `split` gave; return False when nothing matches."""
    for one, tree in wanted:
        ids = _ids(search, query, one, tree)
        uids = list(dict.fromkeys(each.split(":")[one.depth - 1] for each in ids))
        tag = OWN_UID[one.level]
        if known := set(query.values(tag)):
            uids = [uid for uid in uids if uid in known]
        if not uids:
            return False
        query.keys[tag] = {"vr": "UI", "values": uids}
        if one.level == "instance":
            among = set(uids)
            query.located = [each for each in ids if each.split(":")[2] in among]
    return True


def _ids(search: Search, query: Query, one: Extended, tree: dict) -> list[str]:
    leaf = tree[one.path[0]]
    for tag in one.path[1:]:
        leaf = leaf["items"][tag]
    chosen = one.range(leaf)
    if chosen is not None and one.view in _views(search):
        return search.ask(requests.indexed_members(DESIGN, chosen, one.depth, leaf))["rows"]
    search.notes.append(f"{one.name} has no index that serves this search: all documents were read")
    return search.ask(requests.members(scan_range(query), one.depth, one.carrier, tree))["rows"]


def _views(search: Search) -> frozenset[str]:
    """Return the views of ``_design/dicom-extended``: the attributes that have an index."""
    memory, authorization = search.memory, search.authorization
    if memory is None:
        return _read_views(search)
    known: frozenset[str] | None = memory.recall(DESIGN, "views", authorization)
    if known is None:
        token = memory.token(DESIGN)
        known = _read_views(search)
        memory.remember(DESIGN, "views", authorization, known, token)
    return known


def _read_views(search: Search) -> frozenset[str]:
    # The database answers the use of a missing design document with an error of its own, so it is read first.
    try:
        document = search.couch.json("GET", DESIGN, authorization=search.authorization)
    except CouchError as problem:
        if problem.status != 404:
            raise
        document = {}
    return frozenset(document.get("views", {}))
