"""``/healthz`` and ``/readyz``: whether the process lives, and whether it can serve; for supervisors, without login."""

from __future__ import annotations

import threading
import time
from functools import lru_cache

from flask import Blueprint, Response

from dicouch.couch import designs
from dicouch.couch.client import Couch
from dicouch.couch.response import CouchError
from dicouch.errors import DicomWebError
from dicouch.routes import answers
from dicouch.services import services

NAME = "health"
blueprint = Blueprint(NAME, __name__)
# Seconds for which the database may think, and for which what it said is told to whoever asks next.
PATIENCE, KEPT = 3.0, 1.0
DESIGN = "dicom"
AGAIN = {"Retry-After": "5"}
# Held by the thread that asks a database; by URL and name, when it last answered and what is told of that.
_ASKING = threading.Lock()
_said: dict[tuple[str, str], tuple[float, str]] = {}


@blueprint.get("/healthz")
def live() -> Response:
    """Answer that the process lives; the database is not asked."""
    return _told("alive")


@blueprint.get("/readyz")
def ready() -> Response:
    """Answer that requests can be served; 503 with the reason while they cannot."""
    config = services().config
    problem = _known(config.couchdb_url, config.couchdb_database)
    if problem:
        raise DicomWebError(503, problem, AGAIN)
    return _told("ready")


def _told(status: str) -> Response:
    return answers.not_stored(answers.json_answer({"status": status}, media_type="application/json"))


def _known(url: str, database: str) -> str:
    """Return what `_problem` said a moment ago; while one thread asks, the others are told what it said before."""
    place = url, database
    when, said = _said.get(place, (float("-inf"), None))
    if said is not None and (time.monotonic() - when < KEPT or _ASKING.locked()):
        return said
    with _ASKING:
        when, said = _said.get(place, (float("-inf"), None))
        if said is None or time.monotonic() - when >= KEPT:
            said = _problem(url, database)
            _said[place] = time.monotonic(), said
    return said


def _problem(url: str, database: str) -> str:
    """Return why nothing can be served now, empty if it can; nothing of a database's own words is in it."""
    couch = Couch(url, database, PATIENCE)
    try:
        found = couch.json("GET", f"_design/{DESIGN}")
    except CouchError as problem:
        if problem.status in (401, 403):
            # Without an account of its own the server serves who has one.
            return "the database refuses the account of COUCHDB_URL" if couch.credentials else ""
        if problem.status == 404:
            return "the database is not set up: run `make push-views`"
        return f"the database answers {problem.status}"
    except DicomWebError:
        return "the database does not answer"
    if found.get("version") != _expected():
        return "the design document in the database is of another version: run `make push-views`"
    return ""


@lru_cache(1)
def _expected() -> str:
    return str(designs.load(designs.FOLDER / DESIGN)["version"])
