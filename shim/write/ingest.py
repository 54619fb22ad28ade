"""Storing the instances of one request: headers first, then documents and bytes, then what must be looked at once."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import BinaryIO

import orjson

from dicouch.couch.client import Couch
from dicouch.couch.memory import Memory
from dicouch.couch.response import CouchError
from dicouch.errors import DicomWebError
from dicouch.store import ATTACHED, ATTACHMENT
from dicouch.store.places import Bytes
from dicouch.write.bulk import BulkWriter, Single
from dicouch.write.document import make_document
from dicouch.write.elsewhere import UidSearch
from dicouch.write.headers import Headers
from dicouch.write.outcome import FAILURES, OUT_OF_RESOURCES, PROCESSING_FAILURE, Outcome
from dicouch.write.put import Putter, needs_another
from dicouch.write.received import Received, read_instance

# Bytes of an attachment and of a document up to which several go in one write; base64 makes larger attachments dear.
SMALL = 16 * 1024
SMALL_DOCUMENT = 64 * 1024


class Ingest:
    """Stores the instances of one request; its methods may be called from several threads.

    Parameters
    ----------
    study : str or None
        The study that the request names; instances of another are refused (PS3.18 10.5.1).
    replace : bool
        Whether an instance may replace one with the same UID and other content.
    bulk : BulkWriter, optional
        Writes small documents together with those of other requests.
    """

    def __init__(
        self,
        couch: Couch,
        store: Bytes,
        memory: Memory,
        study: str | None = None,
        replace: bool = True,
        authorization: str | None = None,
        bulk: BulkWriter | None = None,
    ) -> None:
        self.bytes = store
        self.study = study
        self.authorization = authorization
        self.bulk = bulk or BulkWriter(couch)
        self.headers = Headers(couch, memory, authorization, self.bulk.revisions, self.bulk.merging)
        self._putter = Putter(couch, store, replace, authorization)
        self._uids = UidSearch(couch, authorization)
        # Revisions of the headers after the write of a request's only instance.
        self._seen: dict[str, str | None] = {}

    def read(self, file: BinaryIO, size: int, sha256: str, number: int) -> Received:
        """Read one Part 10 file; see `read_instance`."""
        return read_instance(file, size, sha256, number, self.study)

    def search(self, batch: list[Received], pool: Executor) -> None:
        """Begin to look for other series with the UIDs of instances, while these are written."""
        self._uids.begin([received.outcome.place for received in batch if not received.outcome.failure], pool)

    def store(self, received: Received) -> Outcome:
        """Store one instance with its headers and bytes; failures are told, not raised."""
        return self.store_batch([received])[0]

    def is_small(self, size: int) -> bool:
        """Return whether a file of so many bytes may be written with others: what goes to the database is small."""
        return size < SMALL or self.bytes.folder is not None

    def store_batch(self, batch: list[Received], alone: bool = False) -> list[Outcome]:
        """Store several instances, the small ones with one write to the database; see `store`.

        One that seems to be `alone` in its request is written with those of other requests.
        """
        made: list[tuple[Received, dict]] = []
        for received in self._with_headers([received for received in batch if not received.outcome.failure]):
            document = make_document(received.part10, received.size, received.sha256)
            self._putter.claim(received, document["_id"])
            made.append((received, document))
        ready: list[tuple[Received, dict]] = []
        kept = self.bytes.keep_all([(received.file, received.sha256) for received, _document in made]) if made else []
        for (received, document), store in zip(made, kept, strict=True):
            with _telling(received.outcome):
                if isinstance(store, Exception):
                    raise store
                document["file"]["store"] = store
                ready.append((received, document))
        for received, document in self._write_small(ready, alone):
            with _telling(received.outcome):
                self._putter.put(received, document)
        return [received.outcome for received in batch]

    def _with_headers(self, batch: list[Received]) -> list[Received]:
        """Merge the headers of instances; return those instances whose headers are ready for them."""
        places = [(each.part10.study_uid, each.part10.series_uid, each.part10.dataset) for each in batch]
        try:
            for received, merged in zip(batch, self.headers.merge(places), strict=True):
                received.outcome.merged = merged
        except (CouchError, DicomWebError) as problem:
            if len(batch) > 1:  # find the one that cannot be merged
                return [ready for received in batch for ready in self._with_headers([received])]
            _tell(batch[0].outcome, problem)
        return [received for received in batch if not received.outcome.failure]

    def settle(self, outcomes: list[Outcome], pool: Executor) -> None:
        """Do once for a request what its instances leave: headers that others changed meanwhile, UIDs used twice.

        `pool` asks for the UIDs while the headers are looked at.
        """
        written = [outcome for outcome in outcomes if not outcome.failure]
        self._uids.begin([outcome.place for outcome in written], pool)
        for study in sorted({outcome.study for outcome in outcomes if outcome.rebuild}):
            self.headers.rebuild(study)
        # What was seen after one write says nothing of another.
        self.headers.settle(self._seen if len(outcomes) == 1 else {})
        others = self._uids.others([outcome.place for outcome in written])
        for outcome in written:
            outcome.variants = self.headers.variants(outcome.merged)
            outcome.elsewhere = others.get(outcome.place, "")

    def _write_small(self, ready: list[tuple[Received, dict]], alone: bool) -> list[tuple[Received, dict]]:
        """Write small documents with one request; return the pairs that were not, to be written one by one."""
        small, left = [], []
        for received, document in ready:
            if self.is_small(received.size):
                body = orjson.dumps(_with_bytes(received, document))
                if len(body) < SMALL_DOCUMENT:
                    small.append((received, document, body))
                    continue
            left.append((received, document))
        if small and alone:
            answers = [self._write_single(received, body) for received, _document, body in small]
        elif small:
            answers = self.bulk.write(self.authorization, [(document["_id"], body) for _, document, body in small])
        else:
            answers = []
        pairs = zip(small, answers, strict=True)
        for (received, document, _body), rev in pairs:
            if not rev or document["file"]["store"] == ATTACHED and needs_another(document, rev):
                left.append((received, document))
        return left

    def _write_single(self, received: Received, body: bytes) -> str:
        place = received.outcome.place
        headers = self.headers.written(received.outcome.merged)
        (written,) = self.bulk.single(self.authorization, [Single(":".join(place), body, headers)])
        if written.rev:
            self._seen = written.revisions
            self._uids.tell(place, written.stored)
        return written.rev


def _with_bytes(received: Received, document: dict) -> dict:
    """Return a document with the bytes of its instance, where they go to the database."""
    if document["file"]["store"] != ATTACHED:
        return document
    received.file.seek(0)
    data = b64encode(received.file.read()).decode("ascii")
    return {**document, "_attachments": {ATTACHMENT: {"content_type": "application/dicom", "data": data}}}


@contextmanager
def _telling(outcome: Outcome) -> Iterator[None]:
    """Turn what the database or the disk refuses into a failure of one instance."""
    try:
        yield
    except (CouchError, DicomWebError) as problem:
        _tell(outcome, problem)
    except OSError as problem:  # of the folder, such as a full disk
        outcome.failure, outcome.comment = OUT_OF_RESOURCES, f"not stored: {problem.strerror}"


def _tell(outcome: Outcome, problem: CouchError | DicomWebError) -> None:
    outcome.failure = FAILURES.get(problem.status, PROCESSING_FAILURE)
    outcome.comment = f"not stored: {problem}"
    outcome.too_large = problem.status == 413
    outcome.refused = problem.status if problem.status in (401, 403) else 0
