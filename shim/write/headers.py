"""Study and series headers: the design document merges into them what instances bring, or makes them anew."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import orjson

from dicouch.couch.client import Couch, CouchError, Pending, segment
from dicouch.errors import DicomWebError
from dicouch.rewrite import requests
from dicouch.rewrite.requests import DESIGN
from dicouch.tables import BESIDE_TAGS, SERIES_TAGS, STUDY_TAGS, pick

# When many clients write a header at once, each round one of them wins: so many may merge at the same time.
ATTEMPTS = 64
REMEMBERED = 4096
# Sets of attributes that are remembered of one header. Most have one a series; broken ones have one an instance.
DIGESTS = 1024
# Changes of the database that are looked at one by one.
CHANGES = 1000
# Merges of one batch that CouchDB works on at a time.
AT_ONCE = 8


@dataclass
class Known:
    """What is known of one header: revision, digests of what was merged into it, attributes that disagree."""

    revision: str
    digests: set[bytes]
    variants: list[str]


class Merged:
    """Which attributes each header is known to hold, at which revision; shared by the requests of a process."""

    def __init__(self, size: int = REMEMBERED) -> None:
        self._size = size
        self._known: OrderedDict[str, Known] = OrderedDict()
        self._lock = threading.Lock()

    def recall(self, document_id: str, digest: bytes) -> Known | None:
        """Return what is known of a header into which these attributes were merged, or None."""
        with self._lock:
            known = self._known.get(document_id)
            if known is None or digest not in known.digests:
                return None
            self._known.move_to_end(document_id)
            return known

    def remember(self, document_id: str, before: str | None, revision: str, digest: bytes, variants: list[str]) -> None:
        """Note that the header at `revision`, which followed `before`, holds the attributes with this digest."""
        with self._lock:
            known = self._known.get(document_id)
            digests = known.digests if known is not None and known.revision in (before, revision) else set()
            if len(digests) >= DIGESTS:
                digests = set()  # merging once more changes nothing
            digests.add(digest)
            self._known[document_id] = Known(revision, digests, variants)
            self._known.move_to_end(document_id)
            while len(self._known) > self._size:
                self._known.popitem(last=False)


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


def is_instance(document_id: str) -> bool:
    """Return whether a document is an instance's: a study, a series and a SOP Instance UID make its id."""
    return document_id.count(":") == 2


