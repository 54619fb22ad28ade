"""Push the design documents to a database: only what changed, and without making a reader wait for an index.

    dicouch push-views
    dicouch push-views --dry-run
    dicouch push-views --url http://user:password@127.0.0.1:5984 --database dicom

Without a URL, and without COUCHDB_URL, it works on the database that `dicouch run` uses.

A view that changed is built under a scratch document first (`_design/<name>-new`) while the old one goes on serving;
the index belongs to the view's definition, not to the document's name, so the real document finds it ready. A push that
was stopped goes on where the database is: it keeps what it has indexed, and goes on meanwhile.
"""

import contextlib
import difflib
import itertools
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import couchdb

from dicouch.scripts import choose, cli, designdocs, jscheck
from dicouch.scripts.connection import CommandError, connect, database_name, redact
from dicouch.scripts.warm import warm

IGNORED = ("_rev", "_attachments")
SCRATCH = "-new"
DEFAULT_WAIT = 900.0


@dataclass(frozen=True)
class Change:
    """One field of a design document that differs between the files and the database.

    Attributes
    ----------
    document : str
        `_design/<name>`.
    path : str
        Keys from the document down, joined by dots (`views.studies_by_date.map`).
    before, after : object or None
        The stored and the new value; None where there is none.
    """

    document: str
    path: str
    before: object = field(repr=False)
    after: object = field(repr=False)

    @property
    def kind(self) -> str:
        """`added`, `removed` or `changed`."""
        if self.before is None:
            return "added"
        return "removed" if self.after is None else "changed"

    def __str__(self) -> str:
        return f"{self.document}: {self.kind} {self.path}"

    def diff(self) -> str:
        """The change as a unified diff."""
        name = f"{self.document}/{self.path.replace('.', '/')}"
        lines = difflib.unified_diff(
            _text(self.before).splitlines(),
            _text(self.after).splitlines(),
            "/dev/null" if self.before is None else f"database/{name}",
            "/dev/null" if self.after is None else f"designdocs/{name}",
            lineterm="",
        )
        return "\n".join(lines)


def differences(document: dict, stored: dict | None) -> list[Change]:
    """Compare a design document with the stored one, field by field.

    Parameters
    ----------
    document : dict
        The new document.
    stored : dict or None
        What the database holds; None when it holds nothing.

    Returns
    -------
    list of Change
        Ordered by path; empty when the two are the same but for `_rev` and `_attachments`.
    """
    new = _leaves({key: value for key, value in document.items() if key not in IGNORED})
    old = _leaves({key: value for key, value in (stored or {}).items() if key not in IGNORED})
    return [
        Change(document["_id"], path, old.get(path), new.get(path))
        for path in sorted(new.keys() | old.keys())
        if path not in old or path not in new or old[path] != new[path]
    ]


def push(
    url: str,
    database: str | None = None,
    *,
    folder: str | os.PathLike = designdocs.FOLDER,
    extended: str | None = None,
    dry_run: bool = False,
    wait: float = DEFAULT_WAIT,
    report: Callable[[str], object] | None = None,
) -> list[Change]:
    """Bring the design documents of a database up to date.

    Parameters
    ----------
    url : str
        Root URL of the database server, credentials included.
    database : str, optional
        Name of the database; created when missing. `COUCHDB_DATABASE`, else `dicom`, when left out.
    folder : pathlib.Path
        Holds one folder per design document.
    extended : path, optional
        Lists the attributes that the site searches by besides; `EXTENDED_ATTRIBUTES` when left out. Without either,
        what an earlier push made of such a list stays.
    dry_run : bool
        Only compare.
    wait : float
        Seconds that building the indexes of changed views may take.
    report : callable, optional
        Called with a line of text for each step worth telling.

    Returns
    -------
    list of Change
        What differed, and unless `dry_run`, is now stored.

    Raises
    ------
    CommandError
        When a file is broken (before anything is written), the database is out of reach or refuses, or the indexes
        are not ready in time (the old documents then still serve, and a second push goes on where this one stopped).
    """
    database = database or database_name()
    report = report or (lambda line: None)
    paths = designdocs.folders(folder)
    documents = [designdocs.load(path) for path in paths]
    listed = designdocs.extended(extended or os.environ.get("EXTENDED_ATTRIBUTES") or None)
    if listed is not None:
        documents.append(listed)
    with _told(url, database):
        server = connect(url)
        store = _open(server, database)
        there = [store.get(document["_id"]) if store is not None else None for document in documents]
        changed = [differences(document, stored) for document, stored in zip(documents, there, strict=True)]
        # What is stored already was checked before it was: that takes a second or two of a processor.
        if any(changed):
            _check(paths)
        if not dry_run:
            store = store if store is not None else _create(server, database, report)
            for document, differing in zip(documents, changed, strict=True):
                if differing:
                    # Read again: building the indexes of the one before takes its time.
                    _write(store, document, store.get(document["_id"]), wait=wait, report=report)
                _remove_scratch(store, document)
        return list(itertools.chain.from_iterable(changed))


