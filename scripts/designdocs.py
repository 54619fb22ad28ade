"""Reading all design documents from their folders, ready to be stored; `dicouch.couch.designs` reads one."""

import hashlib
import json
import os
from pathlib import Path

from dicouch.couch import designs
from dicouch.couch.designs import FOLDER, is_source
from dicouch.read.search.own_attributes import read_listed
from dicouch.rewrite import extended as attributes
from dicouch.scripts.connection import CommandError

# What decides the contents of a view index: a change elsewhere leaves the stored index valid.
INDEX_FIELDS = ("views", "options", "language")


def folders(root: str | os.PathLike = FOLDER) -> list[Path]:
    """List the folders below `root`, each a design document, sorted by name.

    Raises
    ------
    CommandError
        When there is none.
    """
    root = Path(root)
    found = sorted(path for path in root.iterdir() if path.is_dir() and is_source(path, root)) if root.is_dir() else []
    if not found:
        raise CommandError(f"no design documents in {root}")
    return found


def load(folder: str | os.PathLike) -> dict:
    """Load one design document; see `dicouch.couch.designs.load`. CommandError where that is a ValueError."""
    try:
        return designs.load(folder)
    except ValueError as error:
        raise CommandError(str(error)) from error


def load_all(root: str | os.PathLike = FOLDER) -> list[dict]:
    """Load every design document below `root`, in the order of their names."""
    return [load(folder) for folder in folders(root)]


def extended(path: str | None, root: str | os.PathLike = FOLDER) -> dict | None:
    """Make the design document that indexes a site's own attributes; `dicouch.rewrite.extended` reads the list.

    Parameters
    ----------
    path : path or None
        The file that lists them.
    root : pathlib.Path
        Where the design document `dicom` is, whose modules the views use.

    Returns
    -------
    dict or None
        None when nothing is listed.

    Raises
    ------
    CommandError
        When the list makes no sense.
    """
    try:
        listed = read_listed(path)
    except ValueError as problem:
        raise CommandError(str(problem)) from problem
    if not listed:
        return None
    options = {"options": {"collation": "raw"}, "reduce": "_count"}
    views = {one.view: {"map": attributes.view_source(one), **options} for one in listed}
    document = {
        "_id": attributes.DESIGN,
        "language": "javascript",
        "purpose": "indexes of the attributes that this site lists in EXTENDED_ATTRIBUTES; made by dicouch push-views",
        "views": {"lib": load(Path(root) / "dicom")["views"]["lib"], **views},
    }
    document["version"] = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:12]
    return document


def index_part(document: dict) -> dict:
    """The fields of a design document that decide its view indexes."""
    return {name: document[name] for name in INDEX_FIELDS if name in document}
