"""Replicate studies from one database to another, by the databases' own replicator.

    dicouch replicate http://admin:secret@first:5984/dicom http://admin:secret@second:5984/dicom
    dicouch replicate FROM TO --patient P1 --continuous
    dicouch replicate FROM TO --status
    dicouch replicate FROM TO --cancel

FROM and TO are URLs of databases, as both databases reach them. The replicator of TO copies, with --push that of FROM.
Run it the other way round as well where both sides store. docs/replication.md says what goes, and where bytes are.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

import orjson

from dicouch.config import basic_auth, split_url
from dicouch.couch.changelog import FORMAT
from dicouch.couch.client import Couch, segment
from dicouch.couch.response import CouchError
from dicouch.errors import DicomWebError
from dicouch.rewrite import requests
from dicouch.rewrite.selection import MODALITY, PATIENT, Selection, having
from dicouch.scripts import cli
from dicouch.scripts.connection import CommandError, connect
from dicouch.store import ATTACHED, NOWHERE
from dicouch.write.reconcile import Reconciler, mark

PREFIX = "dicouch-"
REPLICATOR, SCHEDULED = "_replicator", "_scheduler/docs/_replicator"
# Documents of one answer; seconds between two looks at a replication, and for which one that fails is waited for.
PAGE, LOOK, PATIENCE = 1000, 0.2, 30.0
NO_BYTES = """\
{source} keeps bytes of instances in a folder, such as {document} ({store}). A replicator copies documents and their \
attachments only. Either
- set BYTES_FROM of the server at {target} to the DICOMweb root of the first, with BYTES=folder:/path, and start it: \
it fetches bytes when they are asked for, and keeps them; or
- move the bytes into the database first: dicouch move-bytes --to attachment; or
- say --shared-bytes if the second server reaches the same folders (BYTES_SHARED, LINK_ROOTS)"""


def database_at(url: str) -> Couch:
    """Return the database at a URL that answers.

    Raises
    ------
    CommandError
        When there is none.
    """
    plain, credentials = split_url(url)
    root, _, name = plain.rpartition("/")
    if not name or root.endswith(("/", ":")):
        raise CommandError(f"{plain} names no database: it looks like http://host:5984/dicom")
    couch = Couch(root, unquote(name))
    couch.credentials = credentials
    connect(root if credentials is None else url.rstrip("/").rpartition("/")[0])
    try:
        couch.json("GET", "")
    except CouchError as problem:
        if problem.status != 404:
            raise
        raise CommandError(f"there is no database {plain}: start its server once, which makes it") from problem
    return couch


def address_of(couch: Couch) -> str:
    """Return the URL of a database without credentials."""
    return f"{couch.root}/{segment(couch.database)}"


def _endpoint(couch: Couch) -> dict[str, Any]:
    headers = {"Authorization": basic_auth(*couch.credentials)} if couch.credentials else {}
    return {"url": address_of(couch), "headers": headers}


def find(couch: Couch, selector: dict[str, Any], fields: Sequence[str], most: int = 0) -> Iterator[dict[str, Any]]:
    """Yield documents that match a selector, up to `most` unless that is 0."""
    skip = 0
    while True:
        size = min(PAGE, most) if most else PAGE
        body = {"selector": selector, "fields": list(fields), "limit": size, "skip": skip}
        docs = couch.json("POST", "_find", body=body, writes=())["docs"]
        yield from docs
        skip += len(docs)
        if len(docs) < size or most:
            return


def selector_of(source: Couch, selection: Selection) -> dict[str, Any]:
    """Return the selector of a selection: documents that belong together go together.

    What headers say counts, which people may have corrected and instances may contradict.
    """
    if selection.patient:
        asked = requests.patient_studies(selection.patient.strip(" "))
        rows = source.json(asked.method, asked.path, params={**asked.params, "include_docs": "true"})["rows"]
        wanted = [row["doc"] for row in rows if _value(row["doc"], PATIENT) == selection.patient]
        return selection.selector(studies=[header["_id"].partition(":")[0] for header in wanted])
    if selection.modality:
        # Those that instances contradict, or people corrected: their instances may say another modality.
        parts = [f"{name}.{MODALITY}" for name in ("variants", "fixes")]
        chosen = list(find(source, {"type": "series", **having(MODALITY, selection.modality)}, ["_id", *parts]))
        series = [one["_id"] for one in chosen if len(one) > 1 and any(one.get(name) for name in ("variants", "fixes"))]
        # Headers of before they began with keywords.
        older = {
            one["_id"] for one in find(source, {"type": "study", "ModalitiesInStudy": {"$exists": False}}, ["_id"])
        }
        studies = {f"{one['_id'].partition(':')[0]}:study" for one in chosen}
        contradicted = {f"{one.partition(':')[0]}:study" for one in series}
        return selection.selector(series=series, headers=sorted(studies & older | contradicted))
    if selection.since:
        ids = [one["_id"].split(":") for one in find(source, selection.conditions()[0], ["_id"])]
        headers = {f"{study}:study" for study, *_rest in ids} | {f"{study}:{series}" for study, series, _one in ids}
        return selection.selector(headers=sorted(headers))
    return selection.selector()


def _value(header: dict[str, Any], tag: str) -> str:
    return str((header["dataset"].get(tag, {}).get("Value") or [""])[0])


class Replication:
    """One replication between two databases, and its document.

    Parameters
    ----------
    source, target : Couch
    selection : Selection
    continuous : bool
    push : bool
        Whether the replicator of `source` copies.
    """

    def __init__(
        self, source: Couch, target: Couch, selection: Selection, *, continuous: bool = False, push: bool = False
    ) -> None:
        self.source, self.target = source, target
        self.selection = selection
        self.continuous = continuous
        own = source if push else target
        self.host = Couch(own.root, REPLICATOR)
        self.host.credentials = own.credentials
        self.scheduler = Couch(own.root, SCHEDULED.partition("/")[0])
        self.scheduler.credentials = own.credentials
        about = [address_of(source), address_of(target), asdict(selection), continuous]
        self.id = PREFIX + hashlib.sha256(orjson.dumps(about)).hexdigest()[:24]

    def check_bytes(self, selector: dict[str, Any]) -> None:
        """Refuse where the second server could not give the bytes of instances.

        Raises
        ------
        CommandError
        """
        found = next(self._in_folders(selector["$or"]), None)
        if found and not os.environ.get("BYTES_FROM", "").strip() and not Reconciler(self.target).fetches():
            told = {"document": found["_id"], "store": found["file"]["store"]}
            raise CommandError(NO_BYTES.format(source=address_of(self.source), target=address_of(self.target), **told))

    def _in_folders(self, parts: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Yield instances whose bytes are no attachments; each part is asked for alone, as both databases can."""
        for part in parts:
            if "_deleted" not in part and "instance" in str(part.get("type", "instance")):
                wanted = {**part, "type": "instance", "file.store": {"$nin": [ATTACHED, NOWHERE]}}
                yield from find(self.source, wanted, ["_id", "file.store"], 1)

    def start(self, *, shared_bytes: bool = False) -> None:
        """Let the replicator begin, anew where it is done with the same."""
        selector = selector_of(self.source, self.selection)
        if not shared_bytes:
            self.check_bytes(selector)
        for couch in (self.source, self.target):
            try:
                mark(couch, partial=self.selection.is_partial)
            except CouchError as problem:
                if problem.status != 403:
                    raise
                raise CommandError(
                    f"{address_of(couch)} refuses the mark of databases that are replicated: {problem.reason}. It "
                    "needs an account that may write, once; an older design document is replaced by dicouch push-views"
                ) from problem
        try:
            self.host.json("PUT", "")
        except CouchError as problem:
            if problem.status != 412:
                raise
        document = {
            "source": _endpoint(self.source),
            "target": _endpoint(self.target),
            "selector": selector,
            "continuous": self.continuous,
        }
        self.end([self.id])
        self.host.json("PUT", self.id, body=document)

    def listed(self) -> list[dict[str, Any]]:
        """Return the documents of all replications between the two that this command began."""
        params = {"include_docs": "true", "startkey": orjson.dumps(PREFIX).decode(), "endkey": '"dicouch-\ufff0"'}
        try:
            rows = self.host.json("GET", "_all_docs", params=params)["rows"]
        except CouchError as problem:
            if problem.status == 404:
                return []
            raise
        ends = address_of(self.source), address_of(self.target)
        return [row["doc"] for row in rows if (row["doc"]["source"]["url"], row["doc"]["target"]["url"]) == ends]

    def end(self, ids: Sequence[str]) -> list[str]:
        """End replications; return those that were there."""
        ended = []
        for one in ids:
            if document := self.host.get(one):
                self.host.json("DELETE", one, params={"rev": document["_rev"]})
                ended.append(one)
        return ended

    def state(self, document_id: str) -> dict[str, Any]:
        """Return what the replicator says of one; one that it has not seen yet is ``initializing``."""
        try:
            told: dict[str, Any] = self.scheduler.json("GET", f"docs/{REPLICATOR}/{document_id}")
            return told
        except CouchError as problem:
            if problem.status == 404:
                return {"state": "initializing", "info": None}
            raise

    def wait(self) -> dict[str, Any]:
        """Wait until it is complete; return what the replicator says.

        Raises
        ------
        CommandError
            It failed, or does not succeed for a while.
        """
        failing = 0.0
        while True:
            told = self.state(self.id)
            if told["state"] == "completed":
                return told
            if told["state"] == "failed":
                raise CommandError(f"the replication failed: {problem_of(told)}")
            failing = (failing or time.monotonic()) if told["state"] in ("crashing", "error") else 0.0
            if failing and time.monotonic() - failing > PATIENCE:
                self.end([self.id])
                raise CommandError(f"the replication does not succeed: {problem_of(told)}")
            time.sleep(LOOK)


