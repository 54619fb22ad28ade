"""What documents need that came from other servers by replication: one header of several, and what its instances say.

Each server does this for itself, and all come to the same: what is written is made of revisions and instances alone,
and its revision of what is written. So it is one revision wherever it is made, and no conflict (docs/replication.md).
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from dicouch.config import split_url
from dicouch.couch.client import Couch, segment
from dicouch.couch.response import CouchError
from dicouch.errors import DicomWebError
from dicouch.rewrite import requests
from dicouch.store import ATTACHED, DATASET, FOLDER, LINK, NOWHERE
from dicouch.store.places import Bytes

LOG = logging.getLogger(__name__)

# Documents that say that a database exchanges documents with others; that with some it exchanges a part of a study.
MARK, PARTIAL = "replication", "replication-partial"
# How far the changes were looked at, and where the server of this database fetches bytes; neither is replicated.
CHECKPOINT, FETCHES = "_local/reconciled", "_local/bytes-from"
# Changes of an answer, and those after which the studies they are of are looked at: each of them once.
CHANGES, MOST = 1000, 50_000
ATTEMPTS = 16
# Seconds between two looks at a database that is replicated, and at one that may be some day; how much longer than it
# took a look is not followed by another.
PAUSE, IDLE_PAUSE, REST = 1.0, 3.0, 3
# Seconds after which a study is looked at again with which something was wrong, the first time and at last.
AGAIN, RARELY = 10.0, 3600.0


def order(revision: str) -> tuple[int, str]:
    """Return by what databases choose between revisions in conflict: the greatest is what is read."""
    number, _, name = revision.partition("-")
    return int(number), name


def child(parent: dict[str, Any] | None, body: dict[str, Any], beside: Iterable[str] = ()) -> dict[str, Any]:
    """Return a document as a revision behind `parent` whose name is made of its content.

    Parameters
    ----------
    parent : dict or None
        With ``_revisions``.
    body : dict
        Without a revision.
    beside : iterable of str
        Revisions that it took something of, as well.
    """
    before: dict[str, Any] = parent["_revisions"] if parent else {"start": 0, "ids": []}
    told = orjson.dumps([before["ids"][:1], sorted(beside), body], option=orjson.OPT_SORT_KEYS)
    name = hashlib.md5(told, usedforsecurity=False).hexdigest()
    start = before["start"] + 1
    revisions = {"start": start, "ids": [name, *before["ids"]]}
    return {**body, "_rev": f"{start}-{name}", "_revisions": revisions}


def tombstone(leaf: dict[str, Any], **fields: object) -> dict[str, Any]:
    """Return what ends a revision that is in conflict."""
    return child(leaf, {"_id": leaf["_id"], "_deleted": True, **fields})


def is_live(leaf: dict[str, Any]) -> bool:
    """Return whether a leaf of a document's tree is no deletion."""
    return not leaf.get("_deleted")


def mark(couch: Couch, *, partial: bool = False) -> None:
    """Let a database know that it exchanges documents with others; the mark itself is replicated, as one revision.

    Nothing is written where it is there: an account that only reads will do then.
    """
    told = "exchanges documents with other servers"
    marks = {MARK: told, **({PARTIAL: f"{told}, of some studies a part"} if partial else {})}
    marks = {one: text for one, text in marks.items() if couch.get(one) is None}
    if not marks:
        return
    docs = [child(None, {"_id": one, "type": "replication", "summary": text}) for one, text in marks.items()]
    answer = couch.json("POST", "_bulk_docs", body={"docs": docs, "new_edits": False}, writes=list(marks))
    if refused := [row for row in answer if "error" in row]:
        raise CouchError.of_row(refused[0])


@dataclass
class Found:
    """What a look at the changes came to.

    Attributes
    ----------
    written : int
        Revisions that were written.
    differing : list of str
        Instances of which servers stored different content: ids of documents.
    """

    written: int = 0
    differing: list[str] = field(default_factory=list)


