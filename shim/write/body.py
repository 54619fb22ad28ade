"""The body of a store request, read as one part an instance (PS3.18 10.5.1)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from tempfile import SpooledTemporaryFile

from dicouch.dicom.media.multipart import CHUNK, Readable, ReceivedPart, iter_parts
from dicouch.dicom.media.negotiate import MalformedMediaType, MediaType, parse_media_type
from dicouch.errors import DicomWebError
from dicouch.write.assembly import DICOM, METADATA, METADATA_LIMIT, Assembly, assemble
from dicouch.write.outcome import Outcome

SINGLE = METADATA | {DICOM}
SPOOL_LIMIT = 1 << 20


def content_type(text: str) -> MediaType:
    """Return the media type of the request's body.

    Raises
    ------
    DicomWebError
        415 for one that cannot be stored.
    """
    try:
        media = parse_media_type(text)
        inner = media.item_type if "type" in media.params else DICOM
    except MalformedMediaType as problem:
        raise DicomWebError(415, f"Content-Type: {problem}") from problem
    if media.essence in SINGLE:
        return media
    if media.essence != "multipart/related":
        raise DicomWebError(415, f"{text[:80]!r} cannot be stored; multipart/related or {DICOM} can")
    if inner not in SINGLE:
        raise DicomWebError(415, f"parts of type {inner[:80]!r} cannot be stored; {', '.join(sorted(SINGLE))} can")
    return media


def instances(
    stream: Readable, text: str, *, max_size: int, max_parts: int, folder: str | None, base: str
) -> Iterator[ReceivedPart | Outcome]:
    """Yield the instances of a request body, each as soon as it is complete.

    A part is a Part 10 file, received or built; an outcome tells why there is none.

    Parameters
    ----------
    text : str
        The request's ``Content-Type``.
    max_size : int
        Most bytes of an instance; a larger one comes without a file and with ``too_large``.
    max_parts : int
        Most instances of a request.
    folder : str or None
        Where large parts are spooled.
    base : str
        URL of the request, to which the locations of bulk data may be relative.

    Raises
    ------
    DicomWebError
        415 for a body that cannot be stored, 400 for metadata that cannot be read.
    MalformedMultipart
        When the body ends early or is none; after the last complete part.
    """
    media = content_type(text)
    inner = parse_media_type(media.params.get("type", DICOM)) if media.is_multipart else media
    files = inner.essence == DICOM
    largest, most = (max_size, max_parts) if files else (max(max_size, METADATA_LIMIT), None)
    if media.is_multipart:
        parts = iter_parts(stream, text, max_part_size=largest, max_parts=most, directory=folder)
    else:
        single = _single(stream, media, largest, folder)
        parts = iter((single,) if single.size else ())
    yield from parts if files else assemble(parts, Assembly(base, inner, max_size, max_parts, folder))


def _single(stream: Readable, media: MediaType, max_size: int, folder: str | None) -> ReceivedPart:
    """Return a body that is no multipart: one instance, or metadata whose bulk data are all inline."""
    file = SpooledTemporaryFile(max_size=SPOOL_LIMIT, dir=folder)  # the part closes it
    digest = hashlib.sha256()
    size = 0
    while piece := stream.read(CHUNK):
        size += len(piece)
        if size <= max_size:
            digest.update(piece)
            file.write(piece)
    headers = {"content-type": str(media)}
    if size > max_size:
        file.close()
        return ReceivedPart(1, headers, None, size, too_large=True)
    file.seek(0)
    return ReceivedPart(1, headers, file, size, digest.hexdigest())
