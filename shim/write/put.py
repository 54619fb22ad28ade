"""Writing one instance with a request of its own, also over one with the same UIDs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from hashlib import sha256
from io import BytesIO
from typing import BinaryIO

import orjson

from dicouch.couch.client import Couch, segment
from dicouch.couch.response import CHUNK, CouchError
from dicouch.dicom.media.multipart_writer import couch_multipart
from dicouch.errors import DicomWebError
from dicouch.store import ATTACHED, ATTACHMENT, DATASET, NOWHERE
from dicouch.store.places import Bytes
from dicouch.write.document import header_attributes, without_dataset
from dicouch.write.outcome import COERCED, DUPLICATE, MISMATCH
from dicouch.write.received import Received

# A document larger than this keeps its data set in an attachment: CouchDB's limit is 8,000,000 bytes.
LARGEST_DATASET = 4_000_000
ATTEMPTS = 20


class Putter:
    """Writes instances one by one, for one request.

    `replace` lets an instance take the place of one with the same UIDs and other content.
    """

    def __init__(self, couch: Couch, store: Bytes, replace: bool, authorization: str | None) -> None:
        self._couch = couch
        self._store = store
        self._replace = replace
        self._authorization = authorization
        # Of each document the number and the digest of the last part of the request: its content is what stays.
        self._last: dict[str, tuple[int, str]] = {}
        self._lock = threading.Lock()

    def claim(self, received: Received, document_id: str) -> None:
        """Take note of a part of the request, before it is written."""
        with self._lock:
            if received.number > self._last.get(document_id, (-1, ""))[0]:
                self._last[document_id] = (received.number, received.sha256)

    def put(self, received: Received, document: dict) -> None:
        """Write an instance; what becomes of it is told in its outcome, what the database refuses is raised."""
        replaced: dict | None = None
        for attempt in range(ATTEMPTS):
            try:
                rev, has_files = self._write(received, document)
            except CouchError as problem:
                if problem.status != 409 or attempt == ATTEMPTS - 1:
                    raise
            else:
                if has_files and needs_another(document, rev):
                    continue
                if replaced is not None:
                    self._drop(replaced["file"], document["file"])
                    brought = header_attributes(replaced["dataset"]), header_attributes(document["dataset"])
                    received.outcome.rebuild = brought[0] != brought[1]
                return
            replaced = self._couch.get(document["_id"], authorization=self._authorization)
            if replaced is None:
                document.pop("_rev", None)
            elif self._stays(replaced, received):
                self._drop(document["file"], replaced["file"])
                return
            else:
                document["_rev"] = replaced["_rev"]

    def _stays(self, stored: dict, received: Received) -> bool:
        """Return whether what is stored stays, and tell in the outcome why or why not."""
        outcome, digest = received.outcome, stored["file"]["sha256"]
        if stored["file"]["store"] == NOWHERE:
            return False  # the file, of which only the metadata were here
        with self._lock:
            last = self._last.get(stored["_id"], (-1, ""))
        if digest == received.sha256:
            if not self._store.is_here(stored["file"]):
                return False  # the document came by replication, and its bytes come only now
            # What is wrong with it still is (B007H).
            outcome.comment = outcome.comment or "already stored, the same bytes"
        elif received.made and self._same_dataset(stored, received):
            outcome.comment = outcome.comment or "already stored, the same data set"
        elif received.number < last[0] and digest == last[1]:
            outcome.warning = COERCED
            outcome.comment = "a later instance of the request has the same UID and took its place"
        elif not self._replace:
            outcome.failure, outcome.warning = DUPLICATE, 0
            outcome.comment = "an instance with this UID and other content is stored"
        else:
            # Warning Reason has one value: what is wrong with the new content follows in words.
            wrong = f"B007H: {outcome.comment}" if outcome.warning == MISMATCH else ""
            outcome.warning = COERCED
            outcome.comment = "an instance with this UID and other content was replaced"
            if wrong:
                outcome.comment, outcome.also = f"replaced other content; {wrong}", wrong
            return False
        return True

    def _same_dataset(self, stored: dict, received: Received) -> bool:
        """Return whether the bytes behind the header of a stored file are those behind the header that was made."""
        file, digests = stored["file"], [sha256(), sha256()]
        if file["transferSyntax"] != received.part10.transfer_syntax:
            return False
        try:
            begin = b"".join(self._open(stored, 0, 144))
            if begin[128:140] != b"DICM\x02\0\0\0UL\x04\0":
                return False
            # File Meta Information Group Length says where the data set begins (PS3.10 7.1).
            start = 144 + int.from_bytes(begin[140:], "little")
            if file["size"] - start != received.size - received.made:
                return False
            for piece in self._open(stored, start, file["size"]):
                digests[0].update(piece)
        except (CouchError, DicomWebError):  # bytes that cannot be had are no reason to refuse better ones
            return False
        received.file.seek(received.made)
        while piece := received.file.read(CHUNK):
            digests[1].update(piece)
        return digests[0].digest() == digests[1].digest()

    def _open(self, stored: dict, start: int, end: int) -> Iterator[bytes]:
        # Where it would be refused, the bytes are fetched to be compared, and are here then.
        where = stored["_id"], stored["file"], start, end, self._authorization
        return self._store.open(*where, fetch=not self._replace)

    def _drop(self, file: dict, kept: dict) -> None:
        """Remove the bytes of `file` unless `kept` has the very same: a write without an answer may have succeeded."""
        self._store.discard(file, kept)

    def _write(self, received: Received, document: dict) -> tuple[str, bool]:
        """Write a document and what is attached; return its revision, and whether something is attached."""
        files: list[tuple[str, str, BinaryIO, int]] = []
        if document["file"]["store"] == ATTACHED:
            files.append((ATTACHMENT, "application/dicom", received.file, received.size))
        headers, body = {"Content-Type": "application/json"}, orjson.dumps(document)
        pieces: Callable[[], Iterator[bytes]] | None = None
        if len(body) > LARGEST_DATASET:
            document, dataset = without_dataset(document)
            body = orjson.dumps(document)
            files.append((DATASET, "application/json", BytesIO(dataset), len(dataset)))
        if files:
            described = {name: {"follows": True, "content_type": kind, "length": size} for name, kind, _, size in files}
            # Appended, not serialized again: a data set can be megabytes.
            text = body[:-1] + b',"_attachments":' + orjson.dumps(described) + b"}"
            headers, pieces = couch_multipart(text, [file[2:] for file in files])
        answer = self._couch.request(
            "PUT", segment(document["_id"]), body=pieces or body, headers=headers, authorization=self._authorization
        )
        return orjson.loads(answer.read())["rev"], bool(files)


def needs_another(document: dict, rev: str) -> bool:
    """Return whether a document with its attachments, which was written as a new one, must be written once more.

    Where one was deleted before, CouchDB goes on with its revisions, but takes the attachments for those of the first.
    Replication then leaves them out for who has an older revision, which keeps the bytes of that (CouchDB 3.5). Written
    with the revision, which the document has now, they are right.
    """
    if "_rev" in document or rev.startswith("1-"):
        return False
    document["_rev"] = rev
    return True
