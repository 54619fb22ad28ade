"""WADO-URI: one instance by query parameters, as DICOM or rendered (PS3.18 9)."""

from __future__ import annotations

import re
from dataclasses import replace

from flask import Blueprint, Response, request

from dicouch.dicom.errors import PixelError
from dicouch.dicom.media.negotiate import (
    MalformedMediaType,
    MediaRange,
    MediaType,
    accepts_utf8,
    choose,
    mixes_dicom_and_rendered,
    parse_accept,
    parse_media_type,
)
from dicouch.dicom.pixels.parameters import parse_uri_rendering
from dicouch.dicom.syntaxes import EXPLICIT_LITTLE
from dicouch.errors import DicomWebError, not_acceptable
from dicouch.read.instances import DICOM, offers
from dicouch.read.rendering import kind_of_document, rendered_types
from dicouch.routes import current
from dicouch.routes.instance_answers import as_file, as_rendered

blueprint = Blueprint("wado_uri", __name__)

# What this service cannot do, and must not pretend to have done (PS3.18 9.4.1.2, 9.5.1.2).
REFUSED = {
    "anonymize": "instances are not anonymised by this server: ask without anonymize",
    "presentationUID": "presentation states are not applied by this server: ask without presentationUID",
    "presentationSeriesUID": "presentation states are not applied by this server: ask without presentationSeriesUID",
    "annotations": "the parameter is called annotation",
}


@blueprint.get("/wado")
def wado_uri() -> Response:
    """Retrieve an instance by the URI service; `dicouch.routes.browse` has the root, where it answers, too."""
    query = request.args
    if query.get("requestType", "").upper() != "WADO":
        # PS3.18 9.4.2.1
        wrong = f"requestType is {query['requestType'][:80]!r}" if "requestType" in query else "requestType is missing"
        raise DicomWebError(400, f"{wrong}: the URI service asks for requestType=WADO; DICOMweb is below /studies")
    uids = {name: query.get(f"{name}UID", "").strip() for name in ("study", "series", "object")}
    for name, uid in uids.items():
        if not uid:
            raise DicomWebError(400, f"the parameter {name}UID is missing")
        current.check_uid(name, uid)
    for name, reason in REFUSED.items():
        if query.get(name, "no").lower() not in ("no", ""):
            raise DicomWebError(400, reason)
    try:
        accepts_utf8(request.headers.getlist("Accept-Charset"), query.getlist("charset"))
    except MalformedMediaType as problem:
        raise DicomWebError(400, f"charset: {problem}") from problem
    rendering = parse_uri_rendering(query)
    reader = current.reader()
    document = reader.document(*uids.values())
    kind = kind_of_document(reader, document)
    syntax = query.get("transferSyntax")
    rendered = rendered_types(reader, document, kind)
    ranges = _acceptable(syntax)
    chosen = choose(ranges, _offered(document, rendered, syntax))
    if chosen is None:
        raise not_acceptable(_offered(document, rendered, None))
    numbers = None if chosen.essence == DICOM else _frame_number(document, kind)
    if chosen.essence != DICOM:
        try:
            return as_rendered(reader, document, numbers, [MediaRange(chosen.type, chosen.subtype)], rendering)
        except PixelError:
            # What nobody can look at can still be had, if the client takes it (PS3.18 9.4.1.1, 8.7.3).
            files = offers(document["file"]["transferSyntax"], multipart=False)
            chosen = choose(ranges, files) if numbers is None else None
            if chosen is None:
                raise
    response = as_file(reader, reader.instances(*uids.values())[0], chosen.transfer_syntax, ranges)
    # Without transfer-syntax: that parameter is of the RESTful services (PS3.18 8.7.3.5.2).
    response.headers["Content-Type"] = DICOM
    return response


def _acceptable(syntax: str | None) -> list[MediaRange]:
    """Return what the client accepts: ``contentType``, else ``Accept`` (PS3.18 9.1.2.2).

    The transfer syntax asked for goes for every range of ``application/dicom`` that names none. DicomWebError 400 for
    what cannot be read.
    """
    try:
        ranges = parse_accept(request.args.getlist("contentType"), strict=True) or current.accepted()
    except MalformedMediaType as problem:
        raise DicomWebError(400, f"contentType: {problem}") from problem
    if mixes_dicom_and_rendered(ranges):
        raise DicomWebError(400, "contentType names DICOM and rendered media types together (PS3.18 8.7.5)")
    if not syntax:
        return ranges
    return [
        replace(one, params={"transfer-syntax": syntax, **one.params}) if one.essence == DICOM else one
        for one in ranges
    ]


def _offered(document: dict, rendered: list[str], syntax: str | None) -> list[MediaType]:
    """Return the media types in which an instance can be had; with a transfer syntax, DICOM in that one only.

    Rendered ones come first (PS3.18 9.3), image/jpeg of an image, where no transfer syntax is asked for, which only
    DICOM has; that is Explicit VR Little Endian where nothing else is asked for (PS3.18 9.4.2.4).
    """
    files = offers(document["file"]["transferSyntax"], multipart=False)
    shown = [parse_media_type(name) for name in rendered]
    if syntax:
        return [*(offer for offer in files if syntax in ("*", offer.transfer_syntax)), *shown]
    return [*shown, *sorted(files, key=lambda offer: offer.transfer_syntax != EXPLICIT_LITTLE)]


def _frame_number(document: dict, kind: str) -> list[int] | None:
    """Return the frame that ``frameNumber`` names (PS3.18 9.5.1.2), None without one; DicomWebError 400."""
    value = request.args.get("frameNumber")
    if value is None:
        return None
    count = (document["file"].get("frames") or {}).get("count", 0)
    if kind != "image" or not re.fullmatch("0*[1-9][0-9]{0,8}", value) or int(value) > count:
        raise DicomWebError(400, f"frameNumber is from 1 to {count}, not {value[:80]!r}")
    return [int(value)]
