"""WADO-RS: metadata of studies, series and instances as JSON and XML, with exact validators (PS3.18 10.4.1.1.2)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain

from flask import Response, request

from dicouch.couch.memory import Memory
from dicouch.dicom.media.dicom_xml import dataset_to_xml
from dicouch.dicom.media.multipart_writer import BodyPart, multipart_content_type, write_multipart
from dicouch.dicom.media.negotiate import MediaType, parse_media_type
from dicouch.errors import DicomWebError, resource_name
from dicouch.read.metadata import Metadata, digest_of, read, revisions, split
from dicouch.routes import answers, codings, current
from dicouch.services import services

JSON = parse_media_type("application/dicom+json")
PLAIN_JSON = parse_media_type("application/json")
XML = parse_media_type('multipart/related; type="application/dicom+xml"')
OFFERED = [JSON, PLAIN_JSON, XML]


def retrieve(study: str, series: str | None = None, instance: str | None = None) -> Response:
    """Answer with the data sets without bulk data, or with 304 when the client has them."""
    chosen = current.negotiated(OFFERED)
    memory, reader = services().memory, current.reader()
    coding = codings.coding()
    uids, base = (study, series, instance), current.base_url()
    token = memory.token(study)

    def tag_of(fingerprint: bytes) -> str:
        return answers.tag_of(fingerprint.decode(), chosen, base, coding)

    fingerprint = memory.shared(study, ("fingerprint", *uids), reader.authorization)
    if fingerprint is None and request.if_none_match:
        # Perhaps the client has them: that takes the revisions only.
        fingerprint = digest_of(revisions(reader, *uids)).encode()
        memory.share(study, ("fingerprint", *uids), reader.authorization, fingerprint, token)
    if fingerprint is not None:
        tag = tag_of(fingerprint)
        if unchanged := answers.unchanged(tag):
            return unchanged
        kept = memory.shared(study, ("metadata", tag), reader.authorization)
        if kept is not None:
            return _response([kept], tag, chosen, coding)
    found = read(reader, *uids, base)
    tag = tag_of(found.fingerprint.encode())
    memory.share(study, ("fingerprint", *uids), reader.authorization, found.fingerprint.encode(), token)
    if unchanged := answers.unchanged(tag):
        return unchanged
    body = _made(found, tag, chosen, coding, uids)
    body = _kept(body, memory, lambda whole: memory.share(study, ("metadata", tag), reader.authorization, whole, token))
    # Once all of it is there it has a length.
    return _response([b"".join(body)] if found.whole is not None else body, tag, chosen, coding)


def _response(body: Iterable[bytes], tag: str, chosen: MediaType, coding: str) -> Response:
    kind = multipart_content_type(XML.item_type, _boundary(tag)) if chosen is XML else str(chosen)
    response = Response(body, content_type=kind)
    if coding:
        response.headers["Content-Encoding"] = coding
    return answers.with_validator(response, tag)


def _made(found: Metadata, tag: str, chosen: MediaType, coding: str, uids: tuple) -> Iterator[bytes]:
    """Return the body of an answer with metadata fresh from the database.

    Raises
    ------
    DicomWebError
        404 when there are none.
    """
    first = next(found.rest, b"") if found.whole is None else found.whole
    if first.strip() in (b"", b"[]"):
        raise DicomWebError(404, f"there is no {resource_name(*uids)}")
    body: Iterator[bytes] = chain((first,), found.rest)
    if chosen is XML:
        body = write_multipart(_xml_parts(body), _boundary(tag))
    return codings.compressed(body, coding) if coding else body


def _boundary(tag: str) -> str:
    # The boundary is part of what the validator stands for.
    return f"dicouch-{tag}"


def _xml_parts(body: Iterator[bytes]) -> Iterator[BodyPart]:
    for dataset in split(body):
        yield BodyPart({"Content-Type": "application/dicom+xml"}, dataset_to_xml(dataset))


def _kept(pieces: Iterator[bytes], memory: Memory, keep: Callable[[bytes], None]) -> Iterator[bytes]:
    """Yield the pieces of an answer, and keep the whole when it is small enough."""
    kept: list[bytes] = []
    size = 0
    for piece in pieces:
        size += len(piece)
        if size <= memory.largest_shared:
            kept.append(piece)
        else:
            kept.clear()
        yield piece
    if size <= memory.largest_shared:
        keep(b"".join(kept))