def problem_of(told: dict[str, Any]) -> str:
    """Return what is wrong with a replication, as the replicator says."""
    info = told.get("info") or {}
    return str(info.get("error") or told.get("reason") or "") if isinstance(info, dict) else str(info)


def _line(document_id: str, told: dict[str, Any], document: dict[str, Any] | None = None) -> str:
    info = told.get("info") if isinstance(told.get("info"), dict) else {}
    counts = f"{info.get('docs_written') or 0} documents written" if info else "nothing copied yet"
    if info and info.get("doc_write_failures"):
        counts += f", {info['doc_write_failures']} refused"
    kind = "continuous" if document and document.get("continuous") else "once"
    problem = problem_of(told)
    return f"{document_id}  {kind:<10}  {told['state']:<12}  {problem or counts}"


def show(replication: Replication) -> int:
    """Print the states of all replications between two databases; 1 when one fails."""
    failing = False
    documents = replication.listed()
    for document in documents:
        told = replication.state(document["_id"])
        failing |= told["state"] in ("crashing", "error", "failed")
        print(_line(document["_id"], told, document))
    if not documents:
        print("no replication between the two")
    return int(failing)


def run(replication: Replication, *, shared_bytes: bool) -> int:
    """Replicate once, or begin to."""
    replication.start(shared_bytes=shared_bytes)
    if replication.continuous:
        print(f"{replication.id}: goes on until it is cancelled; --status says how")
        return 0
    try:
        told = replication.wait()
    except KeyboardInterrupt:
        replication.end([replication.id])
        raise
    # At once, also where no server runs that would do it.
    found = Reconciler(replication.target).catch_up(remember=False)
    print(_line(replication.id, told))
    if found.differing:
        print(f"{len(found.differing)} instances with other content on each side, such as {found.differing[0]}")
    return int(bool((told.get("info") or {}).get("doc_write_failures")))


