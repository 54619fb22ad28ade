"""Studies whose attributes disagree, as JSON for programs; docs/conflicts.md tells the routes.

`page_of`, `body_of` and `fix_of` read what these requests and those of `dicouch.routes.conflict_pages` have alike.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson
from flask import Blueprint, Request, Response, request, url_for
from pydicom.datadict import tag_for_keyword

from dicouch.errors import DicomWebError
from dicouch.routes import answers, current
from dicouch.server.request_body import RequestBody
from dicouch.services import services
from dicouch.tables import LIMITS
from dicouch.write.conflicts import Conflicts, Fix

blueprint = Blueprint("conflicts", __name__)

MEMBERS = {"tag", "value", "undo", "series", "scope", "by", "seen"}
LARGEST = 1_000_000
MOST: int = LIMITS["mostConflicts"]
STATES = ("open", "fixed")


@blueprint.get("/conflicts")
def list_conflicts() -> Response:
    """List studies that disagree, or with ``state=fixed`` those that people corrected, newest first."""
    state, start = page_of(request.args)
    size = request.args.get("limit", "50")
    if not (size.isascii() and size.isdigit() and len(size) < 6 and 1 <= int(size) <= MOST):
        raise DicomWebError(400, f"limit is a number from 1 to {MOST}, not {size[:40]!r}")
    page = decisions().listed(state, start, int(size))
    following = None
    if page["next"]:
        key = orjson.dumps(page["next"]).decode()
        following = url_for(".list_conflicts", state=state, limit=int(size), **{"from": key}, _external=True)
    return answers.json_answer({"studies": page["studies"], "next": following}, media_type="application/json")


@blueprint.get("/studies/<study>/conflicts")
def show_conflicts(study: str) -> Response:
    """Show every value of the attributes that disagree within a study, with the series and instances that carry it."""
    return answers.json_answer(decisions().study(study), media_type="application/json")


@blueprint.post("/studies/<study>/conflicts")
def decide(study: str) -> Response:
    """Correct an attribute of a study, a series or a patient, or undo that."""
    return answers.json_answer(decisions().fix(study, _read_fix(request)), media_type="application/json")


def _read_fix(sent: Request) -> Fix:
    """Read the JSON body of a decision; DicomWebError 400, 413 or 415."""
    # No page of another site can send this without asking first.
    if sent.mimetype != "application/json":
        raise DicomWebError(415, "the body must be application/json")
    try:
        body = orjson.loads(body_of(sent))
    except orjson.JSONDecodeError as problem:
        raise DicomWebError(400, f"the body is no JSON: {problem}") from problem
    if not isinstance(body, dict):
        raise DicomWebError(400, "the body must be a JSON object")
    if unknown := set(body) - MEMBERS:
        raise DicomWebError(400, f"unknown members: {', '.join(sorted(unknown))[:200]}")
    undo = body.get("undo", False)
    if not isinstance(undo, bool) or undo == ("value" in body):
        raise DicomWebError(400, 'the body has either a "value" or "undo": true')
    change = {"undo": True} if undo else {"value": body["value"]}
    if body.get("seen") is not None:
        change["seen"] = body["seen"]
    return fix_of(body, change, undo)


def decisions() -> Conflicts:
    """Return what reads and decides for this request."""
    return Conflicts(services().couch, current.authorization())


def page_of(query: Mapping[str, str]) -> tuple[str, list[str] | None]:
    """Return which list is asked for, and the key of its first row; DicomWebError 400, naming the parameter."""
    state = query.get("state", "open")
    if state not in STATES:
        raise DicomWebError(400, f"state is one of {', '.join(STATES)}, not {state[:40]!r}")
    if "from" not in query:
        return state, None
    try:
        start = orjson.loads(query["from"])
    except orjson.JSONDecodeError:
        start = None
    if not isinstance(start, list) or not all(isinstance(part, str) for part in start) or start[:1] != [state]:
        raise DicomWebError(400, "from is the one that the page before named")
    return state, start


def body_of(sent: Request) -> bytes:
    """Return the whole body of a decision; DicomWebError 413, and 400 when the client went away midway."""
    length = sent.content_length or 0
    body = RequestBody(sent.stream).read(LARGEST + 1) if length <= LARGEST else b""
    if max(length, len(body)) > LARGEST:
        raise DicomWebError(413, f"a correction has at most {LARGEST} bytes")
    if len(body) < length:
        raise DicomWebError(400, f"the body ends after {len(body)} of {length} bytes")
    return body


def fix_of(given: Mapping[str, Any], change: dict[str, Any], undo: bool) -> Fix:
    """Return what a person decided; DicomWebError 400, naming what is wrong.

    Given are ``tag`` (eight hexadecimal digits or a keyword), ``by``, ``series`` (none or empty for an attribute of the
    study) and ``scope`` (``study`` or ``patient``). `change` is what ``updates/fix.js`` reads beside the tag. Where the
    database does not know the client, the request must say who corrects.
    """
    tag, by, series = _tag_of(given.get("tag")), given.get("by"), given.get("series")
    if by is not None and not isinstance(by, str):
        raise DicomWebError(400, "by: the name of a person")
    name = (by or "").strip()
    if not name and not current.authorization():
        raise DicomWebError(400, "by: who corrects this?")
    if series in (None, ""):
        series = None
    elif not isinstance(series, str):
        raise DicomWebError(400, "series: a UID")
    else:
        current.check_uid("series", series)
    scope = given.get("scope", "study")
    if scope not in ("study", "patient"):
        raise DicomWebError(400, "scope is study or patient")
    return Fix(tag, change, name, series, scope == "patient", undo)


def _tag_of(text: object) -> str:
    if isinstance(text, str) and re.fullmatch(r"[0-9A-Fa-f]{8}", text):
        return text.upper()
    tag = tag_for_keyword(text) if isinstance(text, str) and text.isidentifier() else None
    if tag is None:
        raise DicomWebError(400, f"tag: {str(text)[:64]!r} is neither a keyword nor eight hexadecimal digits")
    return f"{tag:08X}"
