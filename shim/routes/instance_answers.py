"""One instance, as a file or rendered: what WADO-RS and WADO-URI answer alike (PS3.18 8.7, 9.4, 10.4)."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator

from flask import Response, request

from dicouch.couch.response import CHUNK
from dicouch.dicom.errors import PixelError
from dicouch.dicom.media.negotiate import MediaRange, MediaType, parse_media_type
from dicouch.dicom.pixels.image import integer
from dicouch.dicom.pixels.parameters import Rendering
from dicouch.dicom.pixels.render import representative
from dicouch.errors import DicomWebError, resource_name
from dicouch.read import instances as files
from dicouch.read import metadata
from dicouch.read.frames import LazyPart, part_size
from dicouch.read.rendering import (
    DOCUMENT,
    DRAWN,
    GIF,
    PICTURES,
    PICTURES_AS_PARTS,
    REPORTS,
    Shot,
    animation,
    document_type,
    kind_of_document,
    shots,
    stream_type,
)
from dicouch.read.retrieve import Retriever, Stored
from dicouch.routes import answers, current
from dicouch.store import ATTACHED
from dicouch.store.ranges import AHEAD, begun, cut_out


def as_file(reader: Retriever, stored: Stored, syntax: str | None, ranges: list[MediaRange]) -> Response:
    """Answer with one instance, or a range of it, in a transfer syntax, or in the one that it is stored in (None).

    `ranges` are what the client accepts; see `dicouch.read.instances.deliver_acceptable`.
    """
    syntax = syntax or stored.file["transferSyntax"]
    if files.is_kept(stored, syntax):
        pieces: Callable[[int, int], Iterable[bytes]]
        size, pieces = reader.content(stored)
        if stored.file["store"] != ATTACHED and stored.is_as_stored:
            pieces = _from_file(reader, stored)
        return answers.ranged(size, pieces, f"{files.DICOM}; transfer-syntax={syntax}", stored.tag)
    tag = answers.tag_of(stored.id, stored.tag, syntax)
    if known := answers.unchanged(tag):
        return known
    sent = files.deliver_acceptable(reader, stored, syntax, ranges, multipart=False)
    if files.is_kept(stored, sent.transfer_syntax):
        return as_file(reader, stored, None, ranges)
    tag = answers.tag_of(stored.id, stored.tag, sent.transfer_syntax)
    # The bytes before a range are made, too: how long each frame becomes is not known.
    return answers.ranged(sent.size, lambda start, end: cut_out(sent.open(), start, end), sent.content_type, tag)


def _from_file(reader: Retriever, stored: Stored) -> Callable[[int, int], Iterable[bytes]]:
    """Return what gives bytes of a file in a folder, where that can be by the system itself (sendfile)."""
    wrapper = request.environ.get("wsgi.file_wrapper")
    # gunicorn sends as many bytes as the answer announces; other servers' wrappers go to the end of the file.
    if wrapper is None or request.method != "GET" or not wrapper.__module__.startswith("gunicorn."):
        return lambda start, end: reader.open(stored, start, end)

    def pieces(start: int, end: int) -> Iterable[bytes]:
        path = reader.store.locate(stored.file)
        try:
            file = io.FileIO(path) if path else None
        except FileNotFoundError:
            file = None
        if file is None:  # moved meanwhile: found where it is now
            return reader.open(stored, start, end)
        file.seek(start)
        return wrapper(file, CHUNK)

    return pieces


def as_rendered(
    reader: Retriever, document: dict, numbers: list[int] | None, ranges: list[MediaRange], rendering: Rendering
) -> Response:
    """Answer with one instance, or frames of it by number, from 1."""
    kind = kind_of_document(reader, document)
    if kind == "video":
        return _as_stored(document, ranges, stream_type(document), *reader.frame(document, 1))
    if kind == "document":
        document = reader.whole(document)
        size, pieces = reader.bulk(document, document["file"]["bulk"][DOCUMENT])
        # The length without the pad byte (PS3.3 C.24.2).
        size = min(size, integer(document["dataset"], "00420015") or size)
        media = document_type(reader, document)
        return _as_stored(document, ranges, media, size, lambda start=0, end=size: pieces(start, end))
    if kind == "report":
        return _report(ranges, reader, document)
    if kind not in DRAWN:
        raise DicomWebError(406, f"{resource_name(*document['_id'].split(':'))} has nothing that can be rendered")
    found = shots(reader, document, numbers)
    # One picture of many frames is the representative one, unless the frames were named.
    alone = numbers is None or len(found) == 1
    chosen = current.negotiated([*PICTURES, *PICTURES_AS_PARTS] if alone else [*PICTURES_AS_PARTS, *PICTURES], ranges)
    tag = answers.tag_of(document["_id"], document["_rev"], numbers, rendering, chosen, current.base_url())
    if known := answers.unchanged(tag):
        return known
    if chosen == GIF and len(found) > 1:
        return picture(chosen, animation(found, rendering), tag)
    if not chosen.is_multipart and alone:
        return picture(chosen, representative_shot(found).encode(chosen.essence, rendering), tag)
    return pictures(chosen, found, rendering, answers.LeftOut(), tag)


def representative_shot(found: list[Shot]) -> Shot:
    """Return the frame that stands for all frames of an image, or the only one that was asked for."""
    return found[0] if len(found) == 1 else found[representative(found[0].image) - 1]


def picture(kind: MediaType, made: bytes, tag: str | None = None) -> Response:
    """Answer with one picture."""
    return answers.with_validator(Response(made, content_type=kind.essence), tag)


def pictures(
    chosen: MediaType, found: Iterable[Shot], rendering: Rendering, left_out: answers.LeftOut, tag: str | None = None
) -> Response:
    """Answer with pictures as parts, the first ones made before the answer begins; damaged ones are left out."""
    kind, base = chosen.item_type, current.base_url()

    def parts() -> Iterator[LazyPart]:
        for shot in found:
            headers = {"Content-Type": kind, "Content-Location": f"{base}{shot.path}/rendered"}
            try:
                made = shot.encode(kind, rendering)
            except (DicomWebError, PixelError) as problem:
                left_out.add(problem)
            else:
                yield headers, len(made), lambda made=made: (made,)

    made = begun(parts(), AHEAD, part_size)
    first = next(made, None)
    if first is None:
        raise left_out.problems[0] if left_out.problems else DicomWebError(406, "there is no image to be rendered")
    return left_out.tell(answers.streamed(first, made, tag=tag), "images or frames")


def _as_stored(
    document: dict, ranges: list[MediaRange], kind: str, size: int, pieces: Callable[..., Iterator[bytes]]
) -> Response:
    """Answer with a video or a document as it is, whole or by range: players seek, and readers of PDF do."""
    chosen = current.negotiated([parse_media_type(kind), parse_media_type(f'multipart/related; type="{kind}"')], ranges)
    base = current.base_url()
    tag = answers.tag_of(document["_id"], document["file"]["sha256"], "rendered", chosen, base)
    place = "/studies/{}/series/{}/instances/{}/rendered".format(*document["_id"].split(":"))
    part = {"Content-Type": kind, "Content-Location": base + place}, size, pieces
    if not chosen.is_multipart:
        return answers.part_alone(part, tag)
    return answers.unchanged(tag) or answers.multipart_answer(kind, [part], tag=tag)


def _report(ranges: list[MediaRange], reader: Retriever, document: dict) -> Response:
    """Answer with a structured report as text."""
    chosen = current.negotiated([parse_media_type(name) for name in REPORTS], ranges)
    # As the metadata have it: with what people corrected.
    study, series, instance = document["_id"].split(":")
    found = metadata.read(reader, study, series, instance, current.base_url())
    tag = answers.tag_of(found.fingerprint, chosen)
    if known := answers.unchanged(tag):
        return known
    made = REPORTS[chosen.essence](next(metadata.split(found.pieces)))
    response = Response(made.encode("utf-8"), content_type=f"{chosen.essence}; charset=utf-8")
    response.headers["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
    return answers.with_validator(response, tag)
