"""Studies whose attributes disagree, as JSON for programs; docs/conflicts.md tells the routes."""

from __future__ import annotations

import orjson
from flask import Blueprint, Request, Response, request, url_for

from dicouch.errors import DicomWebError
from dicouch.routes import answers
from dicouch.routes.corrections import (
    attribute_of,
    body_of,
    decisions,
    is_patient,
    name_of,
    number,
    page_of,
    series_of,
)
from dicouch.write.conflicts import Fix

blueprint = Blueprint("conflicts", __name__)

MEMBERS = {"tag", "value", "undo", "series", "scope", "by", "seen"}


@blueprint.get("/conflicts")
def list_conflicts() -> Response:
    """List studies that disagree, or with ``state=fixed`` those that people corrected, newest first."""
    state, start = page_of(request.args)
    size = number(request.args.get("limit", "50"), "limit")
    page = decisions().listed(state, start, size)
    following = None
    if page["next"]:
        key = orjson.dumps(page["next"]).decode()
        following = url_for(".list_conflicts", state=state, limit=size, **{"from": key}, _external=True)
    return answers.json_answer({"studies": page["studies"], "next": following}, media_type="application/json")


@blueprint.get("/studies/<study>/conflicts")
def show_conflicts(study: str) -> Response:
    """Show every value of the attributes that disagree within a study, with the series and instances that carry it."""
    return answers.json_answer(decisions().study(study), media_type="application/json")


@blueprint.post("/studies/<study>/conflicts")
def decide(study: str) -> Response:
    """Correct an attribute of a study, a series or a patient, or undo that."""
    answer = decisions().fix(study, read_fix(request))
    return answers.json_answer(answer, 200, "application/json")


def read_fix(sent: Request) -> Fix:
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
        tag=attribute_of(body.get("tag")),
        change=change,
        by=name_of(body.get("by")),
        series=series_of(body.get("series")),
        patient=is_patient(body.get("scope", "study")),
        undo=undo,
    )
