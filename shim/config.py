"""Settings, read once from the environment."""

from __future__ import annotations

import os
import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit


@dataclass(frozen=True)
class Config:
    """What a site can set. Every field has an environment variable of the same name in upper case.

    Attributes
    ----------
    couchdb_url : str
        Root of the CouchDB server, possibly with ``user:password@``.
    couchdb_database : str
        Name of the database.
    prefix : str
        Path of the DICOMweb root, without a trailing slash.
    bytes : str
        Where Part 10 bytes go: ``attachment`` or ``folder:/path``.
    bytes_roots : tuple of str
        Further folders with bytes of this site, such as that of an earlier `bytes`, separated by colons.
    bytes_shared : tuple of str
        Folders of other sites with bytes that can be read, separated by colons; nothing in them is removed.
    link_roots : tuple of str
        Folders below which linked files may lie, separated by colons.
    bytes_from : tuple of str
        DICOMweb roots of servers that have the bytes of documents that came by replication, separated by blanks; they
        may carry ``user:password@``.
    check_links : str
        ``yes`` compares the digest of a linked file before it is read.
    spool_dir : str or None
        Folder for parts of a request that are too large for memory; the system's own when None.
    search_limit : int
        Most rows in one search answer (PS3.18 8.3.4.4.1).
    max_request_size, max_instance_size : int
        Most bytes of a store request, and of one instance.
    extended_attributes : str or None
        File that lists further attributes to search by; see `dicouch.rewrite.extended`.
    max_instances : int
        Most instances in a store request.
    min_free_space : int
        Bytes that must stay free on the disk that spools uploads.
    duplicates : str
        What happens to an instance whose UID is stored with other content: ``overwrite`` or ``reject``.
    allow_delete : str
        ``yes`` or ``no``.
    shim_bind : str
        Address and port to listen on.
    ohif : str or None
        Folder of the OHIF viewer that ``/ohif`` serves; see `dicouch.routes.viewer`.
    authorization : str
        Which credentials of a client count: ``known``, ``all``, ``required`` or ``none``; see
        `dicouch.couch.credentials`.
    origins, edit_origins : tuple of str
        Whose pages may search, retrieve and store, and whose may delete and correct as well: origins, ``loopback`` for
        those of this machine, ``*`` for all; see `dicouch.server.origins`.
    host_names : tuple of str
        Further names by which clients may ask this server; ``*``: any.
    open_to_the_network : str
        ``yes`` lets a server that asks for no login listen beyond loopback.
    event_channels : int
        Most event channels (WebSockets) that are open in one process; each takes a thread.
    remember : float
        Seconds for which credentials are trusted after the database let them in, so that what is remembered is given to
        them without asking it; 0: nothing is remembered. See `dicouch.couch.memory`.
    database_timeout : int
        Seconds that a request waits for a database that does not answer, in all (503).
    event_streams : int
        Most clients that follow the events of one process; each holds a thread.
    """

    couchdb_url: str = "http://127.0.0.1:5984"
    couchdb_database: str = "dicom"
    prefix: str = "/dicom-web"
    bytes: str = "attachment"
    bytes_roots: tuple[str, ...] = ()
    bytes_shared: tuple[str, ...] = ()
    link_roots: tuple[str, ...] = ()
    bytes_from: tuple[str, ...] = ()
    check_links: str = "no"
    spool_dir: str | None = None
    search_limit: int = 1000
    extended_attributes: str | None = None
    max_request_size: int = 64 << 30
    max_instance_size: int = 16 << 30
    max_instances: int = 100_000
    min_free_space: int = 64 << 20
    duplicates: str = "overwrite"
    allow_delete: str = "yes"
    shim_bind: str = "127.0.0.1:5985"
    ohif: str | None = None
    authorization: str = "known"
    origins: tuple[str, ...] = ("loopback",)
    edit_origins: tuple[str, ...] = ()
    host_names: tuple[str, ...] = ()
    open_to_the_network: str = "no"
    event_channels: int = 100
    remember: float = 10.0
    database_timeout: int = 120
    event_streams: int = 64

    def __post_init__(self) -> None:
        """Refuse a folder that would be of this site and of another one, whose files are never removed."""
        named = (*self.bytes_roots, *([self.bytes.removeprefix("folder:")] if self.bytes != "attachment" else []))
        own = [Path(folder).resolve() for folder in named]
        for folder in self.bytes_shared:
            theirs = Path(folder).resolve()
            if any(one.is_relative_to(theirs) or theirs.is_relative_to(one) for one in own):
                raise ValueError(
                    f"BYTES_SHARED names folders of other sites, but {folder} overlaps BYTES or BYTES_ROOTS"
                )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Config:
        """Read the settings.

        Raises
        ------
        ValueError
            If a variable has a value that makes no sense; the message names the variable.
        """
        values: dict[str, Any] = {}
        for field in fields(cls):
            name = field.name.upper()
            if text := environment.get(name, "").strip():
                read = READERS.get(field.name) or (whole_number if isinstance(field.default, int) else None)
                values[field.name] = read(name, text) if read else text
        config = cls(**values)
        if config.bytes_from and config.bytes == "attachment" and not config.bytes_roots:
            raise ValueError(
                "BYTES_FROM needs a folder to keep what it fetches: set BYTES to 'folder:/path', or BYTES_ROOTS"
            )
        return config