@contextlib.contextmanager
def _told(url: str, database: str) -> Iterator[None]:
    """Say in plain words what the database refuses."""
    try:
        yield
    except couchdb.http.Unauthorized as error:
        hint = "" if "@" in url else " (COUCHDB_URL=http://user:password@host:port logs in)"
        raise CommandError(f"{redact(url)} refuses to change {database}: {_said(error)}{hint}") from error
    except (couchdb.http.ResourceConflict, couchdb.http.ResourceNotFound) as error:
        raise CommandError(f"someone else pushes to {redact(url)}/{database} at this moment: push again") from error
    except couchdb.http.HTTPError as error:
        raise CommandError(f"{redact(url)}/{database}: {_said(error)}") from error
    except (OSError, ValueError) as error:
        raise CommandError(f"{redact(url)}/{database}: the connection broke: {error}") from error


def _check(paths: Iterable[Path]) -> None:
    findings = [finding for path in paths for finding in jscheck.check(path)]
    if findings:
        raise CommandError("\n".join(str(finding) for finding in findings))


def _open(server: couchdb.Server, name: str) -> couchdb.Database | None:
    try:
        # Not `name in server`: a HEAD request has no reason when it is refused.
        server.resource.get_json(name)
        return server[name]
    except couchdb.http.ResourceNotFound:
        return None


def _create(server: couchdb.Server, name: str, report: Callable[[str], object]) -> couchdb.Database:
    try:
        database = server.create(name)
    except couchdb.http.PreconditionFailed:
        # Another push created it in the meantime.
        return server[name]
    report(f"created the database {name}")
    return database


def _write(
    store: couchdb.Database, document: dict, stored: dict | None, *, wait: float, report: Callable[[str], object]
) -> None:
    """Store one changed design document; where its indexes must be built first, build them under a scratch name."""
    document = dict(document)
    if stored is not None:
        document["_rev"] = stored["_rev"]
        if "_attachments" in stored:
            document["_attachments"] = stored["_attachments"]
    reindex = designdocs.index_part(document) != designdocs.index_part(stored or {}) and document.get("views")
    # What is brought up to date only when somebody asks is not built ahead, either.
    if reindex and document.get("autoupdate") is not False and _holds_documents(store):
        scratch = _put_scratch(store, document)
        report(f"{document['_id']}: building the indexes while the old ones serve")
        warm(store, scratch, wait=wait)
        store.save(document)
        # Only an index that the new document has used stays open when the scratch document goes: without this, a
        # query at that moment fails.
        warm(store, document, wait=wait)
    else:
        store.save(document)


def _put_scratch(store: couchdb.Database, document: dict) -> dict:
    """Store the views alone under the scratch name: a second validation function would take part in every write."""
    scratch = {"_id": document["_id"] + SCRATCH, **designdocs.index_part(document)}
    scratch["purpose"] = f"builds the indexes of the next {document['_id']}; may be deleted"
    stored = store.get(scratch["_id"])
    if stored is not None:
        scratch["_rev"] = stored["_rev"]
    if stored is None or differences(scratch, stored):
        store.save(scratch)
    return store[scratch["_id"]]


def _remove_scratch(store: couchdb.Database, document: dict) -> None:
    """Remove the scratch document, of this push or of one that was given up, and the indexes that nothing uses now."""
    scratch = store.get(document["_id"] + SCRATCH)
    if scratch is not None:
        store.delete(scratch)
        store.cleanup()


def _holds_documents(store: couchdb.Database) -> bool:
    """Tell whether there is anything to index: a document that is no design document."""
    total = store.info()["doc_count"]
    designs = len(store.view("_all_docs", startkey="_design/", endkey="_design0").rows)
    return total > designs


def _leaves(tree: dict, prefix: str = "") -> dict[str, Any]:
    """Flatten nested objects into a mapping of path to leaf."""
    leaves = {}
    for key, value in tree.items():
        path = f"{prefix}{key}"
        if isinstance(value, dict) and value:
            leaves.update(_leaves(value, f"{path}."))
        else:
            leaves[path] = value
    return leaves


def _text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False)


def _said(error: Exception) -> str:
    """What a CouchDB error says: python-couchdb raises with (error, reason), or (status, (error, reason))."""
    value = error.args[0] if error.args else ""
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], tuple):
        value = value[1]
    if isinstance(value, tuple):
        return ": ".join(str(part) for part in value if part)
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns
    -------
    int
        0 when all is up to date; 1 when `--dry-run` found a difference; 2 for an error.
    """
    parser = cli.parser_of("push-views", __doc__)
    parser.add_argument("--url", help="database server; COUCHDB_URL, else the one that dicouch run uses")
    parser.add_argument("--database", default=database_name(), help="database (COUCHDB_DATABASE, default dicom)")
    parser.add_argument("--designdocs", default=designdocs.FOLDER, help="folder of the design documents")
    parser.add_argument("--extended", help="list of further attributes to index (EXTENDED_ATTRIBUTES)")
    parser.add_argument("--dry-run", action="store_true", help="print the difference; exit code 1 when there is one")
    parser.add_argument("--wait", type=float, default=DEFAULT_WAIT, help="seconds to wait for the indexes")
    options = cli.parse(parser, arguments)
    try:
        with choose.server(options.url) as url:
            changes = push(
                url,
                options.database,
                folder=options.designdocs,
                extended=options.extended,
                dry_run=options.dry_run,
                wait=options.wait,
                report=print,
            )
            place = f"{redact(url)}/{options.database}"
    except CommandError as error:
        print(f"push-views: {error}", file=sys.stderr)
        return 2
    for change in changes:
        print(change.diff() if options.dry_run else change)
    if not changes:
        print(f"{place} is up to date")
    return 1 if changes and options.dry_run else 0


if __name__ == "__main__":
    sys.exit(main())
