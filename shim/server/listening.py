"""Listening beyond this machine: refused while nobody has to say who asks, unless the site says that this is meant."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable

from dicouch.config import Config
from dicouch.couch.client import Couch
from dicouch.couch.response import CouchError
from dicouch.errors import DicomWebError

SECONDS = 10.0


def is_local(address: object) -> bool:
    """Return whether only this machine reaches an address as `socket.socket.getsockname` gives it."""
    if not isinstance(address, tuple):
        return True  # a socket in the file system
    try:
        found = ipaddress.ip_address(str(address[0]).partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None)
    return (mapped or found).is_loopback


def check(addresses: Iterable[object], config: Config, *, lends: bool = False) -> None:
    """Refuse to listen where strangers could read and delete everything.

    A server whose ``COUCHDB_URL`` has credentials (or will have: `lends`) lends them to whoever brings none. Where it
    has none, the database is asked whether it lets anybody in.

    Raises
    ------
    ValueError
        The message says what can be done.
    """
    beyond = [address for address in addresses if not is_local(address)]
    if not beyond or config.open_to_the_network == "yes" or config.authorization == "required":
        return
    if lends or not _is_closed(Couch(config.couchdb_url, config.couchdb_database, SECONDS)):
        raise ValueError(
            f"SHIM_BIND: whoever reaches {beyond[0]} could read and delete every study, as this server asks nobody for "
            "a login. Listen on 127.0.0.1, or set AUTHORIZATION=required, or OPEN_TO_THE_NETWORK=yes if this is meant "
            "(docs/safety.md)"
        )


def _is_closed(couch: Couch) -> bool:
    """Return whether the database refuses who brings no credentials; one that does not answer counts as open."""
    if couch.credentials:
        return False
    try:
        couch.json("GET", "")
    except CouchError as problem:
        return problem.status in (401, 403)
    except DicomWebError:
        return False
    return False


def addresses_of(host: str, port: int) -> list[object]:
    """Return the addresses that a host and port to listen on stand for; none for a host that is not known."""
    try:
        return [found[4] for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    except OSError:
        return []