class Reconciler:
    """Brings documents that came by replication in line, in one database.

    Parameters
    ----------
    couch : Couch
        With the server's own credentials.
    store : Bytes, optional
        Whose files go with instances that another server deleted.
    """

    def __init__(self, couch: Couch, store: Bytes | None = None) -> None:
        self.couch = couch
        self.store = store
        # Of studies with which something was wrong: when they are looked at again, and how long after that.
        self._again: dict[str, tuple[float, float]] = {}

    def is_replicated(self) -> bool:
        """Return whether the database exchanges documents with others."""
        return self.couch.get(MARK) is not None

    def catch_up(self, *, remember: bool = True) -> Found:
        """Look at all changes since the last time, here or in another process.

        Without `remember` the server of the database looks at them again, and removes files.
        """
        found = Found()
        state = self._local(CHECKPOINT) or {}
        partial = self.couch.get(PARTIAL) is not None
        since = state.get("since", 0)
        self._again = {study: self._again.get(study, (0.0, AGAIN)) for study in state.get("again", [])}
        due = {study for study, (when, _pause) in self._again.items() if when <= time.monotonic()}
        count = MOST
        while count == MOST:
            count, since, studies = self._read(since)
            for study in sorted(studies | due):
                self._try(study, partial, found)
            due = set()
            if remember and (count or sorted(self._again) != state.get("again", [])):
                state = self._remember({**state, "again": sorted(self._again)}, since)
        return found

    def _read(self, since: object) -> tuple[int, object, set[str]]:
        """Return how many changes there are, up to `MOST`, the last one, and their studies."""
        studies: set[str] = set()
        for start in range(0, MOST, CHANGES):
            asked = requests.changes(since, CHANGES, style="all_docs")
            told = self.couch.json(asked.method, asked.path, params=asked.params)
            studies |= {change["id"].partition(":")[0] for change in told["results"] if ":" in change["id"]}
            self._discard(told["results"])
            since = told["last_seq"]
            if len(told["results"]) < CHANGES:
                return start + len(told["results"]), since, studies
        return MOST, since, studies

    def _try(self, study: str, partial: bool, found: Found) -> None:
        """Bring a study in line; one with which anything is wrong must not keep all others waiting.

        Where the database does not answer, or lets nobody in, none can be.
        """
        try:
            self.study(study, partial, found)
        except CouchError as problem:
            if problem.status == 401:
                raise
            self._told_later(study, problem, later=problem.status not in (400, 403, 409, 413))
        except DicomWebError as problem:
            self.couch.json("GET", "")  # raises as well where it is not about this study
            self._told_later(study, problem)
        except Exception as problem:  # noqa: BLE001 - such as of a document that others wrote, of another form
            self._told_later(study, problem)
        else:
            self._again.pop(study, None)

    def _told_later(self, study: str, problem: Exception, *, later: bool = True) -> None:
        """Log what is wrong with a study; look at it again, more and more rarely, unless it is refused for good."""
        known = isinstance(problem, CouchError | DicomWebError)
        LOG.warning("the headers of study %s are not brought in line: %s", study, problem, exc_info=not known)
        _when, pause = self._again.pop(study, (0.0, AGAIN))
        if later:
            self._again[study] = time.monotonic() + pause, min(2 * pause, RARELY)

    def tell_fetches(self, roots: Sequence[str]) -> None:
        """Keep in the database from where its server fetches bytes, so that `dicouch replicate` knows."""
        known = self._local(FETCHES) or {}
        told = [split_url(root)[0] for root in roots]
        if known.get("from", []) != told:
            self.couch.json("PUT", FETCHES, body={**known, "from": told}, writes=())

    def fetches(self) -> list[str]:
        """Return the servers from which that of this database fetches bytes."""
        return list((self._local(FETCHES) or {}).get("from", []))

    def _local(self, path: str) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = self.couch.json("GET", path)
            return found
        except CouchError as problem:
            if problem.status == 404:
                return None
            raise

    def _remember(self, state: dict[str, Any], since: object) -> dict[str, Any]:
        """Keep how far it came; another process that does the same may be ahead."""
        state = {**state, "since": since}
        try:
            told = self.couch.json("PUT", CHECKPOINT, body=state, writes=())
        except CouchError as problem:
            if problem.status != 409:
                raise
            return {**(self._local(CHECKPOINT) or {}), "since": since}
        return {**state, "_rev": told["rev"]}

    def study(self, study: str, partial: bool, found: Found | None = None) -> Found:
        """Bring the headers of a study in line with each other and with its instances."""
        found = found or Found()
        leaves: dict[str, list[dict[str, Any]]] = {}
        for _attempt in range(ATTEMPTS):
            asked = requests.reconciled_headers(study, leaves, partial)
            told = self.couch.json(asked.method, asked.path, params=asked.params, body=asked.body)
            if told["asked"]:
                leaves = {one: self._live(one) for one in told["asked"]}
                continue
            for one in told["instances"]:
                self._instance(one, found)
            written = [self._write(one, found) for one in told["docs"]]
            if all(written):
                return found
            leaves = {}
        raise CouchError(409, "conflict", f"the headers of study {study} are written by others all the time")

    def _leaves(self, document_id: str) -> list[dict[str, Any]]:
        """Return all leaves of a document's tree, the one that is read first; deletions are among them."""
        try:
            told = self.couch.json("GET", segment(document_id), params={"open_revs": "all", "revs": "true"})
        except CouchError as problem:
            if problem.status == 404:
                return []
            raise
        leaves = [one["ok"] for one in told if "ok" in one]
        return sorted(leaves, key=lambda leaf: (is_live(leaf), order(leaf["_rev"])), reverse=True)

    def _live(self, document_id: str) -> list[dict[str, Any]]:
        return [without_history(leaf) for leaf in self._leaves(document_id) if is_live(leaf)]

    def _write(self, made: dict[str, Any], found: Found) -> bool:
        """Write a header in the place of all its revisions; return whether these are still those it was made of."""
        header = made["header"]
        leaves = self._leaves(header["_id"])
        live = [leaf for leaf in leaves if is_live(leaf)]
        if sorted(leaf["_rev"] for leaf in live) != sorted(made["leaves"]):
            return False
        body = {name: value for name, value in header.items() if not name.startswith("_") or name == "_id"}
        docs = [child(leaves[0] if leaves else None, body, [leaf["_rev"] for leaf in live[1:]])]
        self._put([*docs, *(tombstone(leaf) for leaf in live[1:])], found)
        return True

    def _put(self, docs: list[dict[str, Any]], found: Found) -> None:
        body = {"docs": docs, "new_edits": False}
        told = self.couch.json("POST", "_bulk_docs", body=body, writes=[docs[0]["_id"]])
        if refused := [row for row in told if "error" in row]:
            raise CouchError.of_row(refused[0])
        found.written += len(docs)

    def _instance(self, document_id: str, found: Found) -> None:
        """Keep one revision of an instance that several servers stored with the same bytes.

        Of different bytes none goes: the database chooses what is read, the same everywhere, and has the rest. Metadata
        alone give way to any bytes.
        """
        live = [leaf for leaf in self._leaves(document_id) if is_live(leaf)]
        files = [leaf for leaf in live if leaf["file"]["store"] != NOWHERE]
        gone = [leaf for leaf in live if leaf not in files] if files else []
        live = files or live
        contents = [content_of(leaf) for leaf in live]
        differ = len(set(contents)) > 1
        if differ:
            found.differing.append(document_id)
        same = [leaf for leaf, content in zip(live, contents, strict=True) if content == contents[0]]
        attached = [leaf for leaf in same if leaf["file"]["store"] == ATTACHED]
        kept = attached[0] if attached and not differ else same[0] if same else None
        gone += [leaf for leaf in same if leaf is not kept]
        if kept is None or not gone:
            return
        if self.store is None and any(leaf["file"]["store"].startswith((FOLDER, LINK)) for leaf in gone):
            return  # for the server, which reaches the files
        spare = [leaf["file"] for leaf in gone if self._is_spare(document_id, leaf["file"], kept["file"])]
        self._put([tombstone(leaf, **of_file(leaf["file"])) for leaf in gone], found)
        for file in spare:
            self._drop(document_id, file, kept["file"])

    def _is_spare(self, document_id: str, file: dict[str, Any], kept: dict[str, Any]) -> bool:
        """Return whether a file may go, as its bytes, if they are here, are here by the name that is kept, too."""
        if self.store is None:
            return False
        try:
            self.store.adopt(file, kept)
        except (DicomWebError, OSError) as problem:
            LOG.error("a file of %s stays, `dicouch check` finds it: %s", document_id, problem)
            return False
        return True

    def _drop(self, document_id: str, file: dict[str, Any], *kept: dict[str, Any]) -> None:
        try:
            if self.store is not None:
                self.store.discard(file, *kept)
        except OSError as problem:
            LOG.error("the file of %s stays, `dicouch check` finds it: %s", document_id, problem)

    def _discard(self, changes: list[dict[str, Any]]) -> None:
        """Remove the files of revisions that another server ended; what is not in a folder of this one stays."""
        if self.store is None or not self.store.has_folders:
            return
        asked = [
            {"id": change["id"], "rev": leaf["rev"]}
            for change in changes
            if change["id"].count(":") == 2 and (change.get("deleted") or len(change["changes"]) > 1)
            for leaf in change["changes"]
        ]
        if not asked:
            return
        told = self.couch.json("POST", "_bulk_get", body={"docs": asked}, writes=())
        leaves: dict[str, list[dict[str, Any]]] = {}
        for one in (one["ok"] for result in told["results"] for one in result["docs"] if "ok" in one):
            leaves.setdefault(one["_id"], []).append(one)
        for document_id, those in leaves.items():
            kept = [leaf["file"] for leaf in those if is_live(leaf) and "file" in leaf]
            for gone in [leaf["file"] for leaf in those if not is_live(leaf) and "store" in leaf.get("file", {})]:
                # Of the same bytes, as their name or their digest says: another server kept its own file of two.
                same = [
                    one for one in kept if one.get("sha256") and one["sha256"] in (gone.get("sha256") or gone["store"])
                ]
                if not same or self._is_spare(document_id, {**same[0], **gone}, same[0]):
                    self._drop(document_id, gone, *kept)


