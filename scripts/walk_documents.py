"""Walking through the documents of a database, a page of them in memory at a time."""

from collections.abc import Iterator, Sequence

from dicouch.couch.client import Couch
from dicouch.rewrite import requests

# Documents in memory at a time: a large one has some megabytes.
PAGE = 50


def documents(couch: Couch, studies: Sequence[str] = (), *, kind: str = "instance") -> Iterator[dict]:
    """Yield documents in order of their ids.

    What is written while this runs may be among them or not.

    Parameters
    ----------
    couch : Couch
    studies : sequence of str
        Study Instance UIDs; all studies when there are none.
    kind : str
        ``instance``, ``series`` or ``study``.

    Yields
    ------
    dict
    """
    for place in [requests.ids(study) for study in studies] or [{}]:
        first = place
        while True:
            params = {**first, "include_docs": "true", "limit": PAGE}
            rows = couch.json("GET", "_all_docs", params=params)["rows"]
            yield from (row["doc"] for row in rows if row["doc"].get("type") == kind)
            if len(rows) < PAGE:
                break
            first = {**place, "startkey": requests.as_json(rows[-1]["id"]), "skip": 1}


def studies_of(couch: Couch) -> Iterator[str]:
    """Yield the UIDs of all studies of which there is any document, in order.

    One request a study: the next one starts behind the ids of its documents.

    Parameters
    ----------
    couch : Couch

    Yields
    ------
    str
    """
    start = ""
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