def whole_number(name: str, text: str) -> int:
    """Return the value of the variable `name`; ValueError if it is none above 0."""
    if not (text.isascii() and text.isdigit()) or int(text) < 1:
        raise ValueError(f"{name} must be a whole number above 0, not {text!r}")
    return int(text)


def _seconds(name: str, text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 3600:
        raise ValueError(f"{name} must be seconds, from 0 to 3600, not {text!r}")
    return seconds


def _folders(name: str, text: str) -> tuple[str, ...]:
    roots = tuple(root for root in text.split(os.pathsep) if root)
    if relative := [root for root in roots if not root.startswith("/")]:
        raise ValueError(f"{name} must name absolute paths, not {relative[0]!r}")
    return roots


def split_url(url: str) -> tuple[str, tuple[str, str] | None]:
    """Take user and password out of the URL of a server.

    Returns
    -------
    tuple of (str, tuple of (str, str) or None)
        The URL without them and without a trailing slash, and the decoded user and password (RFC 3986 3.2.1).

    Raises
    ------
    ValueError
        For what is no ``http`` or ``https`` URL. The message has nothing of a password.
    """
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or parts.scheme not in ("http", "https"):
        raise ValueError(
            f"not a URL of a server: {url.rpartition('@')[2]!r}; it looks like http://user:password@host:port, "
            "with %2F, %3F, %23 and %40 for / ? # and @ in user and password"
        )
    host = f"[{host}]" if ":" in host else host
    netloc = f"{host}:{port}" if port else host
    credentials = None
    if parts.username is not None:
        credentials = unquote(parts.username), unquote(parts.password or "")
    return urlunsplit((parts.scheme, netloc, parts.path.rstrip("/"), "", "")), credentials


def basic_auth(user: str, password: str) -> str:
    """Return the ``Authorization`` of a user and a password, in UTF-8 as CouchDB reads it (RFC 7617 2.1)."""
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode("ascii")


def _origins(name: str, text: str) -> tuple[str, ...]:
    """Read origins as browsers write them (RFC 6454 6.2): in lower case, without a path, without the usual port."""
    listed = []
    for word in text.replace(",", " ").lower().split():
        if word not in ("*", "loopback", "none"):
            try:
                parts = urlsplit(word.rstrip("/"))
                port = (
                    f":{parts.port}" if parts.port not in (None, {"http": 80, "https": 443}.get(parts.scheme)) else ""
                )
            except ValueError:
                parts, port = urlsplit(""), ""
            host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
            if not (parts.scheme and host) or "@" in word or parts.path or parts.query or parts.fragment:
                raise ValueError(
                    f"{name} must list origins such as https://viewer.example, 'loopback' or '*', not {word!r}"
                )
            word = f"{parts.scheme}://{host}{port}"
        listed.append(word)
    return tuple(word for word in listed if word != "none")


def _names(name: str, text: str) -> tuple[str, ...]:
    names = tuple(word.rstrip(".") for word in text.replace(",", " ").lower().split())
    if wrong := [word for word in names if word != "*" and not re.fullmatch(r"[\w.-]+", word)]:
        raise ValueError(f"{name} must list names of hosts without ports, not {wrong[0]!r}")
    return names


def _roots(name: str, text: str) -> tuple[str, ...]:
    try:
        for url in text.split():
            split_url(url)
    except ValueError as problem:
        raise ValueError(f"{name} must list DICOMweb roots: {problem}") from problem
    return tuple(text.split())


def _place(name: str, text: str) -> str:
    if text != "attachment" and not text.startswith("folder:/"):
        raise ValueError(f"{name} must be 'attachment' or 'folder:/path', not {text!r}")
    return text


def _viewer(name: str, text: str) -> str | None:
    """Read the folder of a built viewer; it is part of the server, so that a wrong one is told at the start."""
    if text == "none":
        return None
    if not os.path.isfile(os.path.join(text, "index.html")):
        raise ValueError(
            f"{name} must name the folder of a built viewer, with its index.html, or be 'none': not {text!r}"
        )
    return os.path.abspath(text)


def _one_of(*choices: str) -> Callable[[str, str], str]:
    def read(name: str, text: str) -> str:
        if text not in choices:
            raise ValueError(f"{name} must be {' or '.join(choices)}, not {text!r}")
        return text

    return read


# How fields are read that are neither texts nor whole numbers.
READERS: dict[str, Callable[[str, str], Any]] = {
    "prefix": lambda _name, text: f"/{text.strip('/')}".rstrip("/"),
    "bytes": _place,
    "ohif": _viewer,
    "bytes_roots": _folders,
    "bytes_shared": _folders,
    "link_roots": _folders,
    "bytes_from": _roots,
    "check_links": _one_of("yes", "no"),
    "duplicates": _one_of("overwrite", "reject"),
    "allow_delete": _one_of("yes", "no"),
    "origins": _origins,
    "edit_origins": _origins,
    "host_names": _names,
    "authorization": _one_of("known", "all", "required", "none"),
    "open_to_the_network": _one_of("yes", "no"),
    "remember": _seconds,
}