def content_of(leaf: dict[str, Any]) -> str:
    """Return what tells the bytes of an instance from others; of one that has none, its data set."""
    if leaf["file"]["store"] != NOWHERE:
        return str(leaf["file"].get("sha256") or leaf["_rev"])  # bytes without a digest may be any
    large = leaf.get("_attachments", {}).get(DATASET, {}).get("digest")
    return hashlib.sha256(orjson.dumps([leaf.get("dataset"), large], option=orjson.OPT_SORT_KEYS)).hexdigest()


def of_file(file: dict[str, Any]) -> dict[str, Any]:
    """Return what the deletion of an instance tells other servers: which of their files goes with it.

    Of a linked file that is the digest, by which others keep what they fetched; its path may name a patient.
    """
    if file["store"].startswith(LINK) and "sha256" in file:
        return {"file": {"store": LINK, "sha256": file["sha256"]}}
    return {"file": {"store": file["store"]}} if file["store"].startswith(FOLDER) else {}


def without_history(leaf: dict[str, Any]) -> dict[str, Any]:
    """Return a revision without those before it."""
    return {name: value for name, value in leaf.items() if name != "_revisions"}


class Following:
    """Reconciles in a thread, while the server runs."""

    def __init__(self, reconciler: Reconciler, fetches: Sequence[str] = ()) -> None:
        self._reconciler = reconciler
        self._fetches: Sequence[str] | None = fetches
        self._told = ""

    def start(self) -> None:
        """Begin; in one process of a server."""
        threading.Thread(target=self._run, name="reconcile", daemon=True).start()

    def _run(self) -> None:
        while True:
            began = time.monotonic()
            time.sleep(self.turn() + REST * (time.monotonic() - began))

    def turn(self) -> float:
        """Look once; return for how many seconds there is nothing to do."""
        try:
            if self._fetches is not None:
                self._reconciler.tell_fetches(self._fetches)
                self._fetches = None
            if not self._reconciler.is_replicated():
                return IDLE_PAUSE
            self._reconciler.catch_up()
            self._told = ""
        except (CouchError, DicomWebError, OSError) as problem:
            if str(problem) != self._told:
                LOG.warning("headers of replicated studies are not brought in line: %s", problem)
            self._told = str(problem)
            return IDLE_PAUSE
        except Exception:  # noqa: BLE001 - without this thread nothing would be brought in line any more
            LOG.exception("bringing headers of replicated studies in line")
            return IDLE_PAUSE
        return PAUSE
