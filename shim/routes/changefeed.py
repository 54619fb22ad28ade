"""The change feed, as Microsoft's DICOM server offers it: what was stored, replaced and deleted, in its order.

PS3.18 has no such resource. docs/changes.md tells how it is used.
"""

from __future__ import annotations

from collections.abc import Iterator

from flask import Response, request

from dicouch.dicom.media.negotiate import choose, parse_media_type
from dicouch.errors import not_acceptable
from dicouch.read.changefeed import ChangeFeed
from dicouch.rewrite import changefeed
from dicouch.routes import answers, codings, current
from dicouch.services import services

JSON = parse_media_type("application/json")
OFFERED = [JSON, parse_media_type("application/dicom+json")]


def retrieve() -> Response:
    """Answer with a page of the feed: an array."""
    kind = _kind()
    asked = changefeed.parse(request.args.items(multi=True))
    feed = _feed()
    told = feed.told(feed.entries(asked), current.base_url(), with_metadata=asked.metadata)
    return _answer(_listed(told), kind)


def latest() -> Response:
    """Answer with the last entry of the feed; 204 while there is none."""
    kind = _kind()
    asked = changefeed.parse(request.args.items(multi=True))
    feed = _feed()
    entry = feed.latest()
    if entry is None:
        return answers.not_stored(Response(status=204))
    return _answer(feed.told([entry], current.base_url(), with_metadata=asked.metadata), kind)


def _kind() -> str:
    chosen = choose(current.accepted(), OFFERED)
    if chosen is None:
        raise not_acceptable(OFFERED)
    return str(chosen)


def _feed() -> ChangeFeed:
    """Return the feed with all that was written before the request."""
    ours, authorization = services(), current.authorization()
    if not ours.memory.admitted(authorization):
        ours.couch.json("GET", "", authorization=authorization)  # whoever may not read is told before anything is done
    ours.log.catch_up(authorization)
    return ChangeFeed(current.reader(), ours.log)


def _listed(told: Iterator[bytes]) -> Iterator[bytes]:
    separator = b"["
    for one in told:
        yield separator + one
        separator = b",\n"
    yield b"[]" if separator == b"[" else b"]"


def _answer(body: Iterator[bytes], kind: str) -> Response:
    coding = codings.coding()
    response = Response(
        answers.ahead_of_status(codings.compressed(body, coding) if coding else body), content_type=kind
    )
    if coding:
        response.headers["Content-Encoding"] = coding
    response.vary.update(("Accept", "Accept-Encoding", "Authorization"))
    return answers.not_stored(response)
