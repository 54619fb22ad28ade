"""Reading design documents from their folders (couchapp layout), ready to be stored.

One folder is one document: a file's name minus its extension is the field, a folder is an object,
`.json` files are parsed. python-couchdb's loader does that part; here are the names, the version and
what must not reach the database (dot files, editors' backups).
"""

import hashlib
import json
import os
from importlib.resources import files
from pathlib import Path

from couchdb.loader import DuplicateKeyError, load_design_doc

from dicouch.read.search.own_attributes import read_listed
from dicouch.rewrite import extended as attributes
from dicouch.scripts.connection import CommandError

FOLDER = Path(str(files("dicouch.designdocs")))
# What a map function sees of the tables.
VIEW_TABLES = "views/lib/tables/"
# What decides the contents of a view index: a change elsewhere leaves the stored index valid.
INDEX_FIELDS = ("views", "options", "language")


def is_source(path: str | os.PathLike, folder: str | os.PathLike) -> bool:
    """Tell whether a path inside `folder` belongs to the design document.

    Dot files, editors' backups and what Python keeps do not, nor do folders without any file: version control
    leaves such folders behind, and a view without a map function would be refused.
    """
    path = Path(path)
    for name in path.relative_to(folder).parts:
        if name.startswith((".", "#", "__")) or name.endswith(("~", ".orig", ".rej", ".bak", ".md")):
            return False
    return not path.is_dir() or any(is_source(child, folder) for child in path.rglob("*") if child.is_file())


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
    """Load one design document.

    Parameters
    ----------
    folder : pathlib.Path
        Its folder. A file `_id` names the document, otherwise the folder's name does; a file `version`
        carries the version's readable part.

    Returns
    -------
    dict
        The document as it is stored, without `_rev`. `version` ends with a digest of the contents, so that two
        databases with the same version have the same functions.

    Raises
    ------
    CommandError
        When a file cannot be read as what its name says, or two files claim one field.
    """
    folder = Path(folder)
    try:
        document = load_design_doc(str(folder), strip=True, predicate=lambda path: is_source(path, folder))
    except json.JSONDecodeError as error:
        raise CommandError(f"{_broken_json(folder)}: {error}") from error
    except UnicodeDecodeError as error:
        raise CommandError(f"{folder}: a file is not UTF-8 text: {error}") from error
    except (DuplicateKeyError, NotImplementedError) as error:
        raise CommandError(f"{folder}: {error}") from error
    document.setdefault("_id", f"_design/{folder.name}")
    document.setdefault("language", "javascript")
    if not str(document["_id"]).startswith("_design/"):
        raise CommandError(f"{folder / '_id'}: {document['_id']!r} does not start with _design/")
    _make_modules_of_tables(document)
    digest = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:12]
    readable = document.get("version")
    document["version"] = f"{readable}+{digest}" if readable else digest
    return document


def _make_modules_of_tables(document: dict) -> None:
    """Turn each table (`tables/*.json`) into a module; those that views require stand below `views/lib` too."""
    tables = document.get("tables")
    if not tables:
        return
    modules = {name: f"module.exports = {json.dumps(table, ensure_ascii=False)};" for name, table in tables.items()}
    document["tables"] = modules
    views = document.get("views", {})
    text = json.dumps(views)
    seen = {name: source for name, source in modules.items() if f"{VIEW_TABLES}{name}'" in text}
    if seen:
        views.setdefault("lib", {})["tables"] = seen


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
        "purpose": "indexes of the attributes that this site lists in EXTENDED_ATTRIBUTES; made by push_views",
        "views": {"lib": load(Path(root) / "dicom")["views"]["lib"], **views},
    }
    document["version"] = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:12]
    return document


def index_part(document: dict) -> dict:
    """The fields of a design document that decide its view indexes."""
    return {name: document[name] for name in INDEX_FIELDS if name in document}


def _broken_json(folder: Path) -> Path:
    """Name the first file below `folder` that is not JSON; the loader's error does not."""
    for path in sorted(folder.rglob("*.json")):
        try:
            json.loads(path.read_text("utf-8"))
        except ValueError:
            return path
    return folder
