"""The request that a route answers: its credentials and UIDs, the URL it used, and what it accepts (PS3.18 8.7)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from flask import Response, g, request

from dicouch.couch import patience
from dicouch.dicom.media.negotiate import (
    MalformedMediaType,
    MediaRange,
    MediaType,
    choose,
    mixes_dicom_and_rendered,
    parse_accept,
)
from dicouch.dicom.uids import series_uid_problem, uid_problem
from dicouch.errors import DicomWebError, not_acceptable
from dicouch.read.retrieve import Retriever
from dicouch.services import services

# Lists of UIDs make queries long; shim/server/gunicorn_conf.py lets longer request lines in, so that this one answers.
LONGEST_QUERY = 128 << 10


def remember_client() -> None:
    """Keep the DICOMweb root and the client's credentials; DicomWebError 414 for a query that is too long."""
    shared = services()
    patience.begin(shared.config.database_timeout)
    g.writes = shared.indexed.writes
    if len(request.query_string) > LONGEST_QUERY:
        raise DicomWebError(414, f"the query has {len(request.query_string)} characters, more than {LONGEST_QUERY}")
    g.base = f"{request.scheme}://{request.host}{request.root_path}{shared.config.prefix}"
    g.authorization = None
    # Browsers ask first without credentials, and capabilities are no secret; supervisors have none.
    if request.method != "OPTIONS" and request.blueprint != "health":
        headers = request.headers
        cookies = request.cookies if "Cookie" in headers else {}
        g.authorization = shared.credentials.of(headers.get("Authorization"), cookies)


def end_patience(_problem: BaseException | None) -> None:
    """Let what is sent from now on be bounded piece by piece: a large body takes as long as it takes."""
    patience.begin(None)


def wait_for_index(response: Response) -> Response:
    """Let whoever wrote be answered when the index has it; see `dicouch.write.indexed`."""
    refused = response.status_code in (401, 403, 404, 405, 415)
    reads = request.method in ("GET", "HEAD", "OPTIONS")
    if not reads and not refused and g.get("writes") != services().indexed.writes:
        services().indexed.wait(g.get("authorization"))
    return response


def base_url() -> str:
    """Return the absolute URL of the DICOMweb root as the client sees it."""
    return g.base


def authorization() -> str | None:
    """Return the client's own credentials, handed through to CouchDB."""
    return g.authorization


def reader() -> Retriever:
    """Return what reads the database for this request."""
    shared = services()
    return Retriever(shared.couch, shared.store, authorization())


def check_path() -> None:
    """Refuse a path whose UIDs cannot be UIDs; see `check_uid`."""
    for level, uid in (request.view_args or {}).items():
        if level in ("study", "series", "instance", "workitem"):
            check_uid(level, uid)


def check_uid(level: str, uid: str) -> None:
    """Refuse what cannot be a UID: DicomWebError 400, naming the UID and what is wrong with it."""
    problem = series_uid_problem(uid) if level == "series" else uid_problem(uid)
    if problem:
        raise DicomWebError(400, f"the {level} UID {uid[:80]!r} {problem}")


def frame_list(text: str) -> list[int]:
    """Return the frame numbers of a path: comma-separated, from 1, ascending and each once; DicomWebError 400."""
    numbers = []
    for part in text.replace("%2C", ",").replace("%2c", ",").split(","):
        if not (part.isascii() and part.isdigit()) or len(part) > 9 or int(part) < 1:
            raise DicomWebError(
                400, f"frame numbers are whole numbers from 1 on, separated by commas, not {text[:80]!r}"
            )
        numbers.append(int(part))
    if any(first >= second for first, second in zip(numbers, numbers[1:], strict=False)):
        raise DicomWebError(400, f"a frame list is ascending and names each frame once, not {text[:80]!r}")
    return numbers


def accept_told() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what the client says that it accepts, in its own words: all that negotiation looks at."""
    asked = request._get_current_object()  # type: ignore[attr-defined] # each look-up takes time
    # WSGI has several headers of a name as one (PEP 3333, RFC 9110 5.3).
    header = asked.environ.get("HTTP_ACCEPT")
    return () if header is None else (header,), tuple(asked.args.getlist("accept")) if asked.query_string else ()


def accepted() -> list[MediaRange]:
    """Return what the client accepts (PS3.18 8.7.4), the ``accept`` parameter before the header; DicomWebError 400."""
    try:
        return list(_parsed(*accept_told()))
    except MalformedMediaType as problem:
        raise DicomWebError(400, f"Accept: {problem}") from problem


# A viewer says the same thousands of times.
_parsed = lru_cache(256)(parse_accept)


def retrieval_accepted() -> list[MediaRange]:
    """Return what the client accepts; DicomWebError 400 for DICOM and rendered types together (PS3.18 8.7.5)."""
    ranges = accepted()
    if mixes_dicom_and_rendered(ranges):
        raise DicomWebError(400, "Accept names DICOM and rendered media types together (PS3.18 8.7.5)")
    return ranges


def wants_range() -> bool:
    """Return whether a range is asked for, which only a single part can be (RFC 9110 14.2)."""
    return request.method == "GET" and "Range" in request.headers


def negotiated(offered: Sequence[MediaType], ranges: Sequence[MediaRange] | None = None) -> MediaType:
    """Return the media type of the answer (PS3.18 8.7.8), the default of what is offered first.

    `ranges` are what the client accepts, where the route has read it already. DicomWebError 406 names what there is.
    """
    chosen = choose(accepted() if ranges is None else ranges, offered)
    if chosen is None:
        raise not_acceptable(offered)
    return chosen
