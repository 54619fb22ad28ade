"""WADO-RS: thumbnails of studies, series, instances and frames (PS3.18 10.4.1.1.4), with exact validators."""

from __future__ import annotations

import hashlib
from contextlib import suppress

from flask import Blueprint, Response, current_app, request

from dicouch.dicom.pixels.errors import PixelError
from dicouch.dicom.pixels.formats import encode_picture
from dicouch.dicom.pixels.image import text
from dicouch.dicom.pixels.parameters import Rendering, Viewport, parse_viewport
from dicouch.dicom.pixels.thumbnail import sign, thumbnail
from dicouch.dicom.syntaxes import frame_list
from dicouch.read.rendering import kind_of_document, representative_instance, shots
from dicouch.read.retrieve import Retriever
from dicouch.routes import common
from dicouch.routes.rendered import INSTANCE, PICTURES

blueprint = Blueprint("thumbnails", __name__)

_QUALITY = 80


@blueprint.get("/studies/<study>/thumbnail")
def study_thumbnail(study):
    """Retrieve a thumbnail of a study."""
    return answer(study)


@blueprint.get("/studies/<study>/series/<series>/thumbnail")
def series_thumbnail(study, series):
    """Retrieve a thumbnail of a series."""
    return answer(study, series)


@blueprint.get(INSTANCE + "/thumbnail")
def instance_thumbnail(study, series, instance):
    """Retrieve a thumbnail of an instance."""
    return answer(study, series, instance)


@blueprint.get(INSTANCE + "/frames/<frames>/thumbnail")
def frame_thumbnail(study, series, instance, frames):
    """Retrieve a thumbnail of the first of some frames."""
    return answer(study, series, instance, frame_list(frames)[0])


def answer(study: str, series: str | None = None, instance: str | None = None, number: int | None = None) -> Response:
    """Answer with a thumbnail, or with 304 when the client has it."""
    common.check_uids(study=study, series=series, instance=instance)
    chosen = common.negotiated(PICTURES, common.retrieval_accepted())
    viewport = parse_viewport(request.args.get("viewport"))
    reader = common.reader()
    document = representative_instance(reader, study, series, instance)
    form = "\n".join([document["_id"], document["_rev"], repr(number), repr(viewport), chosen.essence])
    tag = hashlib.sha256(form.encode()).hexdigest()[:32]
    if request.if_none_match.contains(tag):
        return common.with_validator(Response(status=304), tag)
    cache = current_app.extensions["dicouch"]["cache"]
    made = cache.get(tag)
    if made is None:
        made = draw(reader, document, number, viewport, chosen.essence)
        cache.put(tag, made)
    return common.with_validator(Response(made, content_type=chosen.essence), tag)


def draw(reader: Retriever, document: dict, number: int | None, viewport: Viewport | None, kind: str) -> bytes:
    """Return a thumbnail in a media type; what has no picture gets its modality as a sign."""
    rendering = Rendering(quality=_QUALITY)
    made = None
    if kind_of_document(document) == "image":
        # A frame that is not there is told before anything is drawn.
        image = shots(reader, document, [number] if number else None)[0].image
        # A browser of studies shows a sign rather than a hole.
        with suppress(PixelError):
            made = thumbnail(image, viewport, number)
    if made is None:
        made = sign(text(document["dataset"], "00080060") or "?", viewport)
    return encode_picture(made, kind, rendering)
