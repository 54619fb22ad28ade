"""Entity tags and conditional requests (RFC 9110 8.8.3, 13)."""

from __future__ import annotations

from hashlib import sha256

from flask import Response, request


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
