"""The home page, and the pages by which people look through studies, series, instances and their attributes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import orjson
from flask import Blueprint, Response, redirect, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from dicouch.couch.memory import DATABASE
from dicouch.dicom.outline import Outline
from dicouch.errors import DicomWebError, resource_name
from dicouch.read.holdings import holdings
from dicouch.read.metadata import read, split
from dicouch.rewrite import asked, query
from dicouch.rewrite.query import SERIES_UID, STUDY_UID
from dicouch.routes import current, delete, pages, problems, resources, search, viewer, wadl, wado_uri
from dicouch.server.origins import is_loopback
from dicouch.services import services

blueprint = Blueprint("browse", __name__)

# Rows of a page.
PAGE = {"study": 25, "series": 100, "instance": 50}
STUDY = "/ui/studies/<study>"
SERIES = f"{STUDY}/series/<series>"
INSTANCE = f"{SERIES}/instances/<instance>"

for rule in (STUDY, SERIES, INSTANCE):
    blueprint.add_url_rule(f"{rule}/delete", "ask_to_delete", delete.ask)
    blueprint.add_url_rule(f"{rule}/delete", "delete", delete.confirmed, methods=["POST"])

ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><rect width="16" height="16" rx="3" fill="#0a51a8"/>'
    '<path d="M3 12V8h2v1h6V8h2v4zM4 7V4h8v3" fill="#fff"/></svg>'
)


@blueprint.get("/favicon.ico")
def icon() -> Response:
    """Answer with the picture that browsers ask for by themselves."""
    return Response(ICON, content_type="image/svg+xml", headers={"Cache-Control": "max-age=86400"})


@blueprint.get("/")
def home() -> Response:
    """Show what the server is and holds to browsers; the URI service is here, too."""
    if request.args or not problems.wants_page():
        return wado_uri.wado_uri()
    memory, authorization = services().memory, current.authorization()
    kept = memory.shared(DATABASE, "holdings", authorization)
    if kept is None:
        token = memory.token(DATABASE)
        kept = orjson.dumps(holdings(services().couch, authorization))
        memory.share(DATABASE, "holdings", authorization, kept, token)
    held = orjson.loads(kept)
    return pages.shown("home", **_places(), held=held, year=datetime.now(UTC).year, fauxton=_fauxton())


@blueprint.get("/ui/capabilities")
def capabilities() -> Response:
    """Show the resources and what can be done with each, as Retrieve Capabilities tells it (PS3.18 8.9)."""
    deletes = services().config.allow_delete == "yes"
    found = [
        {"path": f"/{resource.path}", "methods": wadl.allowed(resource, delete=deletes), "media": _media(resource)}
        for resource in resources.TABLE
    ]
    return pages.shown("capabilities", **_places(), resources=found)


def _media(resource: wadl.Resource) -> list[str]:
    return list(dict.fromkeys(kind for method in resource.methods for kind in method.produces))


@blueprint.get("/ui/studies")
def studies() -> BaseResponse:
    """List studies, newest first: all, or those that the fields of the form or the field of the home page find."""
    form = asked.form_of(request.args)
    words = request.args.get("q", "").strip()
    if words:
        for guess in asked.guesses(words):
            with suppress(DicomWebError):  # what no such attribute can be
                if _rows("study", asked.parameters(guess), 1)[0]:
                    return redirect(_studies_with(guess), 303)
    elif "q" in request.args:
        return redirect(url_for(".studies"), 303)
    rows, paging = ([], {}) if words else _page("study", asked.parameters(form), ".studies", form)
    events = f"{request.root_path}{services().config.prefix}/events"
    told: dict[str, Any] = {"form": form, "words": words, "rows": rows, "events": events}
    return pages.shown("studies", **_places(), **told, **paging, deleted=_deleted())


@blueprint.get(STUDY)
def study(study: str) -> Response:
    """Show a study and its series."""
    header = _one("study", study)
    path = {"study": study}
    rows, paging = _page("series", [], ".study", path, study)
    return pages.shown("study", **_places(), study=header, rows=rows, **paging, deleted=_deleted())


@blueprint.get(SERIES)
def series(study: str, series: str) -> Response:
    """Show a series and its instances."""
    path = {"study": study, "series": series}
    header, above = _one("series", study, series), _one("study", study)
    rows, paging = _page("instance", [], ".series", path, study, series)
    names = Outline()
    for row in rows:
        names.of(row)
    told = {**paging, "study": above, "series": header, "rows": rows, "uids": names.uids}
    return pages.shown("series", **_places(), **told, deleted=_deleted())


@blueprint.get(INSTANCE)
def instance(study: str, series: str, instance: str) -> Response:
    """Show all attributes of an instance as a tree."""
    found = read(current.reader(), study, series, instance, current.base_url())
    dataset = next(split(found.pieces), None)
    if dataset is None:
        raise DicomWebError(404, f"there is no {resource_name(study, series, instance)}")
    outline = Outline()
    path: dict[str, Any] = {"study": study, "series": series, "instance": instance}
    told = _places() | {"dataset": outline.of(dataset), "names": outline.names, "uids": outline.uids}
    return pages.shown("instance", **told, **path, base=current.base_url())


def _places() -> dict[str, Any]:
    """Return where else there is something, as paths that the client sees."""
    config = services().config
    return {
        "dicomweb": request.root_path + config.prefix,
        "url": current.base_url(),
        "ohif": (viewer.link() or "").rstrip("/"),
        "deletes": config.allow_delete == "yes",
    }


def _fauxton() -> str | None:
    """Return the URL of the database's own pages, where the client can reach it."""
    couch = services().couch
    place = urlsplit(couch.root)
    here = is_loopback(place.netloc)
    # A name without a dot is one that containers have for each other.
    if here and not is_loopback(request.host) or not here and not re.search("[.:]", place.hostname or ""):
        return None
    return f"{couch.root}/_utils/#database/{couch.database}/_all_docs"


