"""What the routes of all services share: the pieces of the application, UIDs in paths, answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256

import orjson
from flask import Response, current_app, g, request

from dicouch.config import Config
from dicouch.couch.client import Couch
from dicouch.couch.known import Register
from dicouch.dicom.media.multipart_writer import (
    BodyPart,
    multipart_content_type,
    multipart_length,
    new_boundary,
    write_multipart,
)
from dicouch.dicom.media.negotiate import (
    MalformedMediaType,
    MediaRange,
    MediaType,
    choose,
    mixes_dicom_and_rendered,
    parse_accept,
)
from dicouch.dicom.uids import series_uid_problem, uid_problem
from dicouch.errors import DicomWebError
from dicouch.read.fingerprints import Fingerprints
from dicouch.read.neighbours import Neighbours
from dicouch.read.retrieve import Retriever
from dicouch.read.search.by_extended import Indexes
from dicouch.rewrite.extended import Extended
from dicouch.store.places import Bytes


def config() -> Config:
    """Return the settings of the running application."""
    return current_app.extensions["dicouch"]["config"]


def couch() -> Couch:
    """Return the database of the running application."""
    return current_app.extensions["dicouch"]["couch"]


def extended() -> list[Extended]:
    """Return the attributes that the site searches by besides."""
    return current_app.extensions["dicouch"]["extended"]


def indexes() -> Indexes:
    """Return which of those attributes have an index."""
    return current_app.extensions["dicouch"]["indexes"]


def store() -> Bytes:
    """Return the byte store of the running application."""
    return current_app.extensions["dicouch"]["bytes"]


def register() -> Register:
    """Return what the process knows of instances."""
    return current_app.extensions["dicouch"]["register"]


def neighbours() -> Neighbours:
    """Return which series the process is asked for, instance by instance."""
    return current_app.extensions["dicouch"]["neighbours"]


def fingerprints() -> Fingerprints:
    """Return the validators of metadata that the process keeps."""
    return current_app.extensions["dicouch"]["fingerprints"]


def reader() -> Retriever:
    """Return what reads the database for this request."""
    return Retriever(couch(), store(), authorization())


def with_validator(response: Response, tag: str) -> Response:
    """Add the entity tag of a representation that depends on the request's Accept headers and on the client's rights.

    Parameters
    ----------
    response : Response
    tag : str
        Without quotes.
    """
    response.set_etag(tag)
    response.headers["Cache-Control"] = "private, no-cache"
    response.vary.update(("Accept", "Accept-Encoding", "Authorization"))
    return response


def tag_of(*parts: object) -> str:
    """Return an entity tag (RFC 9110 8.8.3) for what an answer is made of; see also `Stored.tag`."""
    return sha256("\n".join(map(str, parts)).encode()).hexdigest()[:32]


def unchanged(tag: str) -> Response | None:
    """Return the 304 for a client that has a representation already, None for others (RFC 9110 13.1.2)."""
    return with_validator(Response(status=304), tag) if request.if_none_match.contains(tag) else None


def check_uids(**uids: str | None) -> None:
    """Refuse a path whose UIDs cannot be UIDs.

    Raises
    ------
    DicomWebError
        400, naming the UID and what is wrong with it.
    """
    for name, uid in uids.items():
        check = series_uid_problem if name == "series" else uid_problem
        problem = check(uid) if uid is not None else None
        if problem:
            raise DicomWebError(400, f"the {name} UID {uid[:80]!r} {problem}")


def accepted() -> list[MediaRange]:
    """Return what the client accepts (PS3.18 8.7.4), the ``accept`` parameter before the header.

    Raises
    ------
    DicomWebError
        400 for a media range that cannot be read.
    """
    try:
        return parse_accept(request.headers.getlist("Accept"), request.args.getlist("accept"))
    except MalformedMediaType as problem:
        raise DicomWebError(400, f"Accept: {problem}") from problem


def retrieval_accepted() -> list[MediaRange]:
    """Return what the client accepts of what can be DICOM or rendered.

    Raises
    ------
    DicomWebError
        400 for a media range that cannot be read, and for DICOM and rendered ones together (PS3.18 8.7.5).
    """
    ranges = accepted()
    if mixes_dicom_and_rendered(ranges):
        raise DicomWebError(400, "Accept names DICOM and rendered media types together (PS3.18 8.7.5)")
    return ranges


def negotiated(offered: Sequence[MediaType], ranges: Sequence[MediaRange] | None = None) -> MediaType:
    """Return the media type of the answer (PS3.18 8.7.8).

    Parameters
    ----------
    offered : sequence of MediaType
        What the resource can be, the default first.
    ranges : sequence of MediaRange, optional
        What the client accepts, where the route has read it already.

    Raises
    ------
    DicomWebError
        406 if none is acceptable; the reason names what there is.
    """
    chosen = choose(accepted() if ranges is None else ranges, offered)
    if chosen is None:
        raise not_acceptable([str(offer) for offer in offered])
    return chosen


def not_acceptable(offered: list[str]) -> DicomWebError:
    """Return the 406 that says what there is."""
    return DicomWebError(406, f"none of the accepted media types is available; there is {', '.join(offered)}")


def json_answer(value: object, status: int = 200, media_type: str = "application/dicom+json") -> Response:
    """Return `value` as JSON; the media type has no charset parameter (PS3.18 F.2)."""
    return Response(orjson.dumps(value), status, content_type=media_type)


def warn(response: Response, text: str) -> None:
    """Add a ``Warning`` header with code 299 (RFC 7234 5.5, PS3.18 8.3.4.4.1)."""
    text = "".join(character if " " <= character <= "~" else "?" for character in text)
    text = text.replace("\\", "/").replace('"', "'")[:2000]
    response.headers.add("Warning", f'299 {request.host} "{text}"')


def multipart_answer(
    media_type: str,
    parts: list[tuple[dict[str, str], int | None, Callable[[], Iterable[bytes]]]],
    transfer_syntax: str | None = None,
    tag: str | None = None,
) -> Response:
    """Return a streamed ``multipart/related`` answer.

    Parameters
    ----------
    media_type : str
        Of the parts.
    parts : list of (headers, size, opener)
        A part's bytes are opened when its turn comes, those of the first before the answer begins: what is wrong with
        them is told instead. The answer has no length when a size is None.
    transfer_syntax : str, optional
        When it is the same in all parts.
    tag : str, optional
        Entity tag of the answer, from which the boundary is made then: the same tag is the same bytes.
    """
    boundary = boundary_of(tag)
    body = write_multipart((BodyPart(headers, opener(), size) for headers, size, opener in parts), boundary)
    if request.method != "HEAD":
        body = begun(body)
    response = Response(body, content_type=multipart_content_type(media_type, boundary, transfer_syntax))
    if all(size is not None for _headers, size, _opener in parts):
        response.content_length = multipart_length(
            (BodyPart(headers, (), size) for headers, size, _ in parts), boundary
        )
    return with_validator(response, tag) if tag else response


def begun(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Return an iterator whose first piece is there already, or raise what it comes to."""
    first = next(pieces, b"")

    def rest() -> Iterator[bytes]:
        yield first
        yield from pieces

    return rest()


