"""WADO-RS: frames and bulk data (PS3.18 10.4.1.1.5, 10.4.1.1.6), read by range from where STOW found them."""

from __future__ import annotations

from flask import Blueprint, Response, request

from shim.errors import DicomWebError
from shim.frames import EXPLICIT_LITTLE, frame_list, is_native, media_type
from shim.negotiate import choose, parse_media_type
from shim.retrieve import Retriever, describe
from shim.routes import common

blueprint = Blueprint("frames", __name__)

INSTANCE = "/studies/<study>/series/<series>/instances/<instance>"


@blueprint.get(INSTANCE + "/frames/<frames>")
def retrieve_frames(study, series, instance, frames):
    """Retrieve frames in the stored encoding."""
    common.check_uids(study=study, series=series, instance=instance)
    numbers = frame_list(frames)
    reader = retriever()
    document = reader.document(study, series, instance)
    stored = document["file"]["transferSyntax"]
    syntax = EXPLICIT_LITTLE if is_native(stored) else stored
    kind = media_type(stored)
    alone = negotiate(kind, syntax, single=len(numbers) == 1)
    found = [reader.frame(document, number) for number in numbers]
    label = f"{kind}; transfer-syntax={syntax}"
    if alone:
        size, pieces = found[0]
        response = Response(pieces(), content_type=label)
        response.content_length = size
        return response
    base = common.base_url() + f"/studies/{study}/series/{series}/instances/{instance}/frames/"
    parts = [
        ({"Content-Type": label, "Content-Location": f"{base}{number}"}, size, pieces)
        for number, (size, pieces) in zip(numbers, found, strict=True)
    ]
    return common.multipart_answer(kind, parts, transfer_syntax=syntax)


@blueprint.get(INSTANCE + "/bulkdata/<path:path>")
def retrieve_bulkdata(study, series, instance, path):
    """Retrieve one bulk value, as a part or alone, whole or by range."""
    common.check_uids(study=study, series=series, instance=instance)
    reader = retriever()
    document = reader.document(study, series, instance)
    value = document["file"].get("bulk", {}).get(path.upper())
    if value is None:
        raise DicomWebError(404, f"{describe(study, series, instance)} has no bulk data {path[:80]!r}")
    kind = "application/octet-stream"
    alone = negotiate(kind, EXPLICIT_LITTLE, single=True)
    size, pieces = reader.bulk(document, value)
    if alone:
        return ranged(size, pieces, kind)
    location = f"{common.base_url()}/studies/{study}/series/{series}/instances/{instance}/bulkdata/{path}"
    return common.multipart_answer(kind, [({"Content-Type": kind, "Content-Location": location}, size, pieces)])


def retriever() -> Retriever:
    """Return the reader of the database for this request."""
    return Retriever(common.couch(), common.store(), common.authorization())


def negotiate(kind: str, syntax: str, *, single: bool) -> bool:
    """Return whether the value goes alone (True) or as parts (False).

    Raises
    ------
    DicomWebError
        406 if the client accepts neither; the reason names what there is.
    """
    multipart = parse_media_type(f'multipart/related; type="{kind}"; transfer-syntax={syntax}')
    octets = parse_media_type(f'multipart/related; type="application/octet-stream"; transfer-syntax={syntax}')
    alone = parse_media_type(f"{kind}; transfer-syntax={syntax}")
    offered = [multipart, octets, alone] if single else [multipart, octets]
    chosen = choose(common.accepted(), offered)
    if chosen is None:
        raise common.not_acceptable([str(offer) for offer in (offered if kind == octets else [multipart, alone])])
    return chosen is alone


def ranged(size: int, pieces, kind: str) -> Response:
    """Answer with a value, or with the part of it that ``Range`` asks for (RFC 9110 14)."""
    asked = request.range
    span = asked.range_for_length(size) if asked and len(asked.ranges) == 1 else None
    if asked and asked.units == "bytes" and len(asked.ranges) == 1 and span is None:
        raise DicomWebError(416, f"the value has {size} bytes", {"Content-Range": f"bytes */{size}"})
    start, end = span or (0, size)
    response = Response(pieces(start, end), 206 if span else 200, content_type=kind)
    response.headers["Accept-Ranges"] = "bytes"
    response.content_length = end - start
    if span:
        response.headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    return response
