"""Deleting a study, a series or an instance: documents, bytes and what the headers say."""

from __future__ import annotations

from dicouch.couch.client import Couch
from dicouch.couch.memory import Memory
from dicouch.couch.response import CouchError
from dicouch.errors import DicomWebError, resource_name
from dicouch.rewrite import requests
from dicouch.store.places import Bytes
from dicouch.write.headers import Headers

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

    def delete(self, study: str, series: str | None = None, instance: str | None = None) -> int:
        """Delete all instances of a resource, their bytes, and the headers that have no instance left.

        An instance stored meanwhile stays, and its headers are made anew. Return how many instances were deleted.

        Raises
        ------
        DicomWebError
            404 if there is no such resource; 503 if others keep writing the same instances.
        """
        asked = requests.instance_files(study, series, instance)
        deleted = 0
        for _round in range(ROUNDS):
            listed = self.couch.json(asked.method, asked.path, params=asked.params, authorization=self.authorization)[
                "rows"
            ]
            if not listed:
                break
            for start in range(0, len(listed), BATCH):
                deleted += self._delete(listed[start : start + BATCH])
        else:
            raise DicomWebError(503, "the instances are being written by others", {"Retry-After": "5"})
        if not deleted:
            raise DicomWebError(404, f"there is no {resource_name(study, series, instance)}")
        self.headers.rebuild(study)
        return deleted

    def _delete(self, rows: list[dict]) -> int:
        docs = [{"_id": row["id"], "_rev": row["rev"], "_deleted": True} for row in rows]
        ids = [row["id"] for row in rows]
        body = {"docs": docs}
        answer = self.couch.json("POST", "_bulk_docs", body=body, authorization=self.authorization, writes=ids)
        gone = 0
        for row, told in zip(rows, answer, strict=True):
            if "error" not in told:
                gone += 1
                self.store.discard(row["file"])
            elif told["error"] != "conflict":
                raise CouchError(403, told["error"], told.get("reason", ""))
        return gone
