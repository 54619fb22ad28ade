"""WADO-RS: metadata of studies, series and instances as JSON and XML, with exact validators (PS3.18 10.4.1.1.2)."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from itertools import chain

from flask import Response, request

from dicouch.dicom.media.dicom_xml import dataset_to_xml
from dicouch.dicom.media.multipart_writer import BodyPart, multipart_content_type, write_multipart
from dicouch.dicom.media.negotiate import MediaType, parse_media_type
from dicouch.errors import DicomWebError, resource_name
from dicouch.read import metadata
from dicouch.read.metadata import Metadata
from dicouch.routes import accept, current, validators
from dicouch.services import services

JSON = parse_media_type("application/dicom+json")
PLAIN_JSON = parse_media_type("application/json")
XML = parse_media_type('multipart/related; type="application/dicom+xml"')
OFFERED = [JSON, PLAIN_JSON, XML]

# Level of gzip: the first costs a quarter of the last and leaves a sixth more.
_LEVEL = 1


def retrieve(study: str, series: str | None = None, instance: str | None = None) -> Response:
    """Answer with the data sets without bulk data, or with 304 when the client has them."""
    chosen = accept.negotiated(OFFERED)
    reader = current.reader()
    zipped = "gzip" in request.accept_encodings and request.accept_encodings["gzip"] > 0
    uids, prints, base = (study, series, instance), services().fingerprints, current.base_url()

    def tag_of(fingerprint: str) -> str:
        return validators.tag_of(fingerprint, chosen, base, zipped)

    if request.if_none_match or prints.is_known(*uids):
        tag = tag_of(prints.of(reader, *uids))
        if found := validators.unchanged(tag) or _from_cache(tag, chosen, zipped):
            return found
    found = prints.learn(reader, uids, lambda: metadata.read(reader, *uids, base))
    tag = tag_of(found.fingerprint)
    return validators.unchanged(tag) or _made(found, tag, chosen, zipped, uids)


def _from_cache(tag: str, chosen: MediaType, zipped: bool) -> Response | None:
    kept = services().cache.get(tag)
    return None if kept is None else _response([kept], tag, chosen, zipped)


def _response(body: Iterable[bytes], tag: str, chosen: MediaType, zipped: bool) -> Response:
    kind = multipart_content_type(XML.item_type, _boundary(tag)) if chosen is XML else str(chosen)
    response = Response(body, content_type=kind)
    if zipped:
        response.headers["Content-Encoding"] = "gzip"
    return validators.with_validator(response, tag)


def _made(found: Metadata, tag: str, chosen: MediaType, zipped: bool, uids: tuple) -> Response:
    """Answer with metadata fresh from the database, at once or streamed, and keep them."""
    first = next(found.rest, b"") if found.whole is None else found.whole
    if first.strip() in (b"", b"[]"):
        raise DicomWebError(404, f"there is no {resource_name(*uids)}")
    body: Iterator[bytes] = chain((first,), found.rest)
    if chosen is XML:
        body = write_multipart(_xml_parts(body), _boundary(tag))
    if zipped:
        body = _compressed(body)
    if found.whole is None:
        return _response(_kept(tag, body), tag, chosen, zipped)
    answer = b"".join(body)
    services().cache.put(tag, answer)
    return _response([answer], tag, chosen, zipped)


def _boundary(tag: str) -> str:
    # The boundary is part of what the validator stands for.
    return f"dicouch-{tag}"


def _xml_parts(body: Iterator[bytes]) -> Iterator[BodyPart]:
    for dataset in metadata.split(body):
        yield BodyPart({"Content-Type": "application/dicom+xml"}, dataset_to_xml(dataset))


def _compressed(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the gzip form of a body (RFC 1952)."""
    compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    for piece in pieces:
        yield compressor.compress(piece) + compressor.flush(zlib.Z_SYNC_FLUSH)
    yield compressor.flush()


def _kept(tag: str, pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the pieces of an answer, and keep the whole when it is small enough."""
    cache = services().cache

    def passing() -> Iterator[bytes]:
        kept: list[bytes] = []
        size = 0
        for piece in pieces:
            size += len(piece)
            if size <= cache.largest:
                kept.append(piece)
            else:
                kept.clear()
            yield piece
        if size <= cache.largest:
            cache.put(tag, b"".join(kept))

    return passing()
