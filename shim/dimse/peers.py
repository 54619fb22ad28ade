"""The peers file: who may associate and do what, where peers listen, and what is forwarded to whom.

ae_title = "DICOUCH"
bind = "0.0.0.0:11112"

[[peer]]
ae_title = "CT1"
host = "10.0.0.5"
port = 104
may = ["store", "query"]

[[forward]]
to = "https://archive.example/dicom-web"
modality = ["CT"]
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from dicouch import settings_file

Made = TypeVar("Made", "Peer", "Rule", "Settings", "Tls")
RIGHTS = ("store", "query", "retrieve")
DEFAULT_BIND = "127.0.0.1:11112"


class _Patient(ssl.SSLContext):
    """Shakes hands when the first bytes are read, in the association's thread: who does not, holds up nobody else."""

    def wrap_socket(
        self,
        sock: socket.socket,
        server_side: bool = False,
        do_handshake_on_connect: bool = True,
        suppress_ragged_eofs: bool = True,
        server_hostname: str | bytes | None = None,
        session: ssl.SSLSession | None = None,
    ) -> ssl.SSLSocket:
        return super().wrap_socket(sock, server_side, False, suppress_ragged_eofs, server_hostname, session)


def _load(context: ssl.SSLContext, place: str, certificate: str, key: str) -> None:
    """Take a certificate and its key from their files."""
    try:
        context.load_cert_chain(certificate, key or None)
    except (OSError, ValueError) as problem:
        raise ValueError(f"{place}: certificate {certificate} and key {key}: {problem}") from problem


@dataclass(frozen=True)
class Tls:
    """TLS of this server: its certificate and key, and who signs those of clients, where these need one."""

    certificate: str
    key: str
    clients: str = ""

    def for_server(self) -> ssl.SSLContext:
        """Return what incoming connections are wrapped with (PS3.15 B.9)."""
        context = _Patient(ssl.PROTOCOL_TLS_SERVER)
        _load(context, "tls", self.certificate, self.key)
        if self.clients:
            context.verify_mode = ssl.CERT_REQUIRED
            try:
                context.load_verify_locations(self.clients)
            except (OSError, ValueError) as problem:
                raise ValueError(f"tls: clients {self.clients}: {problem}") from problem
        return context


@dataclass(frozen=True)
class Peer:
    """Another application entity.

    Attributes
    ----------
    may : tuple of str
        Of `RIGHTS`.
    tls : bool
        Whether it is called with TLS.
    ca : str
        File with the certificates that sign its own; empty: those that the system trusts.
    certificate, key : str
        Files of what it is shown, where it asks who calls.
    """

    ae_title: str
    host: str = ""
    port: int = 0
    may: tuple[str, ...] = RIGHTS
    tls: bool = False
    ca: str = ""
    certificate: str = ""
    key: str = ""

    def for_client(self) -> ssl.SSLContext:
        """Return what connections to it are wrapped with."""
        try:
            context = ssl.create_default_context(cafile=self.ca or None)
        except (OSError, ValueError) as problem:
            raise ValueError(f"peer {self.ae_title}: ca {self.ca}: {problem}") from problem
        if self.certificate:
            _load(context, f"peer {self.ae_title}", self.certificate, self.key)
        return context


@dataclass(frozen=True)
class Rule:
    """What is forwarded: all that is of one of the values of each list, where that is not empty.

    Attributes
    ----------
    to : str
        URL of a DICOMweb root, or the AE title of a peer.
    attempts : int
        After which it is given up.
    """

    to: str
    modality: tuple[str, ...] = ()
    calling: tuple[str, ...] = ()
    sop_class: tuple[str, ...] = ()
    attempts: int = 12

    def matches(self, modality: str, calling: str, sop_class: str) -> bool:
        """Return whether an instance that has arrived is to be forwarded."""
        pairs = ((self.modality, modality), (self.calling, calling), (self.sop_class, sop_class))
        return all(not wanted or value in wanted for wanted, value in pairs)


