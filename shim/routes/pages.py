"""What the pages for people are made with: shows of the design document, their scripts, and the tokens of forms."""

from __future__ import annotations

import hmac

from flask import Blueprint, Response, request

from dicouch.couch.response import Answer, CouchError
from dicouch.errors import DicomWebError
from dicouch.rewrite import requests
from dicouch.routes import current
from dicouch.services import services

blueprint = Blueprint("ui_scripts", __name__, url_prefix="/ui")

# What the design document says of its pages; CouchDB's own policy ("sandbox") is for pages that it serves itself.
PASSED = ("Content-Type", "X-Content-Type-Options", "Referrer-Policy", "Cache-Control")


def answered(answer: Answer, status: int = 200) -> Response:
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
    return answered(asked.answer(), status)


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
