"""Deleting a study, a series or an instance: documents, bytes and what the headers say."""

from __future__ import annotations

import logging
from contextlib import suppress

from dicouch.couch.changelog import now
from dicouch.couch.client import Couch
from dicouch.couch.memory import Memory
from dicouch.couch.response import CouchError
from dicouch.errors import DicomWebError, resource_name
from dicouch.rewrite import requests
from dicouch.store.places import Bytes
from dicouch.write.headers import Headers, current_revisions
from dicouch.write.reconcile import of_file

LOG = logging.getLogger(__name__)

# Documents in one deletion request.
BATCH = 500
ROUNDS = 20


class Deleter:
    """Deletes for one request."""

    def __init__(self, couch: Couch, store: Bytes, memory: Memory, authorization: str | None) -> None:
        self.couch = couch
        self.store = store
        self.authorization = authorization
        self.headers = Headers(couch, memory, authorization)
        self._deleted = 0

    def delete(self, study: str, series: str | None = None, instance: str | None = None) -> int:
        """Delete all instances of a resource, their bytes, and the headers that have no instance left.

        An instance stored meanwhile stays, and its headers are made anew. Return how many instances were deleted.

        Raises
        ------
        CouchError
            If the database refuses to delete some; of the others bytes and headers are gone.
        DicomWebError
            404 if there is no such resource; 503 if others keep writing the same instances.
        """
        asked = requests.instance_files(study, series, instance)
        self._deleted = 0
        try:
            for _round in range(ROUNDS):
                told = self.couch.json(asked.method, asked.path, params=asked.params, authorization=self.authorization)
                listed = told["rows"]
                if not listed:
                    break
                for start in range(0, len(listed), BATCH):
                    self._delete(listed[start : start + BATCH])
            else:
                raise DicomWebError(503, "the instances are being written by others", {"Retry-After": "5"})
        except (CouchError, DicomWebError):
            # What is gone is gone: the headers must not go on telling of it. Why it ended matters more than this.
            with suppress(CouchError, DicomWebError):
                if self._deleted:
                    self.headers.rebuild(study)
            raise
        if not self._deleted:
            raise DicomWebError(404, f"there is no {resource_name(study, series, instance)}")
        self.headers.rebuild(study)
        return self._deleted

    def _delete(self, rows: list[dict]) -> None:
        """Delete documents, and the bytes of those that are gone; then tell what the database refused."""
        # The id has the UIDs; a replication that selects by type takes the deletion, too.
        gone = {"_deleted": True, "type": "instance", "deleted": now()}
        docs = [{"_id": row["id"], "_rev": row["rev"], **gone, **of_file(row["file"])} for row in rows]
        ids = [row["id"] for row in rows]
        try:
            answer = self.couch.json(
                "POST", "_bulk_docs", body={"docs": docs}, authorization=self.authorization, writes=ids
            )
        except DicomWebError:
            # Nobody knows what was done: look once, else the files of what is gone would stay for good.
            left = current_revisions(self.couch, self.authorization, ids)
            self._discard([row for row, revision in zip(rows, left, strict=True) if revision is None])
            raise
        self._discard([row for row, told in zip(rows, answer, strict=True) if "error" not in told])
        if refused := [told for told in answer if told.get("error", "conflict") != "conflict"]:
            raise CouchError.of_row(refused[0])

    def _discard(self, gone: list[dict]) -> None:
        self._deleted += len(gone)
        for row in gone:
            try:
                self.store.discard(row["file"])
            except OSError as problem:
                LOG.error("the file of %s stays, `dicouch check` finds it: %s", row["id"], problem)
