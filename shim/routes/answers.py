"""Answers as several routes give them: JSON, multipart, a value or a range of it; warnings and validators."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256
from itertools import chain

import orjson
from flask import Response, request

from dicouch.dicom.media.multipart_writer import (
    BodyPart,
    multipart_content_type,
    multipart_length,
    new_boundary,
    write_multipart,
)
from dicouch.dicom.media.negotiate import parse_media_type
from dicouch.errors import DicomWebError, shortened
from dicouch.read.frames import LazyPart


def json_answer(value: object, status: int = 200, media_type: str = "application/dicom+json") -> Response:
    """Return `value` as JSON; the media type has no charset parameter (PS3.18 F.2)."""
    return Response(orjson.dumps(value), status, content_type=media_type)


def warn(response: Response, text: str) -> None:
    """Add a ``Warning`` header with code 299 (RFC 7234 5.5, PS3.18 8.3.4.4.1)."""
    text = "".join(character if " " <= character <= "~" else "?" for character in text)
    text = text.replace("\\", "/").replace('"', "'")
    response.headers.add("Warning", f'299 {request.host} "{shortened(text, 2000)}"')


def multipart_answer(
    media_type: str, parts: Sequence[LazyPart], transfer_syntax: str | None = None, tag: str | None = None
) -> Response:
    """Return a ``multipart/related`` answer of parts that are known; the bytes are streamed.

    Parameters
    ----------
    media_type : str
        Of the parts.
    parts : sequence of LazyPart
        Each is opened when its turn comes, the first before the answer begins: what is wrong with it is told instead.
        The answer has no length when a size is None.
    transfer_syntax : str, optional
        When it is the same in all parts.
    tag : str, optional
        Entity tag of the answer. The boundary is made of it: the same tag is the same bytes.
    """
    boundary = _boundary(tag)
    body = _written(parts, boundary)
    if request.method != "HEAD":
        body = _begun(body)
    response = Response(body, content_type=multipart_content_type(media_type, boundary, transfer_syntax))
    length = multipart_length((BodyPart(headers, (), size) for headers, size, _opener in parts), boundary)
    if length is not None:
        response.content_length = length
    return with_validator(response, tag)


def streamed(
    first: LazyPart, rest: Iterable[LazyPart], transfer_syntax: str | None = None, tag: str | None = None
) -> Response:
    """Return a ``multipart/related`` answer of parts that are made while they are sent; see `multipart_answer`."""
    boundary = _boundary(tag)
    kind = parse_media_type(first[0]["Content-Type"]).essence
    content_type = multipart_content_type(kind, boundary, transfer_syntax)
    return with_validator(Response(_written(chain([first], rest), boundary), content_type=content_type), tag)


def _written(parts: Iterable[LazyPart], boundary: str) -> Iterator[bytes]:
    return write_multipart((BodyPart(headers, opener(), size) for headers, size, opener in parts), boundary)


def _begun(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Return an iterator whose first piece is there already, or raise what it comes to."""
    first = next(pieces, b"")

    def begun() -> Iterator[bytes]:
        yield first
        yield from pieces

    return begun()


def _boundary(tag: str | None) -> str:
    return f"dicouch-{tag}" if tag else new_boundary()


def part_alone(part: LazyPart, tag: str | None = None) -> Response:
    """Return an answer that is one part, or a range of it, without its packaging."""
    headers, size, opener = part
    if size is None:
        raise ValueError("a part alone has a size")
    response = ranged(size, opener, headers["Content-Type"], tag)
    if "Content-Location" in headers:
        response.headers["Content-Location"] = headers["Content-Location"]
    return response


def ranged(size: int, pieces: Callable[[int, int], Iterable[bytes]], kind: str, tag: str | None = None) -> Response:
    """Return a value of `size` bytes, or the part of it that ``Range`` asks for (RFC 9110 14).

    `pieces` takes a start and an end (exclusive) and gives the bytes in between; ``If-None-Match`` and ``If-Range`` are
    held against `tag`. DicomWebError 416 for a range outside the value.
    """
    asked = request.range if request.method == "GET" else None
    if tag and (known := unchanged(tag)):
        return known
    if "If-Range" in request.headers and (tag is None or request.if_range.etag != tag):
        asked = None
    span = asked.range_for_length(size) if asked and len(asked.ranges) == 1 else None
    if asked and asked.units == "bytes" and len(asked.ranges) == 1 and span is None:
        raise DicomWebError(416, f"the value has {size} bytes", {"Content-Range": f"bytes */{size}"})
    start, end = (span[0], span[1] or size) if span else (0, size)
    body = pieces(start, end)
    response = Response(body, 206 if span else 200, content_type=kind)
    # What the server knows how to send by itself must reach it as it is.
    response.direct_passthrough = hasattr(body, "filelike")
    response.headers["Accept-Ranges"] = "bytes"
    response.content_length = end - start
    if span:
        response.headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    return with_validator(response, tag)


def tag_of(*parts: object) -> str:
    """Return an entity tag for what an answer is made of; see also `dicouch.read.retrieve.Stored.tag`."""
    return sha256("\n".join(map(str, parts)).encode()).hexdigest()[:32]


def with_validator(response: Response, tag: str | None) -> Response:
    """Add the entity tag (without quotes) of a representation that depends on Accept headers and the client's rights.

    With None the response stays as it is.
    """
    if tag is not None:
        response.set_etag(tag)
        response.headers["Cache-Control"] = "private, no-cache"
        response.vary.update(("Accept", "Accept-Encoding", "Authorization"))
    return response


def unchanged(tag: str) -> Response | None:
    """Return the 304 for a client that has a representation already, None for others (RFC 9110 13.1.2)."""
    return with_validator(Response(status=304), tag) if request.if_none_match.contains(tag) else None
