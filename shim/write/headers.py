"""Study and series headers: the design document merges into them what instances bring, or makes them anew."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial

import orjson

from dicouch.couch import patience
from dicouch.couch.client import Couch, Pending, segment
from dicouch.couch.memory import REVISION, Memory
from dicouch.couch.response import CouchError
from dicouch.errors import DicomWebError
from dicouch.rewrite import requests
from dicouch.rewrite.requests import DESIGN
from dicouch.tables import BESIDE_TAGS, SERIES_TAGS, STUDY_TAGS, pick

# When many clients write a header at once, each round one of them wins: so many may merge at the same time.
ATTEMPTS = 64
# Sets of attributes that are remembered of one header. Most have one a series; broken ones have one an instance.
DIGESTS = 1024
# Changes of the database that are looked at one by one.
CHANGES = 1000
# Merges of one batch that CouchDB works on at a time.
AT_ONCE = 8


@dataclass(frozen=True)
class Holds:
    """What is remembered of one header at one of its revisions."""

    revision: str
    digests: frozenset[bytes]  # of what was merged into it
    variants: list[str]  # tags that have several values

    def with_merged(self, digest: bytes, before: str | None, revision: str, variants: list[str]) -> Holds:
        """Return what is known when something was merged, which made `revision` of the revision `before`."""
        # Behind another revision nobody knows whether it still holds what it did; merging once more changes nothing.
        follows = self.revision in (before, revision) and len(self.digests) < DIGESTS
        return Holds(revision, (self.digests if follows else frozenset()) | {digest}, variants)


@dataclass(frozen=True)
class Merge:
    """What one instance brings to one header: the body of an ``_update`` and its digest."""

    kind: str
    document_id: str
    body: bytes
    digest: bytes


def _merges(study: str, series: str, dataset: dict) -> list[Merge]:
    modality = (dataset.get("00080060", {}).get("Value") or [""])[0]
    merges = []
    for kind, name, tags in (("study", "study", STUDY_TAGS), ("series", series, SERIES_TAGS)):
        document_id = f"{study}:{name}"
        body = orjson.dumps({"series": series, "modality": modality, "attributes": pick(dataset, tags | BESIDE_TAGS)})
        merges.append(Merge(kind, document_id, body, hashlib.sha256(document_id.encode() + body).digest()))
    return merges


def current_revisions(couch: Couch, authorization: str | None, ids: list[str]) -> list[str | None]:
    """Return the revision of each of some documents, None of one that is not there."""
    keys = sorted(set(ids))
    rows = couch.json("POST", "_all_docs", body={"keys": keys}, authorization=authorization)["rows"]
    found = {row["id"]: row["value"]["rev"] for row in rows if "id" in row and not row["value"].get("deleted")}
    return [found.get(document_id) for document_id in ids]


@dataclass(frozen=True)
class Merging:
    """The headers into which threads of a process merge now; each has an event that ends with it.

    Whoever stores into the same series at the same time, in one request or in several, mostly brings the same: the
    first merges into a header and the others wait for it. If all merged at once, most would be refused as conflicts.
    """

    running: dict[str, threading.Event] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)


class Headers:
    """The headers of one database, as one request's client may write them.

    `memory` has what the process knows of headers already; `revisions` asks for several requests what
    `current_revisions` asks for one; `merging` is that of the process.
    """

    def __init__(
        self,
        couch: Couch,
        memory: Memory,
        authorization: str | None = None,
        revisions: Callable[[str | None, list[str]], list[str | None]] | None = None,
        merging: Merging | None = None,
    ) -> None:
        self.couch = couch
        self.memory = memory
        self.authorization = authorization
        self._revisions = revisions or partial(current_revisions, couch)
        # What this request has merged, by digest: the header revision that has it, and the variants that came of it.
        self._merged: dict[bytes, tuple[Merge, str | None, list[str]]] = {}
        self._merging = merging or Merging()

    def merge(self, places: list[tuple[str, str, dict]]) -> list[list[bytes]]:
        """Bring the headers of instances up to date, before the instances themselves are written.

        A header without instances is not listed, so a crash in between shows nothing. What this process has merged
        before is not merged again: `settle` looks whether it is still there, after the instances are written.

        Of each instance `places` has study UID, series UID and data set (DICOM JSON Model), and the result the digests
        of what was merged, for `variants`.
        """
        wanted = [_merges(*place) for place in places]
        left = {merge.digest: merge for merges in wanted for merge in merges}
        while left:
            mine, others = self._claim(left.values())
            try:
                self._merge(mine)
            finally:
                with self._merging.lock:
                    for document_id in {merge.document_id for merge in mine}:
                        self._merging.running.pop(document_id).set()
            began = time.monotonic()
            for running in others:
                patience.wait_for(running, self.couch.timeout)
            # What another thread failed at is tried once more, so that each instance gets an answer of its own.
            left = {digest: merge for digest, merge in left.items() if digest not in self._merged}
            if others and left:
                patience.spend(time.monotonic() - began)
        return [[merge.digest for merge in merges] for merges in wanted]

    def _claim(self, left: Iterable[Merge]) -> tuple[list[Merge], list[threading.Event]]:
        """Return what this thread is to merge, and events that end when others have merged into the other headers."""
        mine: dict[str, list[Merge]] = {}
        others = []
        running = self._merging.running
        with self._merging.lock:
            for merge in left:
                if merge.document_id in mine:
                    mine[merge.document_id].append(merge)
                elif merge.document_id in running:
                    others.append(running[merge.document_id])
                elif merge.digest not in self._merged:
                    running[merge.document_id] = threading.Event()
                    mine[merge.document_id] = [merge]
        return [merge for merges in mine.values() for merge in merges], others

    def _merge(self, merges: list[Merge]) -> None:
        """Merge what is not known to be merged: into several headers at a time, into each one after the other."""
        asked: dict[str, list[Merge]] = {}
        for merge in merges:
            known = self._held(merge.document_id)
            if known is None or merge.digest not in known.digests:
                asked.setdefault(merge.document_id, []).append(merge)
            else:
                self._merged[merge.digest] = (merge, known.revision, known.variants)
        problems = []
        while asked:
            turn = [more.pop(0) for more in list(asked.values())[:AT_ONCE]]
            for merge, pending in [(merge, self._ask(merge)) for merge in turn]:
                try:
                    self._update(merge, pending)
                except (CouchError, DicomWebError) as problem:
                    problems.append(problem)
            asked = {document_id: more for document_id, more in asked.items() if more}
        if problems:
            raise problems[0]

    def written(self, merged: list[bytes]) -> tuple[str, ...]:
        """Return the ids of the headers into which something was merged."""
        return tuple(self._merged[digest][0].document_id for digest in merged)

    def variants(self, merged: list[bytes]) -> list[str]:
        """Return the tags of which an instance's study or series has several values."""
        return [tag for digest in merged for tag in self._merged[digest][2]]

    def settle(self, seen: dict[str, str | None]) -> None:
        """Merge again into headers that others deleted or wrote meanwhile; the instances are written by now.

        Only after this is a request answered. A deletion looks for instances once more after it has removed headers
        (`rebuild`), so one of the two sees what the other did. `seen` has revisions of headers after every write of the
        request, None where there was none.
        """
        merges = list(self._merged.values())
        current = dict(seen)
        ids = sorted({merge.document_id for merge, *_rest in merges} - current.keys())
        if ids:
            current |= zip(ids, self._revisions(self.authorization, ids), strict=True)
        gone = set()
        for merge, revision, _variants in merges:
            if current[merge.document_id] is None:
                gone.add(merge.document_id.partition(":")[0])
            elif current[merge.document_id] != revision:
                known = self._held(merge.document_id)
                if known is None or merge.digest not in known.digests or known.revision != current[merge.document_id]:
                    self._update(merge)
        for study in sorted(gone):
            self.rebuild(study)

    def _held(self, document_id: str) -> Holds | None:
        """Return what is remembered of a header; `settle` asks CouchDB whether that is so."""
        return self.memory.recall(REVISION, ("merged", document_id), self.authorization, admitted=True)

    def _ask(self, merge: Merge) -> Pending:
        return self.couch.start(
            "PUT",
            f"{DESIGN}/_update/{merge.kind}/{segment(merge.document_id)}",
            body=merge.body,
            headers={"Content-Type": "application/json"},
            authorization=self.authorization,
        )

    def _update(self, merge: Merge, pending: Pending | None = None) -> None:
        held, token = self._held(merge.document_id), self.memory.token(REVISION)
        for attempt in range(ATTEMPTS):
            try:
                answer = (pending or self._ask(merge)).answer()
            except CouchError as problem:
                # Another writer was first: merge into what it wrote.
                if problem.status != 409 or attempt == ATTEMPTS - 1:
                    raise
                pending = None
                continue
            told = orjson.loads(answer.read())
            before = told.get("revision")
            revision = answer.headers.get("X-Couch-Update-NewRev") or before
            if revision:
                known = held or Holds(revision, frozenset(), [])
                known = known.with_merged(merge.digest, before, revision, told["variants"])
                key, size = ("merged", merge.document_id), 200 + 90 * len(known.digests)
                self.memory.remember(REVISION, key, self.authorization, known, token, size)
            self._merged[merge.digest] = (merge, revision, told["variants"])
            return
        raise AssertionError("unreachable")

    def rebuild(self, study: str) -> int:
        """Make the headers of a study anew from its instances; remove those of a series or study that has none left.

        Return how many headers were written or removed. CouchError when the database refuses one of them.
        """
        written = 0
        for _attempt in range(ATTEMPTS):
            since = requests.state_of(self._ask_for(requests.information()))[1]
            wanted = self._ask_for(requests.rebuilt_headers(study))["docs"]
            if not wanted:
                return written
            ids, body = [document["_id"] for document in wanted], {"docs": wanted}
            answer = self.couch.json("POST", "_bulk_docs", body=body, authorization=self.authorization, writes=ids)
            # A header that someone merged into meanwhile is refused; then everything is read again. The same when an
            # instance was written since the instances were read: what it had merged before is in no header now.
            refused = [row for row in answer if "error" in row]
            written += len(wanted) - len(refused)
            if others := [row for row in refused if row["error"] != "conflict"]:
                raise CouchError.of_row(others[0])
            if not refused and not self._was_stored_in(study, since):
                return written
        raise CouchError(409, "conflict", f"the headers of study {study} are written by others all the time")

    def _was_stored_in(self, study: str, since: str) -> bool:
        """Return whether instances of a study were written since a sequence, as far as a short answer tells."""
        ids = [row["id"] for row in self._ask_for(requests.changes(since, CHANGES))["results"]]
        # An instance's id has three UIDs.
        return len(ids) == CHANGES or any(one.startswith(f"{study}:") and one.count(":") == 2 for one in ids)

    def _ask_for(self, request: requests.CouchRequest) -> dict:
        return self.couch.json(request.method, request.path, params=request.params, authorization=self.authorization)
