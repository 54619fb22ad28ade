"""Errors a client is told about: an HTTP status and a JSON body ``{"error": …, "reason": …}`` as CouchDB words them."""

from __future__ import annotations

import errno
import textwrap
from collections.abc import Iterable

NAMES = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    409: "conflict",
    410: "gone",
    411: "length_required",
    412: "precondition_failed",
    413: "too_large",
    414: "uri_too_long",
    415: "unsupported_media_type",
    416: "requested_range_not_satisfiable",
    421: "misdirected_request",
    426: "upgrade_required",
    500: "internal_server_error",
    501: "not_implemented",
    502: "bad_gateway",
    503: "service_unavailable",
}


def shortened(text: str, most: int) -> str:
    """Return a text of `most` characters at most that ends between two words: half a UID is another UID."""
    if len(text) <= most:
        return text
    return textwrap.shorten(text, most, placeholder="...", break_long_words=False, break_on_hyphens=False)[:most]


class DicomWebError(Exception):
    """A request that cannot be served: HTTP status (PS3.18 8.5), a sentence that names what was wrong, headers."""

    def __init__(self, status: int, reason: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.headers = headers or {}

    @property
    def body(self) -> dict[str, str]:
        """The JSON body of the answer."""
        return {"error": NAMES.get(self.status, "error"), "reason": self.reason}


class NoBytes(DicomWebError):
    """The bytes of one instance are not where its document says; those of others may be."""


def too_many_open(problem: Exception) -> DicomWebError | None:
    """Return what is told of a file that cannot be opened just now, as so many are open; None for other errors."""
    if not isinstance(problem, OSError) or problem.errno not in (errno.EMFILE, errno.ENFILE):
        return None
    return DicomWebError(503, "the server has too many files open", {"Retry-After": "5"})


def resource_name(study: str, series: str | None = None, instance: str | None = None) -> str:
    """Return how an error names a study, series or instance."""
    if instance:
        return f"instance {instance} in series {series} of study {study}"
    return f"series {series} in study {study}" if series else f"study {study}"


def only_metadata(study: str, series: str | None = None, instance: str | None = None) -> DicomWebError:
    """Return what is told of a resource whose bytes never came (PS3.18 Table 8.5-1, 404)."""
    return DicomWebError(404, f"of {resource_name(study, series, instance)} only the metadata are here, not the file")


def not_acceptable(offered: Iterable[object]) -> DicomWebError:
    """Return the 406 that says in which media types a resource can be had (PS3.18 8.7.8)."""
    there = ", ".join(dict.fromkeys(map(str, offered)))
    return DicomWebError(406, f"none of the accepted media types is available; there is {there}")