def _moment(text: str) -> str:
    """Read a day or a time, as documents have it, whose texts are compared; what names no offset from UTC is UTC."""
    try:
        read = datetime.fromisoformat(text)
    except ValueError as problem:
        raise argparse.ArgumentTypeError(f"{text!r} is no date or time such as 2026-11-27T08:00") from problem
    read = read if read.tzinfo else read.replace(tzinfo=UTC)
    return read.astimezone(UTC).strftime(FORMAT)


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.parser_of("replicate", __doc__)
    parser.add_argument("source", metavar="FROM", help="http://user:password@host:5984/database")
    parser.add_argument("target", metavar="TO", help="likewise; its server has made it before")
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--study", metavar="UID", help="only this study")
    chosen.add_argument("--patient", metavar="ID", help="only studies of the patient with this Patient ID")
    chosen.add_argument("--modality", metavar="CODE", help="only series of this modality, such as CT")
    chosen.add_argument("--since", metavar="TIME", type=_moment, help="only instances stored from then on (UTC)")
    parser.add_argument("--continuous", action="store_true", help="go on with what is stored and deleted later")
    parser.add_argument("--push", action="store_true", help="the replicator of FROM copies, not that of TO")
    parser.add_argument("--designs", action="store_true", help="design documents as well")
    parser.add_argument("--queue", action="store_true", help="what waits to be forwarded or reported as well")
    parser.add_argument("--shared-bytes", action="store_true", help="the second server reaches the same folders")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--status", action="store_true", help="say how all replications from FROM to TO go")
    what.add_argument("--cancel", action="store_true", help="end them; with a selection or --continuous, that one")
    return cli.parse(parser, arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns
    -------
    int
        0 when it is done, 1 when something was refused or fails, 2 when nothing could be done.
    """
    options = _arguments(arguments)
    names = ("study", "patient", "modality", "since", "designs", "queue")
    selection = Selection(**{name: getattr(options, name) for name in names})
    try:
        source, target = database_at(options.source), database_at(options.target)
        if address_of(source) == address_of(target):
            raise CommandError("FROM and TO are the same database")
        replication = Replication(source, target, selection, continuous=options.continuous, push=options.push)
        if options.status:
            return show(replication)
        if options.cancel:
            all_of_them = selection == Selection() and not options.continuous
            ids = [one["_id"] for one in replication.listed()] if all_of_them else [replication.id]
            ended = replication.end(ids)
            print("\n".join(f"{one}: ended" for one in ended) or "there is no such replication")
            return 0 if ended else 1
        return run(replication, shared_bytes=options.shared_bytes)
    except (ValueError, CommandError, CouchError, DicomWebError) as problem:
        print(f"replicate: {problem}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
