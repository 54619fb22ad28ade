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
    spool_dir : str or None
        Folder for parts of a request that are too large for memory; the system's own when None.
    search_limit : int
        Most rows in one search answer (PS3.18 8.3.4.4.1).
    """

    couchdb_url: str = "http://127.0.0.1:5984"
    couchdb_database: str = "dicom"
    prefix: str = "/dicom-web"
    bytes: str = "attachment"
    spool_dir: str | None = None
    search_limit: int = 1000

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
        if "search_limit" in values:
            if not values["search_limit"].isdigit() or int(values["search_limit"]) < 1:
                raise ValueError(f"SEARCH_LIMIT must be a whole number above 0, not {values['search_limit']!r}")
            values["search_limit"] = int(values["search_limit"])
        if "prefix" in values:
            values["prefix"] = "/" + values["prefix"].strip("/") if values["prefix"].strip("/") else ""
        place = values.get("bytes", "attachment")
        if place != "attachment" and not place.startswith("folder:/"):
            raise ValueError(f"BYTES must be 'attachment' or 'folder:/path', not {place!r}")
        return cls(**values)
