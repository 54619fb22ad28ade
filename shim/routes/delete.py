"""Deleting studies, series and instances. PS3.18 has no such transaction; the resources are its own."""

from __future__ import annotations

from flask import Response, request

from dicouch.errors import DicomWebError
from dicouch.routes import answers, current
from dicouch.services import services
from dicouch.write.delete import Deleter


def delete(study: str, series: str | None = None, instance: str | None = None) -> Response:
    """Delete and answer 204; 403 where the site forbids it."""
    ours = services()
    if ours.config.allow_delete != "yes":
        raise DicomWebError(403, "this site does not allow deletion (ALLOW_DELETE=no)")
    if {"If-Match", "If-None-Match"} & set(request.headers.keys()):
        current.reader().instances(study, series, instance)  # conditions do not count for what is not there
        answers.refuse_conditions()
    Deleter(ours.couch, ours.store, ours.memory, current.authorization()).delete(study, series, instance)
    return Response(status=204)
