"""WADO-RS: rendered resources and thumbnails (PS3.18 10.4.1.1.3, 10.4.1.1.4, 8.7.4)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain

from flask import Blueprint, Response, request

from dicouch.dicom.media.multipart_writer import BodyPart, multipart_content_type, write_multipart
from dicouch.dicom.media.negotiate import MediaRange, MediaType, parse_media_type
from dicouch.dicom.pixels.errors import PixelError
from dicouch.dicom.pixels.formats import FORMATS
from dicouch.dicom.pixels.image import integer
from dicouch.dicom.pixels.parameters import Rendering, parse_rendering
from dicouch.dicom.pixels.render import representative
from dicouch.dicom.report import as_html, as_text
from dicouch.dicom.syntaxes import frame_list
from dicouch.errors import DicomWebError
from dicouch.read import metadata
from dicouch.read.rendering import Shot, animation, kind_of_document, representative_instance, shots, stream_type
from dicouch.read.retrieve import Retriever, describe
from dicouch.routes import common
from dicouch.routes.bulkdata import DOCUMENT, document_type

blueprint = Blueprint("rendered", __name__)

INSTANCE = "/studies/<study>/series/<series>/instances/<instance>"
PICTURES = [parse_media_type(name) for name in FORMATS]
MULTIPART = [parse_media_type(f'multipart/related; type="{name}"') for name in FORMATS]
GIF = parse_media_type("image/gif")
REPORTS = {"text/html": as_html, "text/plain": as_text}
# Instances of one animation: all their documents are in memory.
MOST_INSTANCES = 1000


@blueprint.get("/studies/<study>/rendered")
def study_rendered(study):
    """Render a study."""
    return several(study)


@blueprint.get("/studies/<study>/series/<series>/rendered")
def series_rendered(study, series):
    """Render a series."""
    return several(study, series)


@blueprint.get(INSTANCE + "/rendered")
def instance_rendered(study, series, instance):
    """Render an instance: an image, or a video, document or report in its own media type."""
    common.check_uids(study=study, series=series, instance=instance)
    reader = common.reader()
    rendering = parse_rendering(request.args)
    return one(reader, reader.document(study, series, instance), None, common.retrieval_accepted(), rendering)


@blueprint.get(INSTANCE + "/frames/<frames>/rendered")
def frames_rendered(study, series, instance, frames):
    """Render frames."""
    common.check_uids(study=study, series=series, instance=instance)
    reader = common.reader()
    numbers = frame_list(frames)
    rendering = parse_rendering(request.args)
    return one(reader, reader.document(study, series, instance), numbers, common.retrieval_accepted(), rendering)


def one(
    reader: Retriever, document: dict, numbers: list[int] | None, ranges: list[MediaRange], rendering: Rendering
) -> Response:
    """Answer with one instance, or frames of it.

    Parameters
    ----------
    reader : Retriever
    document : dict
        Instance document.
    numbers : list of int or None
        Frame numbers, from 1; None for the instance.
    ranges : list of MediaRange
        What the client accepts.
    rendering : Rendering
    """
    kind = kind_of_document(document)
    if kind == "video":
        return as_stored(document, ranges, stream_type(document), *reader.frame(document, 1))
    if kind == "document":
        document = reader.whole(document)
        size, pieces = reader.bulk(document, document["file"]["bulk"][DOCUMENT])
        # The length without the pad byte (PS3.3 C.24.2).
        size = min(size, integer(document["dataset"], "00420015") or size)
        return as_stored(document, ranges, document_type(document), size, lambda start=0, end=size: pieces(start, end))
    if kind == "report":
        return report(ranges, reader, document)
    if kind != "image":
        raise DicomWebError(406, f"{describe(*document['_id'].split(':'))} has nothing that can be rendered")
    found = shots(reader, document, numbers)
    # One picture of many frames is the representative one, unless the frames were named.
    alone = numbers is None or len(found) == 1
    chosen = common.negotiated([*PICTURES, *MULTIPART] if alone else [*MULTIPART, *PICTURES], ranges)
    tag = common.tag_of(document["_id"], document["_rev"], numbers, rendering, chosen, common.base_url())
    if known := common.unchanged(tag):
        return known
    if chosen == GIF and len(found) > 1:
        return picture(chosen, animation(found, rendering), tag)
    if not chosen.is_multipart and alone:
        shot = found[0] if len(found) == 1 else found[representative(found[0].image) - 1]
        return picture(chosen, shot.encode(chosen.essence, rendering), tag)
    return rendered_parts(chosen, found[0], iter(found[1:]), rendering, tag)


def several(study: str, series: str | None = None) -> Response:
    """Answer with all images of a study or series."""
    common.check_uids(study=study, series=series)
    rendering = parse_rendering(request.args)
    reader = common.reader()
    ranges = common.retrieval_accepted()
    found = reader.instances(study, series, None)
    if len(found) == 1:
        document = reader.document(*found[0].id.split(":"))
        if kind_of_document(document) in ("video", "document", "report"):
            return one(reader, document, None, ranges, rendering)
    chosen = common.negotiated([*MULTIPART, *PICTURES], ranges)
    if not chosen.is_multipart and chosen != GIF:
        document = representative_instance(reader, study, series, None)
        shot = representative_shot(reader, document)
        return picture(chosen, shot.encode(chosen.essence, rendering))
    if chosen == GIF and len(found) > MOST_INSTANCES:
        raise DicomWebError(413, f"{len(found)} instances are too many for one animation")
    documents = (reader.document(*stored.id.split(":")) for stored in found)
    images = (document for document in documents if kind_of_document(document) == "image")
    frames = (shot for document in images for shot in shots(reader, document))
    if chosen == GIF:
        return picture(chosen, animation(list(frames), rendering))
    first = next(frames, None)
    if first is None:
        raise DicomWebError(406, f"{describe(study, series)} has no image that can be rendered")
    return rendered_parts(chosen, first, frames, rendering)


def representative_shot(reader: Retriever, document: dict) -> Shot:
    """Return the frame that stands for an instance."""
    found = shots(reader, document)
    return found[representative(found[0].image) - 1]


def picture(kind: MediaType, made: bytes, tag: str | None = None) -> Response:
    """Answer with one picture."""
    response = Response(made, content_type=kind.essence)
    return common.with_validator(response, tag) if tag else response


def rendered_parts(
    chosen: MediaType, first: Shot, rest: Iterator[Shot], rendering: Rendering, tag: str | None = None
) -> Response:
    """Answer with pictures as parts; the first is made before the answer begins, and a damaged one later left out."""
    kind = chosen.item_type
    begun = (first, first.encode(kind, rendering))

    def more() -> Iterator[tuple[Shot, bytes]]:
        for shot in rest:
            try:
                yield shot, shot.encode(kind, rendering)
            except PixelError:
                continue

    return parts(chosen, chain([begun], more()), tag)


def parts(chosen: MediaType, pictures: Iterable[tuple[Shot, bytes]], tag: str | None = None) -> Response:
    """Answer with pictures as ``multipart/related``."""
    kind = chosen.item_type
    base = common.base_url()

    def bodies() -> Iterator[BodyPart]:
        for shot, made in pictures:
            place = "/studies/{}/series/{}/instances/{}".format(*shot.document["_id"].split(":"))
            location = f"{base}{place}/frames/{shot.number}/rendered"
            yield BodyPart({"Content-Type": kind, "Content-Location": location}, made)

    boundary = common.boundary_of(tag)
    response = Response(write_multipart(bodies(), boundary), content_type=multipart_content_type(kind, boundary))
    return common.with_validator(response, tag) if tag else response


def as_stored(
    document: dict, ranges: list[MediaRange], kind: str, size: int, pieces: Callable[..., Iterator[bytes]]
) -> Response:
    """Answer with a video or a document as it is, whole or by range: players seek, and readers of PDF do."""
    chosen = common.negotiated([parse_media_type(kind), parse_media_type(f'multipart/related; type="{kind}"')], ranges)
    base = common.base_url()
    tag = common.tag_of(document["_id"], document["file"]["sha256"], "rendered", chosen, base)
    place = "/studies/{}/series/{}/instances/{}/rendered".format(*document["_id"].split(":"))
    part = {"Content-Type": kind, "Content-Location": base + place}, size, pieces
    if not chosen.is_multipart:
        return common.part_alone(part, tag)
    return common.unchanged(tag) or common.multipart_answer(kind, [part], tag=tag)


def report(ranges: list[MediaRange], reader: Retriever, document: dict) -> Response:
    """Answer with a structured report as text."""
    chosen = common.negotiated([parse_media_type(name) for name in REPORTS], ranges)
    # As the metadata have it: with what people corrected.
    found = metadata.read(reader, *document["_id"].split(":"), common.base_url())
    tag = common.tag_of(found.fingerprint, chosen)
    if known := common.unchanged(tag):
        return known
    made = REPORTS[chosen.essence](next(metadata.split(found.pieces)))
    response = Response(made.encode("utf-8"), content_type=f"{chosen.essence}; charset=utf-8")
    return common.with_validator(response, tag)