class Headers:
    """The headers of one database, as one request's client may write them.

    Parameters
    ----------
    couch : Couch
    merged : Merged
        What the process knows already.
    authorization : str or None
        The client's own credentials.
    revisions : callable, optional
        Takes credentials and document ids and returns the current revision of each, None where there is none; asks by
        itself when not given.
    """

    def __init__(
        self,
        couch: Couch,
        merged: Merged,
        authorization: str | None = None,
        revisions: Callable[[str | None, list[str]], list[str | None]] | None = None,
    ) -> None:
        self.couch = couch
        self.merged = merged
        self.authorization = authorization
        self._revisions = revisions or partial(current_revisions, couch)
        # What this request has merged, by digest: the variants that came of it, and the header revision that has it.
        self._variants: dict[bytes, list[str]] = {}
        self._merges: dict[bytes, tuple[Merge, str | None]] = {}
        # Several threads store the instances of a request, mostly of one series: the first merges into a header and
        # the others wait for it. If all merged at once, most would be refused as conflicts.
        self._running: dict[str, threading.Event] = {}
        self._lock = threading.Lock()

    def merge(self, places: list[tuple[str, str, dict]]) -> list[list[bytes]]:
        """Bring the headers of instances up to date, before the instances themselves are written.

        A header without instances is not listed, so a crash in between shows nothing. What this process has merged
        before is not merged again: `settle` looks whether it is still there, after the instances are written.

        Parameters
        ----------
        places : list of (str, str, dict)
            Study UID, series UID and data set (DICOM JSON Model) of each instance.

        Returns
        -------
        list of list of bytes
            For each instance what was merged, for `variants`.
        """
        wanted = [_merges(*place) for place in places]
        left = {merge.digest: merge for merges in wanted for merge in merges}
        while left:
            mine, others = self._claim(left.values())
            try:
                self._merge(mine)
            finally:
                with self._lock:
                    for document_id in {merge.document_id for merge in mine}:
                        self._running.pop(document_id).set()
            for running in others:
                running.wait()
            # What another thread failed at is tried once more, so that each instance gets an answer of its own.
            left = {digest: merge for digest, merge in left.items() if digest not in self._variants}
        return [[merge.digest for merge in merges] for merges in wanted]

    def _claim(self, left: Iterable[Merge]) -> tuple[list[Merge], list[threading.Event]]:
        """Return what this thread is to merge, and events that end when others have merged into the other headers."""
        mine: dict[str, list[Merge]] = {}
        others = []
        with self._lock:
            for merge in left:
                if merge.document_id in mine:
                    mine[merge.document_id].append(merge)
                elif merge.document_id in self._running:
                    others.append(self._running[merge.document_id])
                elif merge.digest not in self._variants:
                    self._running[merge.document_id] = threading.Event()
                    mine[merge.document_id] = [merge]
        return [merge for merges in mine.values() for merge in merges], others

    def _merge(self, merges: list[Merge]) -> None:
        """Merge what is not known to be merged: into several headers at a time, into each one after the other."""
        asked: dict[str, list[Merge]] = {}
        for merge in merges:
            known = self.merged.recall(merge.document_id, merge.digest)
            if known is None:
                asked.setdefault(merge.document_id, []).append(merge)
            else:
                self._note(merge, known.revision, known.variants)
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
        return tuple(self._merges[digest][0].document_id for digest in merged)

    def variants(self, merged: list[bytes]) -> list[str]:
        """Return the tags of which an instance's study or series has several values."""
        return [tag for digest in merged for tag in self._variants[digest]]

    def settle(self, seen: dict[str, str | None] | None = None) -> None:
        """Merge again into headers that others deleted or wrote meanwhile; the instances are written by now.

        Only after this is a request answered. A deletion looks for instances once more after it has removed headers
        (`rebuild`), so one of the two sees what the other did.

        Parameters
        ----------
        seen : dict, optional
            Ids of headers to the revisions that they had after every write of the request, None where there was none.
        """
        merges = list(self._merges.values())
        current = dict(seen or {})
        ids = sorted({merge.document_id for merge, _revision in merges} - current.keys())
        if ids:
            current |= zip(ids, self._revisions(self.authorization, ids), strict=True)
        gone = set()
        for merge, revision in merges:
            if current[merge.document_id] is None:
                gone.add(merge.document_id.partition(":")[0])
            elif current[merge.document_id] != revision:
                known = self.merged.recall(merge.document_id, merge.digest)
                if known is None or known.revision != current[merge.document_id]:
                    self._update(merge)
        for study in sorted(gone):
            self.rebuild(study)

    def _note(self, merge: Merge, revision: str | None, variants: list[str]) -> None:
        self._variants[merge.digest] = variants
        self._merges[merge.digest] = (merge, revision)

    def _ask(self, merge: Merge) -> Pending:
        return self.couch.start(
            "PUT",
            f"{DESIGN}/_update/{merge.kind}/{segment(merge.document_id)}",
            body=merge.body,
            headers={"Content-Type": "application/json"},
            authorization=self.authorization,
        )

    def _update(self, merge: Merge, pending: Pending | None = None) -> None:
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
            revision = answer.headers.get("X-Couch-Update-NewRev") or told.get("revision")
            if revision:
                before = told.get("revision")
                self.merged.remember(merge.document_id, before, revision, merge.digest, told["variants"])
            self._note(merge, revision, told["variants"])
            return
        raise AssertionError("unreachable")

    def rebuild(self, study: str) -> int:
        """Make the headers of a study anew from its instances; remove those of a series or study that has none left.

        Parameters
        ----------
        study : str
            UID.

        Returns
        -------
        int
            How many headers were written or removed.
        """
        written = 0
        for _attempt in range(ATTEMPTS):
            since = requests.state_of(self._ask_for(requests.information()))[1]
            wanted = self._ask_for(requests.rebuilt_headers(study))["docs"]
            if not wanted:
                return written
            answer = self.couch.json("POST", "_bulk_docs", body={"docs": wanted}, authorization=self.authorization)
            # A header that someone merged into meanwhile is refused; then everything is read again. The same when an
            # instance was written since the instances were read: what it had merged before is in no header now.
            refused = [row for row in answer if row.get("error") == "conflict"]
            written += len(wanted) - len(refused)
            if not refused and not self._was_stored_in(study, since):
                return written
        raise CouchError(409, "conflict", f"the headers of study {study} are written by others all the time")

    def _was_stored_in(self, study: str, since: str) -> bool:
        """Return whether instances of a study were written since a sequence, as far as a short answer tells."""
        rows = self._ask_for(requests.changes(since, CHANGES))["results"]
        return len(rows) == CHANGES or any(row["id"].startswith(f"{study}:") and is_instance(row["id"]) for row in rows)

    def _ask_for(self, request: requests.CouchRequest) -> dict:
        return self.couch.json(request.method, request.path, params=request.params, authorization=self.authorization)
