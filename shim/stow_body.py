"""The body of a store request, read as one part an instance (PS3.18 10.5.1)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from tempfile import SpooledTemporaryFile

from shim.errors import DicomWebError
from shim.multipart import CHUNK, Part, iter_parts
from shim.negotiate import MalformedMediaType, MediaType, parse_media_type

DICOM = "application/dicom"
SPOOL_LIMIT = 1 << 20


class Limited:
    """A request body that is refused once it is longer than the site allows.

    Parameters
    ----------
    stream : file object
    limit : int
        Bytes.
    """

    def __init__(self, stream, limit: int):
        self._stream = stream
        self._left = limit
        self._limit = limit

    def read(self, size: int = -1) -> bytes:
        """Read; DicomWebError 413 past the limit."""
        piece = self._stream.read(size)
        self._left -= len(piece)
        if self._left < 0:
            raise DicomWebError(413, f"the request is longer than the {self._limit} bytes this server takes")
        return piece


def content_type(text: str) -> MediaType:
    """Return the media type of the request's body.

    Raises
    ------
    DicomWebError
        415 for one that cannot be stored.
    """
    try:
        media = parse_media_type(text)
    except MalformedMediaType as problem:
        raise DicomWebError(415, f"Content-Type: {problem}") from problem
    if media.essence == DICOM:
        return media
    if media.essence != "multipart/related":
        raise DicomWebError(415, f"{text[:80]!r} cannot be stored; multipart/related or {DICOM} can")
    inner = media.params.get("type", DICOM).lower()
    if inner != DICOM:
        raise DicomWebError(415, f"parts of type {inner[:80]!r} cannot be stored; {DICOM} can")
    return media


def instances(stream, text: str, *, max_size: int, max_parts: int, folder: str | None) -> Iterator[Part]:
    """Yield the instances of a request body, each as soon as it is complete.

    Parameters
    ----------
    stream : file object
        The body.
    text : str
        The request's ``Content-Type``.
    max_size : int
        Most bytes of an instance; a larger one comes without a file and with ``too_large``.
    max_parts : int
        Most instances of a request.
    folder : str or None
        Where large parts are spooled.

    Raises
    ------
    DicomWebError
        415 for a body that cannot be stored.
    MalformedMultipart
        When the body ends early or is none; after the last complete part.
    """
    if content_type(text).essence == DICOM:
        yield _single(stream, max_size, folder)
        return
    yield from iter_parts(
        stream, text, spool_limit=SPOOL_LIMIT, max_part_size=max_size, max_parts=max_parts, directory=folder
    )


def _single(stream, max_size: int, folder: str | None) -> Part:
    """Return a body that is one instance and nothing else."""
    file = SpooledTemporaryFile(max_size=SPOOL_LIMIT, dir=folder)  # the part closes it
    digest = hashlib.sha256()
    size = 0
    while piece := stream.read(CHUNK):
        size += len(piece)
        if size <= max_size:
            digest.update(piece)
            file.write(piece)
    headers = {"content-type": DICOM}
    if size > max_size:
        file.close()
        return Part(1, headers, None, size, too_large=True)
    file.seek(0)
    return Part(1, headers, file, size, digest.hexdigest())
