"""Retrieve Capabilities: OPTIONS at every resource (PS3.18 8.9)."""

from __future__ import annotations

from flask import Blueprint, Response, request

from dicouch.dicom.media.negotiate import parse_media_type
from dicouch.errors import DicomWebError
from dicouch.routes import common, wadl

blueprint = Blueprint("capabilities", __name__)

XML = parse_media_type(wadl.WADL)
PLAIN_XML = parse_media_type("application/xml")
JSON = parse_media_type(wadl.WADL_JSON)
DICOM_JSON = parse_media_type("application/dicom+json")
OFFERED = [XML, JSON, PLAIN_XML, DICOM_JSON]


@blueprint.before_app_request
def capabilities() -> Response | None:
    """Tell what can be done with a resource and those below it; other methods go on to their routes."""
    if request.method != "OPTIONS":
        return None
    prefix = common.config().prefix
    path = request.path.rstrip("/")
    below = path.removeprefix(prefix) if f"{path}/".startswith(f"{prefix}/") else path
    resources = wadl.find(below.strip("/"))
    if resources is None:
        raise DicomWebError(404, f"there is no resource {request.path[:200]}")
    delete = common.config().allow_delete == "yes"
    methods = wadl.allowed(resources, delete=delete)
    if "Access-Control-Request-Method" in request.headers:
        # A browser's question before a request of another origin; `add_cors` answers it.
        return Response(status=204, headers={"Allow": ", ".join(methods)})
    chosen = common.negotiated(OFFERED)
    write = wadl.as_json if chosen in (JSON, DICOM_JSON) else wadl.as_xml
    body = write(common.base_url(), resources, delete=delete)
    return Response(body, content_type=chosen.essence, headers={"Allow": ", ".join(methods)})
