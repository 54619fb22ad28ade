"""Walking through the documents of a database, a page of them in memory at a time."""

from collections.abc import Iterator, Sequence

from dicouch.couch.client import Couch, segment
from dicouch.rewrite import requests

# Documents in memory at a time: a large one has some megabytes.
PAGE = 50


def documents(
    couch: Couch, studies: Sequence[str] = (), *, kind: str = "instance", after: str = "", conflicts: bool = False
) -> Iterator[dict]:
    """Yield documents in order of their ids.

    What is written while this runs may be among them or not.

    Parameters
    ----------
    couch : Couch
    studies : sequence of str
        Study Instance UIDs; all studies when there are none.
    kind : str
        ``instance``, ``series`` or ``study``.
    after : str
        Only those with ids behind this one.
    conflicts : bool
        Whether they tell in ``_conflicts`` which other revisions there are; see `others`.

    Yields
    ------
    dict
    """
    for study in in_order(studies) or [""]:
        place = requests.ids(study) if study else {}
        if study and after >= f"{study};":
            continue
        first = _behind(place, after) if after > (study and f"{study}:") else place
        while True:
            params = {**first, "include_docs": "true", "limit": PAGE, **({"conflicts": "true"} if conflicts else {})}
            rows = couch.json("GET", "_all_docs", params=params)["rows"]
            yield from (row["doc"] for row in rows if row["doc"].get("type") == kind)
            if len(rows) < PAGE:
                break
            first = _behind(place, rows[-1]["id"])


def others(couch: Couch, document: dict) -> Iterator[dict]:
    """Yield the revisions in conflict with one that `documents` gave: instances that came by replication have some.

    They keep their bytes until somebody chooses (docs/replication.md).
    """
    revisions = document.pop("_conflicts", [])
    if revisions:
        params = {"open_revs": requests.as_json(revisions)}
        told = couch.json("GET", segment(document["_id"]), params=params)
        yield from (one["ok"] for one in told if one.get("ok", {}).get("type") == "instance")


def in_order(studies: Sequence[str]) -> list[str]:
    """Return Study Instance UIDs, each once, in the order of their documents, whose ids have a colon behind them."""
    return sorted(set(studies), key=lambda study: f"{study}:")


def _behind(place: dict, document_id: str) -> dict:
    # Not skip=1, which takes another one when this document has been deleted.
    return {**place, "startkey": requests.as_json(f"{document_id}\x00")}


def studies_of(couch: Couch, start: str = "") -> Iterator[str]:
    """Yield the UIDs of all studies of which there is any document, in order.

    One request a study: the next one starts behind the ids of its documents.

    Parameters
    ----------
    couch : Couch
    start : str
        Where document ids begin; ``UID;`` is behind all those of a study.

    Yields
    ------
    str
    """
    while True:
        params = {"startkey": requests.as_json(start), "limit": 1}
        rows = couch.json("GET", "_all_docs", params=params)["rows"]
        if not rows:
            return
        study, colon, _rest = rows[0]["id"].partition(":")
        if colon:
            yield study
        # The first key behind all ids that begin with the study's UID and a colon.
        start = f"{study};" if colon else rows[0]["id"] + "\x00"