def _studies_with(form: dict[str, Any]) -> str:
    """Return the URL of the studies that a form finds."""
    return url_for(".studies", **form)


def _deleted() -> int | None:
    """Return how many instances were deleted just before."""
    told = request.args.get("deleted", "")
    return int(told) if told.isascii() and told.isdigit() and len(told) < 12 else None


def _rows(
    level: str,
    keys: Sequence[tuple[str, str]],
    limit: int,
    offset: int = 0,
    study: str | None = None,
    series: str | None = None,
) -> tuple[list[dict[str, Any]], bool]:
    """Return rows of a search as QIDO-RS answers it, and whether there are further ones."""
    pairs = (*keys, ("limit", str(limit + 1)), ("offset", str(offset)))
    parsed = query.parse(pairs, services().config.search_limit)
    found = search.result("rows", level, parsed, study, series, pairs)
    rows = orjson.loads(found.rows)
    return rows[:limit], len(rows) > limit or found.remaining > 0


def _page(
    level: str,
    keys: Sequence[tuple[str, str]],
    endpoint: str,
    arguments: dict[str, Any],
    study: str | None = None,
    series: str | None = None,
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return one page of rows, and the links to the pages beside it; DicomWebError 400 for an offset that is none."""
    size = min(PAGE[level], services().config.search_limit)
    text = request.args.get("offset", "0")
    if not (text.isascii() and text.isdigit() and len(text) < 12):
        raise DicomWebError(400, f"offset must be a whole number of 0 or more, not {text[:80]!r}")
    offset = int(text)
    rows, more = _rows(level, keys, size, offset, study, series)

    def beside(place: int) -> str:
        return url_for(endpoint, **(arguments | ({"offset": place} if place else {})))

    newer = beside(max(0, offset - size)) if offset else None
    return rows, {"offset": offset, "newer": newer, "older": beside(offset + size) if more else None}


def _one(level: str, study: str, series: str | None = None) -> dict[str, Any]:
    """Return the row of a study or series with all its attributes; DicomWebError 404 if there is none."""
    key = (SERIES_UID, series) if series else (STUDY_UID, study)
    rows, _ = _rows(level, [(key[0], str(key[1])), ("includefield", "all")], 1, 0, study if series else None)
    if not rows:
        raise DicomWebError(404, f"there is no {resource_name(study, series)}")
    return rows[0]
