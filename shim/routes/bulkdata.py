"""WADO-RS: bulk data, one value or all of a resource (PS3.18 10.4.1.1.5)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from flask import Response
from pydicom.encaps import generate_frames

from dicouch.dicom.errors import PixelError
from dicouch.dicom.media.negotiate import MediaRange, MediaType, choose, parse_media_type
from dicouch.dicom.pixels.image import SMALL
from dicouch.dicom.syntaxes import EXPLICIT_LITTLE, OCTETS, media_type
from dicouch.errors import DicomWebError, NoBytes, resource_name
from dicouch.read.frames import LazyPart, all_frames, choose_frames, part_size, syntax_in
from dicouch.read.instances import check_bytes
from dicouch.read.rendering import DOCUMENT, document_type
from dicouch.read.retrieve import Retriever, Stored, pixel_path
from dicouch.routes import answers, current
from dicouch.store.ranges import AHEAD, begun


def retrieve_value(study: str, series: str, instance: str, bulkdata: str) -> Response:
    """Retrieve one bulk value, as a part or alone, whole or by range."""
    # Documents have their own media type here, which is none of rendering.
    ranges = current.accepted()
    reader = current.reader()
    document = reader.document(study, series, instance)
    path, base = bulkdata.upper(), current.base_url()
    found = document["file"].get("bulk", {}).get(path)
    if found is None:
        raise DicomWebError(404, f"{resource_name(study, series, instance)} has no bulk data {path[:80]!r}")
    if _is_frames(document, path, found):
        return _compressed_pixels(reader, document, ranges, base)
    offered = _offers(reader, document, path, found)
    alone = [offer for offer in offered if not offer.is_multipart] if current.wants_range() else []
    chosen = choose(ranges, alone) or current.negotiated(offered, ranges)
    tag = answers.tag_of(document["_id"], document["file"]["sha256"], path, chosen, base)
    if known := answers.unchanged(tag):
        return known
    part = _part(reader, document, path, found, chosen, base)
    if not chosen.is_multipart:
        return answers.part_alone(part, tag)
    return answers.part_of(part, tag)


def retrieve_all(study: str, series: str | None = None, instance: str | None = None) -> Response:
    """Answer with every bulk value of a resource as parts; compressed pixel data go frame by frame."""
    # Documents have their own media type here, which is none of rendering.
    ranges = current.accepted()
    reader = current.reader()
    return answer(reader, reader.instances(study, series, instance), ranges, resource_name(study, series, instance))


def offers(syntaxes: list[str]) -> list[MediaType]:
    """Return the media types of the bulk data of instances, by their transfer syntaxes (PS3.18 10.4.4)."""
    kinds = dict.fromkeys((OCTETS, *map(media_type, syntaxes)))
    return [parse_media_type(f'multipart/related; type="{kind}"') for kind in kinds]


def answer(reader: Retriever, found: list[Stored], ranges: list[MediaRange], name: str) -> Response:
    """Answer with every bulk value of instances that were found; `name` is what the resource is called."""
    left_out, base = answers.LeftOut(), current.base_url()

    def all_values() -> Iterator[LazyPart]:
        for one in found:
            try:
                check_bytes(reader, one)
                document = reader.document(*one.id.split(":"))
            except DicomWebError as problem:
                left_out.add(problem)  # not there any more
            else:
                yield from _values(reader, document, ranges, base, left_out)

    parts = begun(all_values(), AHEAD, part_size)
    first = next(parts, None)
    if first is None:
        if lost := [problem for problem in left_out.problems if isinstance(problem, NoBytes)]:
            raise lost[0]
        there = any(not isinstance(one, DicomWebError) or one.status != 404 for one in left_out.problems)
        what = "bulk data in an acceptable form" if there else "bulk data"
        raise DicomWebError(406 if there else 404, f"there are no {what} in {name}")
    return answers.not_stored(left_out.tell(answers.streamed(first, parts), "values or instances"))


def _values(
    reader: Retriever, document: dict, ranges: list[MediaRange], base: str, left_out: answers.LeftOut
) -> Iterator[LazyPart]:
    """Yield the bulk values of an instance for which there is an acceptable form."""
    for path, value in document["file"].get("bulk", {}).items():
        try:
            if _is_frames(document, path, value):
                form = choose_frames(reader, document, ranges, single=False)
                yield from all_frames(reader, document, form, ranges, base)
            else:
                offered = [offer for offer in _offers(reader, document, path, value) if offer.is_multipart]
                yield _part(reader, document, path, value, current.negotiated(offered, ranges), base)
        except (DicomWebError, PixelError) as problem:
            left_out.add(problem)


def _is_frames(document: dict, path: str, value: dict) -> bool:
    """Return whether a bulk value is compressed pixel data, which go frame by frame."""
    return bool(path == pixel_path(document) and value.get("encapsulated") and document["file"].get("frames"))


def _compressed_pixels(reader: Retriever, document: dict, ranges: list[MediaRange], base: str) -> Response:
    """Answer with compressed pixel data: the frames, without the item headers between them (PS3.18 8.7.3.3.2)."""
    single, ranged = document["file"]["frames"]["count"] == 1, current.wants_range()
    chosen = choose_frames(reader, document, ranges, single=single, ranged=ranged)
    tag = answers.tag_of(document["_id"], document["file"]["sha256"], "pixels", chosen, base)
    if known := answers.unchanged(tag):
        return known
    parts = all_frames(reader, document, chosen, ranges, base)
    first = next(parts)
    if chosen.is_multipart and single:
        return answers.part_of(first, tag)
    if chosen.is_multipart:
        return answers.not_stored(answers.streamed(first, parts, syntax_in(first), tag))
    return answers.part_alone(first, tag)


def _offers(reader: Retriever, document: dict, path: str, value: dict) -> list[MediaType]:
    """Return the media types of a bulk value: as a part and alone, of its own kind and as octets (PS3.18 8.7.3.3).

    Octets are Explicit VR Little Endian, but those of a compressed value, which nobody decodes and who names no other
    transfer syntax gets (PS3.18 8.7.3.3).
    """
    kind, syntax = OCTETS, EXPLICIT_LITTLE
    if value.get("encapsulated"):
        syntax = document["file"]["transferSyntax"]
        kind = media_type(syntax)
    elif path == DOCUMENT:
        kind = document_type(reader, document)
    labels = {kind: "", OCTETS: f"; transfer-syntax={syntax}"}
    multipart = [f'multipart/related; type="{one}"{label}' for one, label in labels.items()]
    names = (*multipart, *(f"{one}{label}" for one, label in labels.items()))
    return [replace(parse_media_type(name), stands_in="encapsulated" in value) for name in names]


def _part(reader: Retriever, document: dict, path: str, value: dict, chosen: MediaType, base: str) -> LazyPart:
    """Return a bulk value in a media type; an icon, small and compressed, in its own and without its item headers."""
    study, series, instance = document["_id"].split(":")
    headers = {
        "Content-Type": chosen.item_type,
        "Content-Location": f"{base}/studies/{study}/series/{series}/instances/{instance}/bulkdata/{path}",
    }
    size, pieces = reader.bulk(document, value)
    if not value.get("encapsulated"):
        return headers, size, pieces
    if size > SMALL:
        raise PixelError(f"the value {path} has {size} bytes, too many for an icon")
    # Whether the item that ends the fragments is part of the value or not: generate_frames stops at either.
    try:
        frame = next(generate_frames(b"".join(pieces()), number_of_frames=1))
    except (ValueError, StopIteration) as problem:
        raise PixelError(f"the value {path} has no whole frame: {problem}") from problem
    syntax = document["file"]["transferSyntax"]
    headers["Content-Type"] = f"{media_type(syntax)}; transfer-syntax={syntax}"
    return headers, len(frame), lambda start=0, end=None: (frame[start:end],)