def boundary_of(tag: str | None) -> str:
    """Return the boundary of an answer with an entity tag, or a random one."""
    return f"dicouch-{tag}" if tag else new_boundary()


def part_alone(part: tuple[dict[str, str], int, Callable[..., Iterable[bytes]]], tag: str | None = None) -> Response:
    """Return an answer that is one part, or a range of it, without its packaging."""
    headers, size, opener = part
    response = ranged(size, opener, headers["Content-Type"], tag)
    if "Content-Location" in headers:
        response.headers["Content-Location"] = headers["Content-Location"]
    return response


def ranged(size: int, pieces: Callable[[int, int], Iterable[bytes]], kind: str, tag: str | None = None) -> Response:
    """Return a value, or the part of it that ``Range`` asks for (RFC 9110 14).

    Parameters
    ----------
    size : int
        Bytes of the whole value.
    pieces : callable
        From a start and an end (exclusive) to the pieces of bytes in between.
    kind : str
        Content type.
    tag : str, optional
        Entity tag of the value: ``If-None-Match`` and ``If-Range`` are held against it.

    Raises
    ------
    DicomWebError
        416 for a range outside the value.
    """
    asked = request.range if request.method == "GET" else None
    if tag and (known := unchanged(tag)):
        return known
    if "If-Range" in request.headers and (tag is None or request.if_range.etag != tag):
        asked = None
    span = asked.range_for_length(size) if asked and len(asked.ranges) == 1 else None
    if asked and asked.units == "bytes" and len(asked.ranges) == 1 and span is None:
        raise DicomWebError(416, f"the value has {size} bytes", {"Content-Range": f"bytes */{size}"})
    start, end = span or (0, size)
    body = pieces(start, end)
    response = Response(body, 206 if span else 200, content_type=kind)
    # What the server knows how to send by itself must reach it as it is.
    response.direct_passthrough = hasattr(body, "filelike")
    response.headers["Accept-Ranges"] = "bytes"
    response.content_length = end - start
    if span:
        response.headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    return with_validator(response, tag) if tag else response


def base_url() -> str:
    """Return the absolute URL of the DICOMweb root as the client sees it."""
    return g.base


def authorization() -> str | None:
    """Return the client's own credentials, handed through to CouchDB."""
    return g.authorization
