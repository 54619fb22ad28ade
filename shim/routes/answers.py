"""Answers as several routes give them: JSON, multipart, a value or a range of it; warnings and validators."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256
from itertools import chain

import orjson
from flask import Response, request

from dicouch.dicom.errors import PixelError
from dicouch.dicom.media.multipart_writer import (
    SENDER,
    BodyPart,
    multipart_content_type,
    multipart_length,
    new_boundary,
    write_multipart,
)
from dicouch.dicom.media.negotiate import parse_media_type
from dicouch.errors import DicomWebError, NoBytes, shortened
from dicouch.read.frames import LazyPart
from dicouch.store.ranges import begun


def json_answer(value: object, status: int = 200, media_type: str = "application/dicom+json") -> Response:
    """Return `value` as JSON; the media type has no charset parameter (PS3.18 F.2)."""
    return Response(orjson.dumps(value), status, content_type=media_type)


def warn(response: Response, text: str) -> None:
    """Add a ``Warning`` header with code 299 (RFC 7234 5.5, PS3.18 8.3.4.4.1)."""
    text = "".join(character if " " <= character <= "~" else "?" for character in text)
    text = text.replace("\\", "/").replace('"', "'")
    response.headers.add("Warning", f'299 {request.host} "{shortened(text, 2000)}"')


def tell_missing(response: Response, what: str, how: str = "") -> None:
    """Tell that something is left out of an answer (PS3.18 Table 10.4.3-1)."""
    response.status_code = 206
    warn(response, f"{what} cannot be had {how}and are left out")


class LeftOut:
    """What cannot be had of an answer: told in its status while that is possible (PS3.18 Table 10.4.3-1).

    What comes to light first when the answer has begun breaks it off, so that nobody takes a part for the whole.
    """

    def __init__(self) -> None:
        self.problems: list[DicomWebError | PixelError] = []
        self._begun = False

    def add(self, problem: DicomWebError | PixelError) -> None:
        """Leave something out; raise the problem where the answer began as a whole, and one of the database always."""
        of_all = isinstance(problem, DicomWebError) and problem.status >= 500 and not isinstance(problem, NoBytes)
        if of_all or (self._begun and not self.problems):
            raise problem
        self.problems.append(problem)

    def tell(self, response: Response, what: str = "instances") -> Response:
        """Tell what is left out; the answer begins."""
        self._begun = True
        if self.problems:
            tell_missing(response, f"at least {len(self.problems)} {what}")
        return response


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
    body = ahead_of_status(_written(parts, boundary))
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
    body = _written(chain([first], rest), boundary)
    return with_validator(Response(ahead_of_status(body), content_type=content_type), tag)


def ahead_of_status(body: Iterator[bytes]) -> Iterator[bytes]:
    """Return a body whose first piece is there: what is wrong before that is told by us, not by the web server."""
    return body if request.method == "HEAD" else begun(body)


def _written(parts: Iterable[LazyPart], boundary: str) -> Iterator[bytes]:
    bodies = (BodyPart(headers, opener(), size) for headers, size, opener in parts)
    return write_multipart(bodies, boundary, request.environ.get(SENDER))


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

    `pieces` takes a start and an end (exclusive) and gives the bytes in between; the conditions of the request are held
    against `tag`. DicomWebError 416 for a range outside the value.
    """
    if tag and (known := unchanged(tag)):
        return known
    span = asked_range(size, tag)
    start, end = span or (0, size)
    body = pieces(start, end)
    response = Response(body, 206 if span else 200, content_type=kind)
    # What the server knows how to send by itself must reach it as it is.
    response.direct_passthrough = hasattr(body, "filelike")
    response.headers["Accept-Ranges"] = "bytes"
    response.content_length = end - start
    if span:
        response.headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    return with_validator(response, tag)


def asked_range(size: int, tag: str | None) -> tuple[int, int] | None:
    """Return start and end (exclusive) of what ``Range`` asks for of `size` bytes, None for all (RFC 9110 14.2).

    Several ranges are answered with all. DicomWebError 416 for a range outside.
    """
    asked = request.range if request.method == "GET" else None
    if asked is None or asked.units != "bytes" or len(asked.ranges) != 1:
        return None
    # Strong comparison (RFC 9110 13.1.5): a weak tag and a date are none of ours. Werkzeug forgets what was weak.
    condition = request.headers.get("If-Range")
    if condition is not None and (tag is None or condition.strip() != f'"{tag}"'):
        return None
    start, end = asked.ranges[0]
    if start >= size or not size:
        raise DicomWebError(416, f"the value has {size} bytes", {"Content-Range": f"bytes */{size}"})
    return max(start + size, 0) if start < 0 else start, min(end or size, size)


def part_of(part: LazyPart, tag: str) -> Response:
    """Return a multipart answer of one value, or of the part of it that ``Range`` asks for (PS3.18 10.4.1.1.5).

    No cache may keep it: asked for a range, a browser would cut that out of the whole message with its headers.
    """
    headers, size, opener = part
    span = asked_range(size, tag) if size is not None else None
    if span and size is not None:
        start, end = span
        headers = {**headers, "Content-Range": f"bytes {start}-{end - 1}/{size}"}
        part = headers, end - start, lambda: opener(start, end)
    kind = parse_media_type(headers["Content-Type"]).essence
    response = multipart_answer(kind, [part], tag=None if span else tag)
    response.status_code = 206 if span else 200
    return not_stored(response)


def not_stored(response: Response) -> Response:
    """Have no cache keep an answer."""
    response.headers["Cache-Control"] = "no-store"
    return response


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
        varies = "Accept, Accept-Encoding, Authorization"
        response.headers["Vary"] = f"{told}, {varies}" if (told := response.headers.get("Vary")) else varies
    return response


def unchanged(tag: str) -> Response | None:
    """Return the 304 for a client that has a representation already, None for others.

    The comparison is weak (RFC 9110 13.1.2): proxies that compress weaken tags. What ``*`` comes to is known when there
    is an answer: see `dicouch.routes.problems.check_match`.
    """
    known = not request.if_none_match.star_tag and request.if_none_match.contains_weak(tag)
    return with_validator(Response(status=304), tag) if known else None


def is_known(response: Response) -> bool:
    """Return whether ``If-None-Match: *`` asks for nothing, as there is something (RFC 9110 13.1.2, 13.2.1)."""
    reads = request.method in ("GET", "HEAD") and response.status_code in (200, 206)
    return reads and request.if_none_match.star_tag


def refuse_conditions() -> None:
    """Refuse to write or delete on conditions: DicomWebError 412 (RFC 9110 13.1.1, 13.1.2).

    An entity tag is one of many representations: which of them the request is about, nobody can tell.
    """
    if request.headers.get("If-Match", "*").strip() != "*" or "If-None-Match" in request.headers:
        raise DicomWebError(412, "this cannot depend on an entity tag: ask without If-Match and If-None-Match")


def is_unmatched(response: Response) -> bool:
    """Return whether ``If-Match`` names other representations than the one that was found (RFC 9110 13.1.1).

    The comparison is strong. What has no entity tag is matched by ``*`` only. There are no dates of modification, so
    the conditions that name one are ignored, as they have to be (13.1.3, 13.1.4).
    """
    wanted = request.headers.get("If-Match", "*").strip()
    if wanted == "*" or request.method not in ("GET", "HEAD") or response.status_code not in (200, 206, 304):
        return False
    tag, weak = response.get_etag()
    return tag is None or weak or not request.if_match.contains(tag)
