"""Study and series headers: having the design document merge what instances bring, and rebuild from what is left."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict

import orjson

from shim import rewrite
from shim.couch import Couch, CouchError, segment
from shim.levels import SERIES_TAGS, STUDY_TAGS, pick
from shim.rewrite import DESIGN

# A header that many clients write at once: each round one of them wins, so this many may merge at the same time.
ATTEMPTS = 64
REMEMBERED = 4096


class Merged:
    """Which attributes each header is known to hold, at which revision; shared by the requests of a process."""

    def __init__(self, size: int = REMEMBERED):
        self._size = size
        self._known: OrderedDict[str, tuple[str, dict[bytes, list[str]]]] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, document_id: str, revision: str | None, digest: bytes) -> list[str] | None:
        """Return the variants of a merge that need not be repeated, or None."""
        with self._lock:
            known = self._known.get(document_id)
            if known is None or known[0] != revision:
                return None
            self._known.move_to_end(document_id)
            return known[1].get(digest)

    def remember(self, document_id: str, before: str | None, revision: str, digest: bytes, variants: list[str]) -> None:
        """Note that the header at `revision`, which followed `before`, holds the attributes with this digest."""
        with self._lock:
            known = self._known.get(document_id)
            digests = known[1] if known is not None and known[0] in (before, revision) else {}
            digests[digest] = variants
            self._known[document_id] = (revision, digests)
            self._known.move_to_end(document_id)
            while len(self._known) > self._size:
                self._known.popitem(last=False)


class Headers:
    """The headers of one database, as one request's client may write them.

    Parameters
    ----------
    couch : Couch
    merged : Merged
        What the process knows already.
    authorization : str or None
        The client's own credentials.
    """

    def __init__(self, couch: Couch, merged: Merged, authorization: str | None = None):
        self.couch = couch
        self.merged = merged
        self.authorization = authorization

    def merge(self, study: str, series: str, dataset: dict) -> list[str]:
        """Bring both headers of an instance up to date, before the instance itself is written.

        A header without instances is not listed, so a crash in between shows nothing.

        Parameters
        ----------
        study, series : str
            UIDs.
        dataset : dict
            The instance's data set, DICOM JSON Model.

        Returns
        -------
        list of str
            Tags of which the study or the series has several values.
        """
        modality = (dataset.get("00080060", {}).get("Value") or [""])[0]
        parts = []
        for kind, name, tags in (("study", "study", STUDY_TAGS), ("series", series, SERIES_TAGS)):
            body = orjson.dumps({"series": series, "modality": modality, "attributes": pick(dataset, tags)})
            parts.append((kind, f"{study}:{name}", body, hashlib.sha256(body).digest()))
        revisions = self._revisions([document_id for _kind, document_id, *_ in parts])
        variants = []
        for kind, document_id, body, digest in parts:
            known = self.merged.find(document_id, revisions.get(document_id), digest)
            variants += self._update(kind, document_id, body, digest) if known is None else known
        return variants

    def _revisions(self, ids: list[str]) -> dict[str, str]:
        rows = self.couch.json("POST", "_all_docs", body={"keys": ids}, authorization=self.authorization)["rows"]
        return {row["id"]: row["value"]["rev"] for row in rows if "id" in row and not row["value"].get("deleted")}

    def _update(self, kind: str, document_id: str, body: bytes, digest: bytes) -> list[str]:
        path = f"{DESIGN}/_update/{kind}/{segment(document_id)}"
        for attempt in range(ATTEMPTS):
            try:
                answer = self.couch.request(
                    "PUT",
                    path,
                    body=body,
                    headers={"Content-Type": "application/json"},
                    authorization=self.authorization,
                )
            except CouchError as problem:
                # Another writer was first: merge into what it wrote.
                if problem.status != 409 or attempt == ATTEMPTS - 1:
                    raise
                continue
            told = orjson.loads(answer.read())
            revision = answer.headers.get("X-Couch-Update-NewRev") or told.get("revision")
            if revision:
                self.merged.remember(document_id, told.get("revision"), revision, digest, told["variants"])
            return told["variants"]
        raise AssertionError("unreachable")

    def rebuild(self, study: str) -> None:
        """Make the headers of a study anew from its instances; remove those of a series or study that has none left.

        Parameters
        ----------
        study : str
            UID.
        """
        for attempt in range(ATTEMPTS):
            request = rewrite.rebuilt_headers(study)
            wanted = self.couch.json(
                request.method, request.path, params=request.params, authorization=self.authorization
            )["docs"]
            if not wanted:
                return
            answer = self.couch.json("POST", "_bulk_docs", body={"docs": wanted}, authorization=self.authorization)
            # A header that someone merged into meanwhile is refused, and everything read again.
            refused = [row for row in answer if row.get("error") == "conflict"]
            if not refused:
                return
            if attempt == ATTEMPTS - 1:
                raise CouchError(409, "conflict", f"the headers of study {study} are written by others all the time")