@dataclass(frozen=True)
class Settings:
    """What the peers file says.

    Attributes
    ----------
    check_called : bool
        Whether callers have to call this AE title.
    check_hosts : bool
        Whether a peer with a host has to call from there.
    unknown_callers : tuple of str
        What may who is not listed; empty: it is refused.
    associations : int
        Most at a time.
    idle_timeout : int
        Seconds after which an association ends on which nothing comes.
    """

    ae_title: str = "DICOUCH"
    bind: str = DEFAULT_BIND
    check_called: bool = True
    check_hosts: bool = True
    unknown_callers: tuple[str, ...] = ()
    associations: int = 32
    idle_timeout: int = 120
    tls: Tls | None = None
    peers: Mapping[str, Peer] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()

    def rights(self, calling: str, address: str) -> tuple[str, ...] | None:
        """Return what a caller may; None: it is refused."""
        peer = self.peers.get(calling)
        if peer is None:
            return self.unknown_callers or None
        if self.check_hosts and peer.host and address not in _addresses(peer.host):
            return None
        return peer.may


OPEN = Settings(check_called=False, unknown_callers=RIGHTS)
"""Without a peers file. Only this machine reaches such a server, unless the site says otherwise."""


def _addresses(host: str) -> set[str]:
    try:
        return {str(found[4][0]) for found in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except OSError:
        return set()


def read(path: str | Path) -> Settings:
    """Read a peers file.

    Raises
    ------
    ValueError
        If it cannot be read or says what makes no sense; the message names the file and the place.
    """
    return settings_file.read(path, _settings)


def _settings(told: dict[str, Any]) -> Settings:
    tables = {name: told.pop(name, []) for name in ("peer", "forward")}
    if wrong := [name for name, listed in tables.items() if not isinstance(listed, list)]:
        raise ValueError(f"{wrong[0]}: write [[{wrong[0]}]], as there may be several")
    peers = [_made(Peer, f"peer {number}", table) for number, table in enumerate(tables["peer"], 1)]
    rules = [_made(Rule, f"forward {number}", table) for number, table in enumerate(tables["forward"], 1)]
    tls = told.pop("tls", None)
    settings = _made(Settings, "the file", told, hidden=("tls", "peers", "rules"))
    by_title: dict[str, Peer] = {}
    for peer in peers:
        if peer.ae_title in by_title:
            raise ValueError(f"peer {peer.ae_title!r} is there twice")
        by_title[peer.ae_title] = peer
    for rule in rules:
        target = by_title.get(rule.to)
        if not rule.to.startswith(("http://", "https://")) and (target is None or not target.port):
            raise ValueError(f"forward: {rule.to!r} is neither a URL nor a peer with host and port")
    values = {**vars(settings), "peers": by_title, "rules": tuple(rules)}
    values["tls"] = None if tls is None else _made(Tls, "tls", tls)
    if values["tls"]:
        values["tls"].for_server()
    for peer in peers:
        if peer.tls:
            peer.for_client()
    return Settings(**values)


def _made(kind: type[Made], place: str, table: object, hidden: tuple[str, ...] = ()) -> Made:
    """Make a dataclass of a table, and say what is wrong with it."""
    made = settings_file.made_of(kind, place, table, hidden)
    given = {name: getattr(made, name) for name in (table if isinstance(table, dict) else ())}
    for name, value in given.items():
        if type(value) is int and not 0 < value < 65536:
            raise ValueError(f"{place}: {name} must be from 1 to 65535")
    for name in ("may", "unknown_callers"):
        if strange := set(given.get(name, ())) - set(RIGHTS):
            raise ValueError(f"{place}: {name}: {strange.pop()!r} is not one of {', '.join(RIGHTS)}")
    title = getattr(made, "ae_title", None)
    if title is not None and not (title.isascii() and title.isprintable() and "\\" not in title and len(title) <= 16):
        raise ValueError(f"{place}: {title!r} is no AE title (PS3.5 6.2)")
    if title == "" or isinstance(made, Peer) and bool(made.host) != bool(made.port):
        raise ValueError(f"{place}: it needs an AE title, and both host and port or none of them")
    return made
