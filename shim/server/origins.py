"""Which pages may use this server through a browser, and by which names it may be asked.

A browser sends what any page tells it to, from inside the network that the server trusts. It says whose page that was
(``Origin``, the Fetch standard 3.1), and by which name the page reached the server (``Host``): a name that its owner
points to this machine (DNS rebinding) would make a foreign page one of our own.
"""

from __future__ import annotations

import ipaddress
import socket
from functools import lru_cache
from urllib.parse import SplitResult, urlsplit

from flask import Response, g, request

from dicouch.config import Config
from dicouch.errors import DicomWebError
from dicouch.services import services

# Where `dicouch.server.proxy` leaves the Host as it came: a page can say any name in a forwarding header.
RECEIVED_HOST = "dicouch.host"
READS = ("GET", "HEAD", "OPTIONS")
ANY = "*"
LOOPBACK = "loopback"


def guard() -> None:
    """Refuse a request by an unknown name (421, RFC 9110 15.5.20), or of a page that may not send it (403)."""
    config = services().config
    received = request.environ.get(RECEIVED_HOST, "")
    if received and not is_known(received, config):
        raise DicomWebError(
            421, f"this server is not known as {received[:80]!r}; the setting HOST_NAMES adds names (docs/safety.md)"
        )
    # Until it is clear that the page may read, the answer does not say so.
    g.origin = None
    origin = request.headers.get("Origin")
    if origin is None:
        # Browsers of today say Origin of whatever is no GET; a form of theirs without one says at least this.
        if request.method not in READS and request.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site"):
            raise DicomWebError(403, "the request comes from a page of another site")
        return
    page = _split(origin)
    if page.scheme in ("http", "https") and page.netloc in (received, request.host):
        return
    method = request.headers.get("Access-Control-Request-Method") if request.method == "OPTIONS" else None
    edits = _edits(method or request.method, config)
    if not (admits(origin, config.edit_origins) or not edits and admits(origin, config.origins)):
        setting = "EDIT_ORIGINS" if edits else "ORIGINS"
        does = "delete or correct" if edits else "use this server"
        raise DicomWebError(
            403, f"pages of {origin[:80]!r} may not {does}; the setting {setting} names those that may (docs/safety.md)"
        )
    g.origin = origin


def _edits(method: str, config: Config) -> bool:
    """Return whether a method of the request's resource does more than search, retrieve or store."""
    if method in READS:
        return False
    steps = request.path.removeprefix(config.prefix).strip("/").split("/")
    if method == "POST" and steps[0] == "documents" and steps[2:] == ["_bulk_get"]:
        return False  # it reads, and what it asks for is too long for a GET
    return method != "POST" or steps[0] != "studies" or len(steps) > 2


def admits(origin: str, listed: tuple[str, ...]) -> bool:
    """Return whether a list of origins has one."""
    if ANY in listed or origin.lower() in listed:
        return True
    parts = _split(origin)
    return LOOPBACK in listed and parts.scheme in ("http", "https") and is_loopback(parts.netloc)


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _port = parts.port
    except ValueError:
        return urlsplit("")
    return parts


def _name(host: str) -> str:
    """Return the name or address in ``host[:port]``, empty where it is none."""
    parts = _split(f"//{host}")
    plain = parts.netloc == host and "@" not in host
    return (parts.hostname or "").rstrip(".") if plain else ""


@lru_cache(256)
def is_loopback(host: str) -> bool:
    """Return whether ``host[:port]`` names this machine to itself (RFC 6761 6.3)."""
    name = _name(host)
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def is_known(host: str, config: Config) -> bool:
    """Return whether a request for ``host[:port]`` was meant for this server.

    An address always was: only names can be pointed to another machine by their owner.
    """
    if ANY in config.host_names or is_loopback(host):
        return True
    name = _name(host)
    try:
        ipaddress.ip_address(name)
        return True
    except ValueError:
        own = socket.gethostname().lower()
        bound = config.shim_bind.rpartition(":")[0].lower()
        return bool(name) and name in {*config.host_names, own, f"{own.partition('.')[0]}.local", bound}


def add_headers(response: Response) -> Response:
    """Let a page of another origin that may send the request read the answer (the Fetch standard 3.2)."""
    config, origin = services().config, g.get("origin")
    told = response.headers.get("Vary")
    response.headers["Vary"] = f"{told}, Origin" if told else "Origin"
    if origin is None:
        return response
    response.headers["Access-Control-Allow-Origin"] = origin
    response.headers["Access-Control-Expose-Headers"] = (
        "Content-Disposition, Content-Location, Content-Range, ETag, Location, Retry-After, Server-Timing, Warning"
    )
    if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
        edits = ", PUT, DELETE" if admits(origin, config.edit_origins) else ""
        response.headers["Access-Control-Allow-Methods"] = f"GET, HEAD, POST{edits}, OPTIONS"
        asked = request.headers.get("Access-Control-Request-Headers", "Accept, Authorization, Content-Type")
        response.headers["Access-Control-Allow-Headers"] = asked
        response.headers["Access-Control-Max-Age"] = "86400"
    return response
