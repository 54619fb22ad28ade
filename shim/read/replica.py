"""One study as a database that can be replicated from: its documents and revisions, without the bytes."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import orjson

from dicouch.couch.client import Couch
from dicouch.rewrite import requests
from dicouch.rewrite.requests import CouchRequest

# Most changes and most documents in one answer.
MOST_CHANGES, MOST_DOCUMENTS = 1000, 500


def _ask(couch: Couch, request: CouchRequest, authorization: str | None) -> Any:
    # Nothing is written, whatever the method.
    return couch.json(
        request.method, request.path, params=request.params, body=request.body, authorization=authorization, writes=()
    )


def _listed(couch: Couch, study: str, authorization: str | None) -> tuple[list[list[str]], str]:
    """Return id and revision of each document of a study, in order, and what names this state of all of them."""
    rows = _ask(couch, requests.documents_of(study), authorization)["rows"]
    listed = [[row["id"], row["value"]["rev"]] for row in rows]
    return listed, sha256(orjson.dumps(listed)).hexdigest()[:16]


def information(couch: Couch, study: str, authorization: str | None) -> dict[str, Any]:
    """Return what CouchDB says of a database, as far as a study has it."""
    listed, state = _listed(couch, study, authorization)
    return {"db_name": study, "doc_count": len(listed), "update_seq": f"{len(listed)}-{state}"}


def changes(couch: Couch, study: str, since: str, limit: int, authorization: str | None) -> dict[str, Any]:
    """Return the documents of a study behind a place, as CouchDB's ``_changes`` does.

    A sequence is a number of documents and the state of the study that they are of. In another state all documents are
    told again: who replicates knows which of their revisions it has. What was deleted is not told.
    """
    listed, state = _listed(couch, study, authorization)
    number, _, of = since.partition("-")
    done = int(number) if of == state and number.isascii() and number.isdigit() else 0
    page = listed[done : done + min(limit, MOST_CHANGES)]
    results = [
        {"seq": f"{place}-{state}", "id": name, "changes": [{"rev": revision}]}
        for place, (name, revision) in enumerate(page, done + 1)
    ]
    last = min(done + len(page), len(listed))
    return {"results": results, "last_seq": f"{last}-{state}", "pending": len(listed) - last}


def documents(couch: Couch, wanted: list[dict[str, str]], authorization: str | None) -> dict[str, Any]:
    """Return revisions of documents with their history, as CouchDB's ``_bulk_get`` does, without attachments."""
    answer: dict[str, Any] = _ask(couch, requests.revisions(wanted), authorization)
    for result in answer["results"]:
        for one in result["docs"]:
            one.get("ok", {}).pop("_attachments", None)
    return answer
