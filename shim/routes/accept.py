"""What the client accepts, and which of the available media types it gets (PS3.18 8.7)."""

from __future__ import annotations

from collections.abc import Sequence

from flask import request

from dicouch.dicom.media.negotiate import (
    MalformedMediaType,
    MediaRange,
    MediaType,
    choose,
    mixes_dicom_and_rendered,
    parse_accept,
)
from dicouch.errors import DicomWebError, not_acceptable


def told() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what the client says that it accepts, in its own words: all that negotiation looks at."""
    return tuple(request.headers.getlist("Accept")), tuple(request.args.getlist("accept"))


def accepted() -> list[MediaRange]:
    """Return what the client accepts (PS3.18 8.7.4), the ``accept`` parameter before the header; DicomWebError 400."""
    try:
        return parse_accept(*told())
    except MalformedMediaType as problem:
        raise DicomWebError(400, f"Accept: {problem}") from problem


def retrieval_accepted() -> list[MediaRange]:
    """Return what the client accepts; DicomWebError 400 for DICOM and rendered types together (PS3.18 8.7.5)."""
    ranges = accepted()
    if mixes_dicom_and_rendered(ranges):
        raise DicomWebError(400, "Accept names DICOM and rendered media types together (PS3.18 8.7.5)")
    return ranges


def negotiated(offered: Sequence[MediaType], ranges: Sequence[MediaRange] | None = None) -> MediaType:
    """Return the media type of the answer (PS3.18 8.7.8), the default of what is offered first.

    `ranges` are what the client accepts, where the route has read it already. DicomWebError 406 names what there is.
    """
    chosen = choose(accepted() if ranges is None else ranges, offered)
    if chosen is None:
        raise not_acceptable(offered)
    return chosen
