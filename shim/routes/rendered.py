"""WADO-RS: rendered resources (PS3.18 10.4.1.1.3, 8.7.4)."""

from __future__ import annotations

from flask import Response, request

from dicouch.dicom.errors import PixelError
from dicouch.dicom.pixels.parameters import parse_rendering
from dicouch.errors import DicomWebError, resource_name
from dicouch.read.rendering import (
    DRAWN,
    GIF,
    PICTURES,
    PICTURES_AS_PARTS,
    Shot,
    animation,
    kind_of_document,
    representative_instance,
    shots,
)
from dicouch.read.retrieve import Retriever
from dicouch.routes import current
from dicouch.routes.instance_answers import as_rendered, picture, pictures, representative_shot

# Instances of one animation: all their documents are in memory.
MOST_INSTANCES = 1000


def retrieve(study: str, series: str, instance: str, frames: str = "") -> Response:
    """Render an instance, or frames of it: an image, or a video, document or report in its own media type."""
    reader = current.reader()
    numbers = current.frame_list(frames) if frames else None
    rendering = parse_rendering(request.args)
    document = reader.document(study, series, instance)
    return as_rendered(reader, document, numbers, current.retrieval_accepted(), rendering)


def retrieve_all(study: str, series: str | None = None) -> Response:
    """Render all images of a study or series."""
    rendering = parse_rendering(request.args)
    reader = current.reader()
    ranges = current.retrieval_accepted()
    found = reader.instances(study, series, None)
    if len(found) == 1:
        document = reader.document(*found[0].id.split(":"))
        if kind_of_document(reader, document) in ("video", "document", "report"):
            return as_rendered(reader, document, None, ranges, rendering)
    chosen = current.negotiated([*PICTURES_AS_PARTS, *PICTURES], ranges)
    if not chosen.is_multipart and chosen != GIF:
        shot = representative_shot(shots(reader, representative_instance(reader, study, series, None)))
        return picture(chosen, shot.encode(chosen.essence, rendering))
    if chosen == GIF and len(found) > MOST_INSTANCES:
        raise DicomWebError(413, f"{len(found)} instances are too many for one animation")
    documents = (reader.document(*stored.id.split(":")) for stored in found)
    images = (document for document in documents if kind_of_document(reader, document) in DRAWN)
    frames = (shot for document in images for shot in _shots(reader, document))
    if chosen == GIF:
        return picture(chosen, animation(list(frames), rendering))
    first = next(frames, None)
    if first is None:
        raise DicomWebError(406, f"{resource_name(study, series)} has no image that can be rendered")
    return pictures(chosen, first, frames, rendering)


def _shots(reader: Retriever, document: dict) -> list[Shot]:
    """Return the frames of one image of many; none of one that does not say what its pixels are."""
    try:
        return shots(reader, document)
    except PixelError:
        return []
