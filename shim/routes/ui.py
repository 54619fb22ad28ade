"""The pages of the design document, for people: studies that disagree, and what other pages are made with."""

from __future__ import annotations

import hmac
from urllib.parse import parse_qsl

from flask import Blueprint, Response, redirect, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from dicouch.couch.response import Answer, CouchError
from dicouch.errors import DicomWebError
from dicouch.rewrite import requests
from dicouch.routes import current
from dicouch.routes.conflicts import body_of, decisions, fix_of, page_of
from dicouch.services import services

blueprint = Blueprint("ui", __name__, url_prefix="/ui")

# What the design document says of its pages; CouchDB's own policy ("sandbox") is for pages that it serves itself.
PASSED = ("Content-Type", "X-Content-Type-Options", "Referrer-Policy", "Cache-Control")
FIELDS = ("tag", "series", "seen", "choice", "other", "by", "scope", "action")


@blueprint.get("/conflicts")
def list_studies() -> Response:
    """List studies that disagree."""
    state, start = page_of(request.args)
    asked = decisions().ask(requests.conflicts(state, start, 50), "text/html", ui=url_for(".list_studies"))
    return _page(asked)


@blueprint.get("/conflicts/<study>")
def show_study(study: str) -> Response:
    """Show a study's attributes that disagree, with a form for each."""
    return _show(study, done=request.args.get("done", "")[:300])


@blueprint.post("/conflicts/<study>")
def save(study: str) -> BaseResponse:
    """Save what a person chose, and show the study again."""
    given = dict(parse_qsl(body_of(request).decode(errors="replace"), keep_blank_values=True))
    if not is_of_page(given.get("token", ""), study):
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
        told = {**anonymous, **texts, "token": token(study)}
        answer = decisions().ask(requests.conflict(study), "text/html", ui=place, **told)
    except CouchError as problem:
        raise decisions().unknown(study, problem) from problem
    return _page(answer, status)


def _page(answer: Answer, status: int = 200) -> Response:
    """Return a page of the design document with its own policy."""
    response = Response(answer.read(), status)
    for name in PASSED:
        if name in answer.headers:
            response.headers[name] = answer.headers[name]
    policies = ",".join(answer.headers.get_all("Content-Security-Policy", [])).split(",")
    own = [policy.strip() for policy in policies if "default-src" in policy]
    response.headers["Content-Security-Policy"] = ", ".join(own)
    return response


def token(place: str) -> str:
    """Return what a form of a page brings along, for these credentials; other sites cannot read it.

    `place` tells what the form is about, such as a study's UID.
    """
    told = f"{place}\n{current.authorization() or ''}".encode()
    return hmac.new(services().secret, told, "sha256").hexdigest()


def is_of_page(given: str, place: str) -> bool:
    """Return whether a form brought the token of its page; see `token`."""
    return hmac.compare_digest(given.encode(), token(place).encode())


def root() -> str:
    """Return the path below which the pages are as the client sees it: where the server is, perhaps with the prefix."""
    prefix = services().config.prefix
    below = prefix and f"{request.path}/".startswith(f"{prefix}/")
    return request.root_path + (prefix if below else "")


def shown(name: str, status: int = 200, **given: object) -> Response:
    """Return a page that the design document makes of what was found; see ``lib/pages/shown.js``."""
    page = requests.page({"page": name, "root": root(), **given})
    asked = services().couch.start_json(
        page.method, page.path, body=page.body, headers={"Accept": "text/html"}, authorization=current.authorization()
    )
    return _page(asked.answer(), status)


@blueprint.get("/scripts/<name>")
def script(name: str) -> Response:
    """Send a script of the design document that pages load."""
    asked = requests.script(name)
    try:
        answer = services().couch.request(
            asked.method, asked.path, params=asked.params, authorization=current.authorization()
        )
    except CouchError as problem:
        if problem.reason == "no such script":
            raise DicomWebError(404, f"there is no script {name[:80]!r}") from problem
        raise
    response = Response(answer.read(), content_type=answer.headers["Content-Type"])
    response.headers["Cache-Control"] = "no-cache"
    response.headers["Content-Security-Policy"] = "default-src 'none'"
    return response
