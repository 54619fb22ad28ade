"""Deleting studies, series and instances. PS3.18 has no such transaction; the resources are its own.

People are asked first, by a page.
"""

from __future__ import annotations

from urllib.parse import parse_qsl

from flask import Response, redirect, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from dicouch.errors import DicomWebError, resource_name
from dicouch.read.search.studies import Search
from dicouch.routes import answers, current, pages
from dicouch.routes.conflicts import body_of
from dicouch.services import services
from dicouch.write.delete import Deleter


def delete(study: str, series: str | None = None, instance: str | None = None) -> Response:
    """Delete and answer 204; 403 where the site forbids it."""
    _check_allowed()
    if {"If-Match", "If-None-Match"} & set(request.headers.keys()):
        current.reader().instances(study, series, instance)  # conditions do not count for what is not there
        answers.refuse_conditions()
    _deleter().delete(study, series, instance)
    return Response(status=204)


def ask(study: str, series: str | None = None, instance: str | None = None) -> Response:
    """Show what a deletion would take, and ask."""
    _check_allowed()
    return _question(study, series, instance)


def confirmed(study: str, series: str | None = None, instance: str | None = None) -> BaseResponse:
    """Delete what the page asked about, and go to the nearest page above it that is still there."""
    _check_allowed()
    given = dict(parse_qsl(body_of(request).decode(errors="replace"), keep_blank_values=True))
    if not pages.is_of_page(given.get("token", ""), _place(study, series, instance)):
        problem = "Nothing is deleted: the form was not of this page, or of before the server started. Choose again."
        return _question(study, series, instance, problem, 403)
    gone = _deleter().delete(study, series, instance)
    left = _counts(study, series if instance else None)
    if instance and left[f"{study}:{series}"][1]:
        return redirect(url_for(".series", study=study, series=series, deleted=gone), 303)
    if series and left[f"{study}:study"][1]:
        return redirect(url_for(".study", study=study, deleted=gone), 303)
    return redirect(url_for(".studies", deleted=gone), 303)


def _check_allowed() -> None:
    if services().config.allow_delete != "yes":
        raise DicomWebError(403, "this site does not allow deletion (ALLOW_DELETE=no)")


def _deleter() -> Deleter:
    ours = services()
    return Deleter(ours.couch, ours.store, ours.memory, current.authorization())


def _place(study: str, series: str | None, instance: str | None) -> str:
    return f"delete {resource_name(study, series, instance)}"


def _counts(study: str, series: str | None) -> dict[str, list[int]]:
    """Return ``[series, instances, bytes]`` of a study and of one of its series by document id."""
    wanted = [f"{study}:study", *([f"{study}:{series}"] if series else [])]
    # Nothing of it remembered, nor the index as it is: this request has just deleted, or is about to.
    return Search(services().couch, "", current.authorization()).counts(wanted)


def _question(
    study: str, series: str | None, instance: str | None, problem: str | None = None, status: int = 200
) -> Response:
    """Return the page that asks; DicomWebError 404 when there is nothing to delete."""
    uids = [uid for uid in (study, series, instance) if uid]
    held = _counts(study, series)[f"{study}:{series or 'study'}"]
    header = current.reader().couch.get(
        ":".join(uids) if series else f"{study}:study", authorization=current.authorization()
    )
    if header is None or not held[1]:
        raise DicomWebError(404, f"there is no {resource_name(study, series, instance)}")
    if instance:
        held = [0, 1, header["file"]["size"]]
    told = {"series": held[0], "instances": held[1], "bytes": held[2], "summary": str(header.get("summary", ""))}
    form = {"uids": uids, "token": pages.token(_place(study, series, instance)), "problem": problem}
    return pages.shown("deletion", status, **told, **form)
