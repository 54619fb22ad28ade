"""Studies whose attributes disagree, as JSON for programs; docs/conflicts.md tells the routes."""

from __future__ import annotations

import re

import orjson
from flask import Blueprint, request, url_for
from pydicom.datadict import tag_for_keyword

from dicouch.errors import DicomWebError
from dicouch.routes import answers, current
from dicouch.routes.uids import check_uid
from dicouch.services import services
from dicouch.write.conflicts import Conflicts, Fix

blueprint = Blueprint("conflicts", __name__)

MEMBERS = {"tag", "value", "undo", "series", "scope", "by", "seen"}
LARGEST = 1_000_000
MOST = 1000
STATES = ("open", "fixed")


@blueprint.get("/conflicts")
def list_conflicts():
    """List studies that disagree, or with ``state=fixed`` those that people corrected, newest first."""
    state, start = page_of(request.args)
    size = number(request.args.get("limit", "50"), "limit")
    page = conflicts().listed(state, start, size)
    following = None
    if page["next"]:
        key = orjson.dumps(page["next"]).decode()
        following = url_for(".list_conflicts", state=state, limit=size, **{"from": key}, _external=True)
    return answers.json_answer({"studies": page["studies"], "next": following}, media_type="application/json")


@blueprint.get("/studies/<study>/conflicts")
def show_conflicts(study):
    """Show every value of the attributes that disagree within a study, with the series and instances that carry it."""
    return answers.json_answer(conflicts().study(study), media_type="application/json")


@blueprint.post("/studies/<study>/conflicts")
def decide(study):
    """Correct an attribute of a study, a series or a patient, or undo that."""
    answer = conflicts().fix(study, read_fix(request))
    return answers.json_answer(answer, 200, "application/json")


def conflicts() -> Conflicts:
    """Return what reads and decides for this request."""
    return Conflicts(services().couch, current.authorization())


def page_of(query) -> tuple[str, list | None]:
    """Return which list is asked for, and the key of its first row.

    Raises
    ------
    DicomWebError
        400, naming the parameter.
    """
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


def number(text: str, name: str) -> int:
    """Return a number of rows; DicomWebError 400 when it is none."""
    if not (text.isascii() and text.isdigit() and len(text) < 6 and 1 <= int(text) <= MOST):
        raise DicomWebError(400, f"{name} is a number from 1 to {MOST}, not {text[:40]!r}")
    return int(text)


def body_of(sent) -> bytes:
    """Return the whole body of a decision.

    Raises
    ------
    DicomWebError
        413, and 400 when the client went away midway.
    """
    length = sent.content_length or 0
    body = sent.stream.read(LARGEST + 1) if length <= LARGEST else b""
    if max(length, len(body)) > LARGEST:
        raise DicomWebError(413, f"a correction has at most {LARGEST} bytes")
    if len(body) < length:
        raise DicomWebError(400, f"the body ends after {len(body)} of {length} bytes")
    return body


def read_fix(sent) -> Fix:
    """Read the JSON body of a decision.

    Raises
    ------
    DicomWebError
        400, naming what is wrong; 413, 415.
    """
    # No page of another site can send this without asking first.
    if sent.mimetype != "application/json":
        raise DicomWebError(415, "the body must be application/json")
    try:
        body = orjson.loads(body_of(sent))
    except orjson.JSONDecodeError as problem:
        raise DicomWebError(400, f"the body is no JSON: {problem}") from problem
    if not isinstance(body, dict):
        raise DicomWebError(400, "the body must be a JSON object")
    unknown = set(body) - MEMBERS
    if unknown:
        raise DicomWebError(400, f"unknown members: {', '.join(sorted(unknown))[:200]}")
    undo = body.get("undo", False)
    if not isinstance(undo, bool) or undo == ("value" in body):
        raise DicomWebError(400, 'the body has either a "value" or "undo": true')
    change = {"undo": True} if undo else {"value": body["value"]}
    if body.get("seen") is not None:
        change["seen"] = body["seen"]
    return Fix(
        tag=tag_of(body.get("tag")),
        change=change,
        by=name_of(body.get("by")),
        series=series_of(body.get("series")),
        patient=is_patient(body.get("scope", "study")),
        undo=undo,
    )


def tag_of(text: object) -> str:
    """Return a tag given as eight hexadecimal digits or as a keyword; DicomWebError 400."""
    if isinstance(text, str) and re.fullmatch(r"[0-9A-Fa-f]{8}", text):
        return text.upper()
    tag = tag_for_keyword(text) if isinstance(text, str) and text.isidentifier() else None
    if tag is None:
        raise DicomWebError(400, f"tag: {str(text)[:64]!r} is neither a keyword nor eight hexadecimal digits")
    return f"{tag:08X}"


def name_of(by: object) -> str:
    """Return who corrects; where the database does not know the client, the request must say.

    Raises
    ------
    DicomWebError
        400
    """
    if by is not None and not isinstance(by, str):
        raise DicomWebError(400, "by: the name of a person")
    if not (by or "").strip() and not current.authorization():
        raise DicomWebError(400, "by: who corrects this?")
    return (by or "").strip()


def series_of(series: object) -> str | None:
    """Return the series whose attribute it is; None or empty for the study's."""
    if series in (None, ""):
        return None
    if not isinstance(series, str):
        raise DicomWebError(400, "series: a UID")
    check_uid("series", series)
    if series == "study":
        raise DicomWebError(400, "series: a UID")
    return series


def is_patient(scope: object) -> bool:
    """Return whether a correction goes for all studies of the patient."""
    if scope not in ("study", "patient"):
        raise DicomWebError(400, "scope is study or patient")
    return scope == "patient"
