"""WADO-RS: bulk data, one value or all of a resource (PS3.18 10.4.1.1.5)."""

from __future__ import annotations

from collections.abc import Iterator

from flask import Response
from pydicom.encaps import generate_frames

from dicouch.dicom.media.negotiate import MediaRange, MediaType, choose, parse_media_type
from dicouch.dicom.pixels.errors import PixelError
from dicouch.dicom.pixels.image import SMALL
from dicouch.dicom.syntaxes import EXPLICIT_LITTLE, OCTETS, media_type
from dicouch.errors import DicomWebError, resource_name
from dicouch.read.frames import LazyPart, all_frames, choose_frames, syntax_of
from dicouch.read.rendering import DOCUMENT, document_type
from dicouch.read.retrieve import Retriever, pixel_path
from dicouch.routes import accept, answers, current, validators


def retrieve_value(study: str, series: str, instance: str, bulkdata: str) -> Response:
    """Retrieve one bulk value, as a part or alone, whole or by range."""
    # Documents have their own media type here, which is none of rendering.
    ranges = accept.accepted()
    reader = current.reader()
    document = reader.document(study, series, instance)
    path, base = bulkdata.upper(), current.base_url()
    found = document["file"].get("bulk", {}).get(path)
    if found is None:
        raise DicomWebError(404, f"{resource_name(study, series, instance)} has no bulk data {path[:80]!r}")
    if path == pixel_path(document) and found.get("encapsulated") and document["file"].get("frames"):
        return compressed_pixels(reader, document, ranges, base)
    kind = kind_of(document, path, found)
    chosen = accept.negotiated(offers(kind, compressed_as(document, found)), ranges)
    tag = validators.tag_of(document["_id"], document["file"]["sha256"], path, chosen, base)
    if known := validators.unchanged(tag):
        return known
    if found.get("encapsulated"):
        part = icon(reader, document, path, found, base)
    else:
        kind = chosen.item_type
        headers = {"Content-Type": kind, "Content-Location": location(document, path, base)}
        part = headers, *reader.bulk(document, found)
    return answers.multipart_answer(kind, [part], tag=tag) if chosen.is_multipart else answers.part_alone(part, tag)


def retrieve_all(study: str, series: str | None = None, instance: str | None = None) -> Response:
    """Answer with every bulk value of a resource as parts; compressed pixel data go frame by frame."""
    # Documents have their own media type here, which is none of rendering.
    ranges = accept.accepted()
    reader = current.reader()
    found = reader.instances(study, series, instance)
    base = current.base_url()
    there = False

    def all_values() -> Iterator[LazyPart]:
        nonlocal there
        for one in found:
            document = reader.document(*one.id.split(":"))
            there = there or bool(document["file"].get("bulk"))
            yield from values(reader, document, ranges, base)

    parts = all_values()
    first = next(parts, None)
    if first is None:
        what = "bulk data in an acceptable form" if there else "bulk data"
        raise DicomWebError(406 if there else 404, f"there are no {what} in {resource_name(study, series, instance)}")
    return answers.streamed(first, parts)


def values(reader: Retriever, document: dict, ranges: list[MediaRange], base: str) -> Iterator[LazyPart]:
    """Yield the bulk values of an instance for which there is an acceptable form."""
    for path, value in document["file"].get("bulk", {}).items():
        if path == pixel_path(document) and value.get("encapsulated") and document["file"].get("frames"):
            try:
                form = choose_frames(reader, document, ranges, single=False)
                yield from all_frames(reader, document, syntax_of(form), base)
            except (DicomWebError, PixelError):
                continue  # not to be had in an acceptable form
            continue
        kind = kind_of(document, path, value)
        compressed = compressed_as(document, value)
        chosen = choose(ranges, [offer for offer in offers(kind, compressed) if offer.is_multipart])
        if chosen is None:
            continue
        if value.get("encapsulated"):
            try:
                yield icon(reader, document, path, value, base)
            except PixelError:
                continue
            continue
        headers = {"Content-Type": chosen.item_type, "Content-Location": location(document, path, base)}
        yield headers, *reader.bulk(document, value)


def compressed_pixels(reader: Retriever, document: dict, ranges: list[MediaRange], base: str) -> Response:
    """Answer with compressed pixel data: the frames, without the item headers between them (PS3.18 8.7.3.3.2)."""
    count = document["file"]["frames"]["count"]
    chosen = choose_frames(reader, document, ranges, single=count == 1)
    tag = validators.tag_of(document["_id"], document["file"]["sha256"], "pixels", chosen, base)
    if known := validators.unchanged(tag):
        return known
    parts = all_frames(reader, document, syntax_of(chosen), base)
    first = next(parts)
    if chosen.is_multipart:
        return answers.streamed(first, parts, chosen.transfer_syntax, tag)
    return answers.part_alone(first, tag)


def kind_of(document: dict, path: str, value: dict) -> str:
    """Return the media type of a bulk value (PS3.18 8.7.3.3)."""
    if value.get("encapsulated"):
        return media_type(document["file"]["transferSyntax"])
    if path == DOCUMENT:
        return document_type(document)
    return OCTETS


def compressed_as(document: dict, value: dict) -> str | None:
    """Return the transfer syntax of a bulk value that is compressed, such as an icon; None for others."""
    return document["file"]["transferSyntax"] if value.get("encapsulated") else None


def offers(kind: str, compressed: str | None = None) -> list[MediaType]:
    """Return the media types of a bulk value: as a part and alone, of its own kind and as octets.

    Octets are Explicit VR Little Endian, but those of a `compressed` value, which only who takes any transfer syntax
    gets as such (PS3.18 8.7.3.3.2).
    """
    found = [kind, OCTETS] if kind != OCTETS else [OCTETS]
    syntax = f"; transfer-syntax={compressed or EXPLICIT_LITTLE}"
    multipart = [f'multipart/related; type="{one}"{syntax if one == OCTETS else ""}' for one in found]
    alone = [f"{one}{syntax if one == OCTETS else ''}" for one in found]
    return [parse_media_type(name) for name in (*multipart, *alone)]


def icon(reader: Retriever, document: dict, path: str, value: dict, base: str) -> LazyPart:
    """Return a small compressed image inside the data set, such as an icon, without its item headers."""
    size, pieces = reader.bulk(document, value)
    if size > SMALL:
        raise PixelError(f"the value {path} has {size} bytes, too many for an icon")
    # Whether the item that ends the fragments is part of the value or not: generate_frames stops at either.
    try:
        frame = next(generate_frames(b"".join(pieces()), number_of_frames=1))
    except (ValueError, StopIteration) as problem:
        raise PixelError(f"the value {path} has no whole frame: {problem}") from problem
    syntax = document["file"]["transferSyntax"]
    headers = {
        "Content-Type": f"{media_type(syntax)}; transfer-syntax={syntax}",
        "Content-Location": location(document, path, base),
    }
    return headers, len(frame), lambda start=0, end=None: (frame[start:end],)


def location(document: dict, path: str, base: str) -> str:
    """Return the absolute URL of a bulk value."""
    study, series, instance = document["_id"].split(":")
    return f"{base}/studies/{study}/series/{series}/instances/{instance}/bulkdata/{path}"
