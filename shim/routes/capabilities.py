"""Retrieve Capabilities: OPTIONS at every resource (PS3.18 8.9)."""

from __future__ import annotations

from flask import Response, request

from dicouch.dicom.media.negotiate import parse_media_type
from dicouch.errors import DicomWebError
from dicouch.routes import current, resources, wadl
from dicouch.services import services

WRITERS = {
    parse_media_type("application/vnd.sun.wadl+xml"): wadl.as_xml,
    parse_media_type("application/json"): wadl.as_json,
    parse_media_type("application/xml"): wadl.as_xml,
    parse_media_type("application/dicom+json"): wadl.as_json,
}


def tell() -> Response | None:
    """Tell what can be done with a resource and those below it; other methods go on to their routes."""
    if request.method != "OPTIONS":
        return None
    ours = services().config
    path = request.path.rstrip("/")
    below = path.removeprefix(ours.prefix) if f"{path}/".startswith(f"{ours.prefix}/") else path
    found = resources.find(below.strip("/"))
    if not found:
        raise DicomWebError(404, f"there is no resource {request.path[:200]}")
    delete = ours.allow_delete == "yes"
    headers = {"Allow": ", ".join(wadl.allowed(found[0], delete=delete))}
    if "Access-Control-Request-Method" in request.headers:
        # A browser's question before a request of another origin; `dicouch.app.add_headers` answers it.
        return Response(status=204, headers=headers)
    chosen = current.negotiated(list(WRITERS))
    body = WRITERS[chosen](current.base_url(), found, delete=delete)
    return Response(body, content_type=chosen.essence, headers=headers)
