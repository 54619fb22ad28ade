"""Settings, read once from the environment."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any


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
        Further folders with bytes that can be read, separated by colons.
    link_roots : tuple of str
        Folders below which linked files may lie, separated by colons.
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
    remember : float
        Seconds for which credentials are trusted after the database let them in, so that what is remembered is given to
        them without asking it; 0: nothing is remembered. See `dicouch.couch.memory`.
    """

    couchdb_url: str = "http://127.0.0.1:5984"
    couchdb_database: str = "dicom"
    prefix: str = "/dicom-web"
    bytes: str = "attachment"
    bytes_roots: tuple[str, ...] = ()
    link_roots: tuple[str, ...] = ()
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
    remember: float = 10.0

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
        return cls(**values)


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


def _place(name: str, text: str) -> str:
    if text != "attachment" and not text.startswith("folder:/"):
        raise ValueError(f"{name} must be 'attachment' or 'folder:/path', not {text!r}")
    return text


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
    "bytes_roots": _folders,
    "link_roots": _folders,
    "check_links": _one_of("yes", "no"),
    "duplicates": _one_of("overwrite", "reject"),
    "allow_delete": _one_of("yes", "no"),
    "remember": _seconds,
}
