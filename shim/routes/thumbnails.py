"""WADO-RS: thumbnails of studies, series, instances and frames (PS3.18 10.4.1.1.4), with exact validators."""

from __future__ import annotations

from contextlib import suppress

from flask import Response, request

from dicouch.dicom.errors import PixelError
from dicouch.dicom.pixels.formats import encode_picture
from dicouch.dicom.pixels.image import text
from dicouch.dicom.pixels.parameters import Rendering, Viewport, parse_viewport
from dicouch.dicom.pixels.render import sign, thumbnail
from dicouch.read.rendering import PICTURES, kind_of_document, representative_instance, shots
from dicouch.read.retrieve import Retriever
from dicouch.routes import answers, current
from dicouch.services import services

QUALITY = 80
# Characters of an entity tag.
TAG = 32


def retrieve(study: str, series: str | None = None, instance: str | None = None, frames: str = "") -> Response:
    """Retrieve a thumbnail of a resource, or of the first of some frames; 304 when the client has it."""
    number = current.frame_list(frames)[0] if frames else None
    chosen = current.negotiated(PICTURES, current.retrieval_accepted())
    viewport = parse_viewport(request.args.get("viewport"))
    memory, reader = services().memory, current.reader()
    # The tag, and the picture.
    key = "thumbnail", series, instance, number, repr(viewport), chosen.essence
    kept = memory.shared(study, key, reader.authorization)
    if kept is not None:
        return answer(kept[TAG:], kept[:TAG].decode(), chosen.essence)
    token = memory.token(study)
    document = representative_instance(reader, study, series, instance)
    tag = answers.tag_of(document["_id"], document["_rev"], number, viewport, chosen.essence)
    if known := answers.unchanged(tag):
        return known
    made = draw(reader, document, number, viewport, chosen.essence)
    if made is None:
        # Perhaps it can be drawn the next time: nobody is to remember the sign as the picture.
        return Response(draw_sign(document, viewport, chosen.essence), content_type=chosen.essence)
    memory.share(study, key, reader.authorization, tag.encode() + made, token)
    return answer(made, tag, chosen.essence)


def answer(made: bytes, tag: str, kind: str) -> Response:
    """Answer with a thumbnail, or with 304 when the client has it."""
    return answers.unchanged(tag) or answers.with_validator(Response(made, content_type=kind), tag)


def draw(reader: Retriever, document: dict, number: int | None, viewport: Viewport | None, kind: str) -> bytes | None:
    """Return a thumbnail in a media type, a sign of what has no picture; None of an image that cannot be drawn."""
    if kind_of_document(reader, document) != "image":
        return draw_sign(document, viewport, kind)
    # A browser of studies shows a sign rather than a hole; a frame that is not there is told.
    with suppress(PixelError):
        image = shots(reader, document, [number] if number else None)[0].image
        return encode_picture(thumbnail(image, viewport, number), kind, Rendering(quality=QUALITY))
    return None


def draw_sign(document: dict, viewport: Viewport | None, kind: str) -> bytes:
    """Return the modality of an instance as a picture."""
    made = sign(text(document["dataset"], "00080060") or "?", viewport)
    return encode_picture(made, kind, Rendering(quality=QUALITY))
