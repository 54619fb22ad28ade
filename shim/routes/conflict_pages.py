"""The pages on studies that disagree: a list, a form for each attribute, and what became of it."""

from __future__ import annotations

from urllib.parse import parse_qsl

from flask import Blueprint, Response, redirect, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from dicouch.couch.response import CouchError
from dicouch.errors import DicomWebError
from dicouch.rewrite import requests
from dicouch.routes import current, pages
from dicouch.routes.conflicts import body_of, decisions, fix_of, page_of

blueprint = Blueprint("ui", __name__, url_prefix="/ui")

FIELDS = ("tag", "series", "seen", "choice", "other", "by", "scope", "action")


@blueprint.get("/conflicts")
def list_studies() -> Response:
    """List studies that disagree."""
    state, start = page_of(request.args)
    asked = decisions().ask(requests.conflicts(state, start, 50), "text/html", ui=url_for(".list_studies"))
    return pages.answered(asked)


@blueprint.get("/conflicts/<study>")
def show_study(study: str) -> Response:
    """Show a study's attributes that disagree, with a form for each."""
    return _show(study, done=request.args.get("done", "")[:300])


@blueprint.post("/conflicts/<study>")
def save(study: str) -> BaseResponse:
    """Save what a person chose, and show the study again."""
    given = dict(parse_qsl(body_of(request).decode(errors="replace"), keep_blank_values=True))
    if not pages.is_of_page(given.get("token", ""), study):
        problem = "the form was not of this page, or of before the server started: please choose again"
        return _show(study, 403, problem=problem)
    form = {name: given[name] for name in FIELDS if name in given}
    undo = form.get("action") == "undo"
    try:
        fix = fix_of(form, {"form": form}, undo)
        told = decisions().fix(study, fix)
    except DicomWebError as problem:
        if problem.status not in (400, 409):
            raise
        return _show(study, problem.status, problem=problem.reason[:2000])
    done = "Undone." if undo else "Saved."
    if fix.patient:
        done += f" {len(told['changed'])} studies of the patient were changed."
    if told["failed"]:
        reasons = "; ".join(f"{one['study']}: {one['reason']}" for one in told["failed"][:5])
        return _show(study, 409, problem=f"{len(told['failed'])} studies of the patient: {reasons}"[:2000])
    return redirect(url_for(".show_study", study=study, done=done), 303)


def _show(study: str, status: int = 200, **told: str) -> Response:
    """Return the page of a study."""
    # Without credentials of the client the database knows the server's account only, which is nobody's name.
    anonymous = {} if current.authorization() else {"anonymous": "1"}
    texts = {name: text for name, text in told.items() if text}
    place = url_for(".list_studies")
    try:
        told = {**anonymous, **texts, "token": pages.token(study)}
        answer = decisions().ask(requests.conflict(study), "text/html", ui=place, **told)
    except CouchError as problem:
        raise decisions().unknown(study, problem) from problem
    return pages.answered(answer, status)
