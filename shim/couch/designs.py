"""A design document as its folder has it (couchapp layout): what a push stores, and what a server expects to find.

One folder is one document: a file's name minus its extension is the field, a folder is an object,
`.json` files are parsed. python-couchdb's loader does that part; here are the names, the version, what a folder takes
from those beside it (`shares.json`), and what must not reach the database (dot files, editors' backups).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

from couchdb.loader import DuplicateKeyError, load_design_doc

FOLDER = Path(str(files("dicouch.designdocs")))
# What a map function sees of the tables.
VIEW_TABLES = "views/lib/tables/"


def is_source(path: str | os.PathLike[str], folder: str | os.PathLike[str]) -> bool:
    """Tell whether a path inside `folder` belongs to the design document.

    Dot files, editors' backups and what Python keeps do not, nor do folders without any file: version control
    leaves such folders behind, and a view without a map function would be refused.
    """
    path = Path(path)
    for name in path.relative_to(folder).parts:
        if name.startswith((".", "#", "__")) or name.endswith(("~", ".orig", ".rej", ".bak", ".md")):
            return False
    return not path.is_dir() or any(is_source(child, folder) for child in path.rglob("*") if child.is_file())


def load(folder: str | os.PathLike[str]) -> dict[str, Any]:
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
    ValueError
        When a file cannot be read as what its name says, or two files claim one field.
    """
    folder = Path(folder)
    document = _read(folder)
    for name, path in shares(folder):
        _take(document, _read(folder.parent / name), path)
    document.pop("shares", None)
    document.setdefault("_id", f"_design/{folder.name}")
    document.setdefault("language", "javascript")
    if not str(document["_id"]).startswith("_design/"):
        raise ValueError(f"{folder / '_id'}: {document['_id']!r} does not start with _design/")
    _make_modules_of_tables(document)
    digest = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:12]
    readable = document.get("version")
    document["version"] = f"{readable}+{digest}" if readable else digest
    return document


def shares(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield what a design document takes from others: the folder beside it, and a path in that."""
    file = folder / "shares.json"
    for name, paths in (json.loads(file.read_text("utf-8")) if file.is_file() else {}).items():
        for path in paths:
            yield name, path


def _take(document: dict[str, Any], other: dict[str, Any], path: str) -> None:
    """Put a field, or all below it, of another design document into this one, whose own fields stay."""
    *above, last = path.split("/")
    for name in above:
        document, other = document.setdefault(name, {}), other[name]
    value = other[last]
    document[last] = {**value, **document.get(last, {})} if isinstance(value, dict) else value


def _read(folder: Path) -> dict[str, Any]:
    """Read the files of one folder; ValueError as for `load`."""
    try:
        document: dict[str, Any] = load_design_doc(
            str(folder), strip=True, predicate=lambda path: is_source(path, folder)
        )
    except json.JSONDecodeError as error:
        raise ValueError(f"{_broken_json(folder)}: {error}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{folder}: a file is not UTF-8 text: {error}") from error
    except (
        DuplicateKeyError,
        NotImplementedError,
    ) as error:  # of couchdb.loader: one field twice, no such kind of file
        raise ValueError(f"{folder}: {error}") from error
    return document


def _make_modules_of_tables(document: dict[str, Any]) -> None:
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


def _broken_json(folder: Path) -> Path:
    """Name the first file below `folder` that is not JSON; the loader's error does not."""
    for path in sorted(folder.rglob("*.json")):
        try:
            json.loads(path.read_text("utf-8"))
        except ValueError:
            return path
    return folder
