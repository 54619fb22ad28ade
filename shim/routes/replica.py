"""What a client reads to replicate a study's metadata, as PouchDB does it (CouchDB's replication protocol).

docs/offline/README.md tells what for. Nothing can be written here, and there are no bytes.
"""

from __future__ import annotations

import orjson
from flask import Response, request

from dicouch.errors import DicomWebError
from dicouch.read import replica
from dicouch.routes import answers, current
from dicouch.server.request_body import RequestBody
from dicouch.services import services

JSON = "application/json"
LARGEST = 1_000_000


def information(study: str) -> Response:
    """Tell how many documents a study has, and in which state they are."""
    return answers.json_answer(replica.information(services().couch, study, current.authorization()), media_type=JSON)


def changes(study: str) -> Response:
    """List the documents of a study and their revisions."""
    if request.args.get("feed", "normal") != "normal":
        raise DicomWebError(400, "only feed=normal is served here")
    limit = request.args.get("limit", str(replica.MOST_CHANGES))
    if not (limit.isascii() and limit.isdigit() and len(limit) < 10):
        raise DicomWebError(400, f"limit is a whole number, not {limit[:40]!r}")
    since = request.args.get("since", "0").strip('"')
    found = replica.changes(services().couch, study, since, max(int(limit), 1), current.authorization())
    return answers.json_answer(found, media_type=JSON)


def documents(study: str) -> Response:
    """Send documents of a study, each in the revision that is asked for."""
    if request.mimetype != JSON:
        raise DicomWebError(415, "the body must be application/json")
    found = replica.documents(services().couch, _wanted(study), current.authorization())
    return answers.json_answer(found, media_type=JSON)


def _wanted(study: str) -> list[dict[str, str]]:
    """Return ids and revisions that the body names; DicomWebError 400, 403 for documents of other studies, 413."""
    body = RequestBody(request.stream, LARGEST, request.content_length)
    text = b"".join(iter(lambda: body.read(65536), b""))
    try:
        docs = orjson.loads(text)["docs"]
        wanted = [{name: one[name] for name in ("id", "rev") if name in one} for one in docs]
    except (orjson.JSONDecodeError, KeyError, TypeError) as problem:
        raise DicomWebError(400, 'the body must be JSON with "docs", a list of objects') from problem
    if not all(isinstance(text, str) for one in wanted for text in one.values()):
        raise DicomWebError(400, "id and rev must be texts")
    if len(wanted) > replica.MOST_DOCUMENTS:
        raise DicomWebError(413, f"{len(wanted)} documents are more than the {replica.MOST_DOCUMENTS} of one request")
    for one in wanted:
        if not one.get("id", "").startswith(f"{study}:"):
            raise DicomWebError(403, f"{one.get('id', '')[:80]!r} is no document of this study")
    return wanted
