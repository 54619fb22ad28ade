"""WADO-RS: rendered resources (PS3.18 10.4.1.1.3, 8.7.4)."""

from __future__ import annotations

from collections.abc import Iterator

from flask import Response, request

from dicouch.dicom.errors import PixelError
from dicouch.dicom.pixels.parameters import parse_rendering
from dicouch.errors import DicomWebError
from dicouch.read.ahead import Around
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
from dicouch.read.retrieve import Retriever, Stored
from dicouch.routes import answers, current
from dicouch.routes.instance_answers import as_rendered, picture, pictures, representative_shot
from dicouch.services import services

# Instances of one animation: all their documents are in memory.
MOST_INSTANCES = 1000


def retrieve(study: str, series: str, instance: str, frames: str = "") -> Response:
    """Render an instance, or frames of it: an image, or a video, document or report in its own media type."""
    reader = current.reader()
    numbers = current.frame_list(frames) if frames else None
    rendering = parse_rendering(request.args)
    document = Around(services().memory, reader, study, series).document(instance)
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
    left_out = answers.LeftOut()
    frames = _frames(reader, found, left_out)
    if chosen == GIF:
        return left_out.tell(picture(chosen, animation(list(frames), rendering)), "images")
    return pictures(chosen, frames, rendering, left_out)


def _frames(reader: Retriever, found: list[Stored], left_out: answers.LeftOut) -> Iterator[Shot]:
    """Yield the frames of all images; what is gone meanwhile or does not say what its pixels are is left out."""
    for one in found:
        try:
            document = reader.document(*one.id.split(":"))
            if kind_of_document(reader, document) in DRAWN:
                yield from shots(reader, document)
        except (DicomWebError, PixelError) as problem:
            left_out.add(problem)
