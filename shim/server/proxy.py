"""The URL a client used: what reverse proxies tell (``Forwarded``, RFC 7239, ``X-Forwarded-*``), and the port."""

from __future__ import annotations

from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from werkzeug.http import parse_dict_header

from dicouch.server.origins import RECEIVED_HOST

# Besides X-Forwarded-*: headers that only proxies send (RFC 7239, RFC 9110 7.6.3).
PROXIED = {"HTTP_FORWARDED", "HTTP_VIA", "HTTP_X_REAL_IP"}


def _first(value: str | None) -> str:
    return (value or "").split(",")[0].strip()


def _forwarded(told: str) -> dict[str, str | None]:
    pairs = parse_dict_header(told.replace(";", ",")) if told else {}
    return {name.lower(): value for name, value in pairs.items()}


class ProxyHeaders:
    """WSGI middleware that puts the proxy's scheme, host and path prefix in place of the server's own.

    The headers only decide the absolute URLs in answers, so there is no list of trusted proxies. What is safe is
    decided by the Host that came, see `dicouch.server.origins`.
    """

    def __init__(self, application: WSGIApplication) -> None:
        self.application = application

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve a request."""
        environ[RECEIVED_HOST] = environ.get("HTTP_HOST", "")
        forwarded = _forwarded(_first(environ.get("HTTP_FORWARDED")))
        scheme = forwarded.get("proto") or _first(environ.get("HTTP_X_FORWARDED_PROTO"))
        host = forwarded.get("host") or _first(environ.get("HTTP_X_FORWARDED_HOST"))
        port = _first(environ.get("HTTP_X_FORWARDED_PORT"))
        prefix = _first(environ.get("HTTP_X_FORWARDED_PREFIX")).rstrip("/")
        if scheme in ("http", "https"):
            environ["wsgi.url_scheme"] = scheme
        if host:
            environ["HTTP_HOST"] = host
        host = environ.get("HTTP_HOST", "")
        if host and port.isdigit() and ":" not in host.rpartition("]")[2]:
            environ["HTTP_HOST"] = f"{host}:{port}"
        if prefix.startswith("/"):
            environ["SCRIPT_NAME"] = prefix + environ.get("SCRIPT_NAME", "")
        _complete_host(environ)
        return self.application(environ, start_response)


def _complete_host(environ: WSGIEnvironment) -> None:
    """Add the port that the server listens on to a ``Host`` without one, which dicomweb-client sends.

    What came through a proxy stays as it is: the port that the client used is then the proxy's. So does what a browser
    says, as browsers leave out the usual port only (RFC 9110 7.2): theirs is that of a mapping in front of this one.
    """
    if "Mozilla/" in environ.get("HTTP_USER_AGENT", ""):
        return
    host, port = environ.get("HTTP_HOST", "").removesuffix(":"), environ.get("SERVER_PORT", "")
    usual = {"http": "80", "https": "443"}.get(environ.get("wsgi.url_scheme", ""))
    if not host or ":" in host.rpartition("]")[2] or port in ("", usual):
        return
    if not any(name.startswith("HTTP_X_FORWARDED_") or name in PROXIED for name in environ):
        environ["HTTP_HOST"] = f"{host}:{port}"
