"""Settings, read once from the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass


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
        Seconds for which an instance in a folder that a client just read is given to the same credentials without
        asking the database; 0 for never. See `dicouch.couch.known`.
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
    remember: float = 2.0

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Config:
        """Read the settings.

        Raises
        ------
        ValueError
            If a variable has a value that makes no sense; the message names it.
        """
        values = {}
        for name in cls.__dataclass_fields__:
            text = environment.get(name.upper(), "").strip()
            if text:
                values[name] = text
        for name, given in cls.__dataclass_fields__.items():
            if name in values and isinstance(given.default, int):
                if not (values[name].isascii() and values[name].isdigit()) or int(values[name]) < 1:
                    raise ValueError(f"{name.upper()} must be a whole number above 0, not {values[name]!r}")
                values[name] = int(values[name])
        if "remember" in values:
            try:
                values["remember"] = float(values["remember"])
            except ValueError:
                values["remember"] = -1.0
            if not 0 <= values["remember"] <= 3600:
                raise ValueError(f"REMEMBER must be seconds, from 0 to 3600, not {environment['REMEMBER']!r}")
        for name in ("bytes_roots", "link_roots"):
            values[name] = tuple(root for root in values.get(name, "").split(os.pathsep) if root)
            if relative := [root for root in values[name] if not root.startswith("/")]:
                raise ValueError(f"{name.upper()} must name absolute paths, not {relative[0]!r}")
        yes_or_no = ("yes", "no")
        allowed = {"duplicates": ("overwrite", "reject"), "allow_delete": yes_or_no, "check_links": yes_or_no}
        for name, choices in allowed.items():
            if values.get(name, choices[0]) not in choices:
                raise ValueError(f"{name.upper()} must be {' or '.join(choices)}, not {values[name]!r}")
        if "prefix" in values:
            values["prefix"] = "/" + values["prefix"].strip("/") if values["prefix"].strip("/") else ""
        place = values.get("bytes", "attachment")
        if place != "attachment" and not place.startswith("folder:/"):
            raise ValueError(f"BYTES must be 'attachment' or 'folder:/path', not {place!r}")
        return cls(**values)
