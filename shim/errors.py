"""Errors a client is told about: an HTTP status and a JSON body ``{"error": …, "reason": …}`` as CouchDB words them."""

from __future__ import annotations

from gunicorn.http.errors import NoMoreData, ParseException

# What reading a request's body raises when it comes in chunks that are none, or breaks off between two.
BROKEN_BODY = (NoMoreData, ParseException)

NAMES = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    409: "conflict",
    411: "length_required",
    413: "too_large",
    414: "uri_too_long",
    415: "unsupported_media_type",
    416: "requested_range_not_satisfiable",
    500: "internal_server_error",
    501: "not_implemented",
    502: "bad_gateway",
    503: "service_unavailable",
}


class DicomWebError(Exception):
    """A request that cannot be served.

    Parameters
    ----------
    status : int
        HTTP status code (PS3.18 8.5).
    reason : str
        A sentence that names what was wrong.
    headers : dict of str, optional
        Further headers of the answer, such as ``Retry-After``.
    """

    def __init__(self, status: int, reason: str, headers: dict[str, str] | None = None):
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.headers = headers or {}

    @property
    def body(self) -> dict[str, str]:
        """The JSON body of the answer."""
        return {"error": NAMES.get(self.status, "error"), "reason": self.reason}
