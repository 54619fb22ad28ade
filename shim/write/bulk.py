"""Small documents of several requests, written with one ``_bulk_docs``."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from dicouch.couch.client import Couch
from dicouch.couch.response import CouchError
from dicouch.errors import DicomWebError
from dicouch.rewrite import requests
from dicouch.write.combined import Combined
from dicouch.write.elsewhere import Place, places_of
from dicouch.write.headers import Merging, current_revisions


@dataclass(frozen=True)
class Single:
    """A small instance that seems to be the only one of its request."""

    id: str
    document: bytes  # JSON
    headers: tuple[str, ...]  # ids of its study's and series'

    @property
    def uid(self) -> str:
        """SOP Instance UID."""
        return self.id.rpartition(":")[2]


@dataclass(frozen=True)
class Written:
    """What became of an instance; one without a revision is to be written by itself, for its own answer."""

    rev: str
    stored: list[Place]  # the instances that the index has of its UID
    revisions: dict[str, str | None]  # of its headers after the write, None where there is none; {} when not told


class BulkWriter:
    """Writes small documents, those of several requests together.

    Attributes
    ----------
    single : Combined
        Writes `Single` instances of several requests; returns `Written`.
    revisions : Combined
        Reads the revisions of documents for several requests; None for one that is not there.
    merging : Merging
        The headers that requests merge into.
    """

    def __init__(self, couch: Couch) -> None:
        self._couch = couch
        self.merging = Merging()
        self.single: Combined[Single, Written] = Combined(self._write_single)
        self.revisions: Combined[str, str | None] = Combined(partial(current_revisions, couch))

    def write(self, authorization: str | None, documents: list[tuple[str, bytes]]) -> list[str]:
        """Write documents (ids and JSON) with one request to the database.

        Return the revision of each that was written; the others are to be written one by one, for their answer.
        """
        ids = [document_id for document_id, _document in documents]
        body = b'{"docs":[' + b",".join(document for _id, document in documents) + b"]}"
        headers = {"Content-Type": "application/json"}
        try:
            pending = self._couch.start(
                "POST", "_bulk_docs", body=body, headers=headers, authorization=authorization, writes=ids
            )
            return [row.get("rev", "") for row in pending.json()]
        except (CouchError, DicomWebError):
            return [""] * len(documents)

    def _write_single(self, authorization: str | None, instances: list[Single]) -> list[Written]:
        stored: dict[str, list[Place]] = {}
        revisions: dict[str, str | None] = {}
        request = requests.instances_with(sorted({each.uid for each in instances}))
        ids = sorted({header for each in instances for header in each.headers})
        try:
            # The index is read while the documents are written, the headers afterwards.
            search = self._couch.start_json(
                request.method, request.path, params=request.params, body=request.body, authorization=authorization
            )
        except DicomWebError:
            return [Written("", [], {}) for _each in instances]
        written = self.write(authorization, [(each.id, each.document) for each in instances])
        if not any(written):
            search.close()  # each request asks for itself; a database that hangs is not waited for twice
            return [Written("", [], {}) for _each in instances]
        with suppress(CouchError, DicomWebError):  # the instances are stored all the same
            for place in places_of(search.json()):
                stored.setdefault(place[2], []).append(place)
        with suppress(CouchError, DicomWebError):  # the request asks again, and says so
            revisions = dict(zip(ids, current_revisions(self._couch, authorization, ids), strict=True))
        return [
            Written(rev, stored.get(each.uid, []), {key: revisions[key] for key in each.headers if key in revisions})
            for each, rev in zip(instances, written, strict=True)
        ]
