"""One received instance: read, merged into its study's and series' headers, stored with its bytes."""

from __future__ import annotations

import threading
from base64 import b64encode
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from typing import BinaryIO

import orjson

from dicouch.couch.client import Couch, CouchError, segment
from dicouch.dicom.media.multipart_writer import couch_multipart
from dicouch.dicom.part10 import MissingIdentifier, Part10, Part10Error, read_part10
from dicouch.errors import DicomWebError
from dicouch.store.places import ATTACHED, ATTACHMENT, DATASET, Bytes
from dicouch.tables import BESIDE_TAGS, ROW_TAGS, SERIES_TAGS, STUDY_TAGS, pick
from dicouch.write.elsewhere import Place, elsewhere, find_stored
from dicouch.write.headers import Headers, Merged
from dicouch.write.outcome import (
    COERCED,
    DUPLICATE,
    FAILURES,
    MISMATCH,
    OUT_OF_RESOURCES,
    PROCESSING_FAILURE,
    UNSUPPORTED_CLASS,
    WITHOUT_STUDY,
    WRONG_STUDY,
    Outcome,
)
from dicouch.write.shared import Alone, Shared

# A document larger than this keeps its data set in an attachment: CouchDB's limit is 8,000,000 bytes.
LARGEST_DATASET = 4_000_000
# Bytes of an attachment and of a document up to which several go in one write; base64 makes larger attachments dear.
SMALL = 16 * 1024
SMALL_DOCUMENT = 64 * 1024
ATTEMPTS = 20


@dataclass
class Received:
    """One part of a request, read.

    Attributes
    ----------
    read : Part10 or None
        None when it could not be read; `outcome` then says why.
    file : file object
    size : int
        Bytes.
    sha256 : str
        Hexadecimal.
    outcome : Outcome
    number : int
        Position in the request.
    """

    read: Part10 | None
    file: BinaryIO
    size: int
    sha256: str
    outcome: Outcome
    number: int = 0


class Ingest:
    """Stores the instances of one request; its methods may be called from several threads.

    Parameters
    ----------
    couch : Couch
    store : Bytes
    merged : Merged
        What the process knows of the headers.
    study : str or None
        The study that the request names; instances of another are refused (PS3.18 10.5.1).
    replace : bool
        Whether an instance may replace one with the same UID and other content.
    authorization : str or None
        The client's own credentials.
    shared : Shared, optional
        What the requests of the process ask in common.
    """

    def __init__(
        self,
        couch: Couch,
        store: Bytes,
        merged: Merged,
        study: str | None = None,
        replace: bool = True,
        authorization: str | None = None,
        shared: Shared | None = None,
    ):
        self.couch = couch
        self.bytes = store
        self.study = study
        self.replace = replace
        self.authorization = authorization
        self.shared = shared or Shared(couch)
        self.headers = Headers(couch, merged, authorization, self.shared.revisions)
        self._last: dict[str, tuple[int, str]] = {}
        self._searched: list[tuple[list[Place], Future]] = []
        # What was asked for with the write of a request's only instance.
        self._found: list[tuple[list[Place], list[Place]]] = []
        self._seen: dict[str, str | None] = {}
        self._lock = threading.Lock()

    def read(self, file: BinaryIO, size: int, sha256: str, number: int = 0) -> Received:
        """Read one Part 10 file.

        Parameters
        ----------
        file : file object
            Seekable; read from its beginning.
        size : int
            Bytes.
        sha256 : str
            Hexadecimal digest of the bytes.
        number : int
            Position in the request: of several with the same UID the last one stays.

        Returns
        -------
        Received
            Failures are told in its outcome, not raised.
        """
        try:
            read = read_part10(file, size)
        except Part10Error as problem:
            return Received(None, file, size, sha256, _unreadable(problem), number)
        outcome = Outcome(read.study_uid, read.series_uid, read.sop_instance_uid, read.sop_class_uid)
        received = Received(read, file, size, sha256, outcome, number)
        if self.study is not None and read.study_uid != self.study:
            outcome.failure = WRONG_STUDY
            outcome.comment = f"the instance belongs to study {read.study_uid}"
        elif read.warnings:
            outcome.warning = MISMATCH
            outcome.comment = "; ".join(read.warnings[:5])
        return received

    def search(self, batch: list[Received], pool: Executor) -> None:
        """Have it looked up, while these are written, whether other series have their UIDs; see `settle`."""
        if places := [received.outcome.place for received in batch if not received.outcome.failure]:
            self._searched.append((places, pool.submit(find_stored, self.couch, places, self.authorization)))

    def store(self, received: Received) -> Outcome:
        """Store one instance with its headers and bytes.

        Returns
        -------
        Outcome
            Failures are told, not raised.
        """
        return self.store_batch([received])[0]

    def takes_part(self, received: Received) -> bool:
        """Return whether an instance may be written with others: what goes to the database of it is small."""
        return received.size < SMALL or self.bytes.folder is not None

    def store_batch(self, batch: list[Received], alone: bool = False) -> list[Outcome]:
        """Store several small instances with one write to the database; see `store`.

        Parameters
        ----------
        batch : list of Received
        alone : bool
            Whether it is one instance and, as it seems, the only one of its request: it is written with those of other
            requests.
        """
        ready: list[tuple[Received, dict]] = []
        for received in self._with_headers([received for received in batch if not received.outcome.failure]):
            with self._telling(received.outcome):
                document = make_document(received.read, received.size, received.sha256)
                self._claim(received, document["_id"])
                document["file"]["store"] = self.bytes.keep(received.file, received.sha256)
                ready.append((received, document))
        for received, document in self._write_together(ready, alone):
            with self._telling(received.outcome):
                self._put(received, document)
        return [received.outcome for received in batch]

    def _with_headers(self, batch: list[Received]) -> list[Received]:
        """Merge the headers of instances; return those instances whose headers are ready for them."""
        places = [(received.read.study_uid, received.read.series_uid, received.read.dataset) for received in batch]
        try:
            for received, merged in zip(batch, self.headers.merge(places), strict=True):
                received.outcome.merged = merged
        except (CouchError, DicomWebError) as problem:
            if len(batch) > 1:  # find the one that cannot be merged
                return [ready for received in batch for ready in self._with_headers([received])]
            for received in batch:
                self._tell(received.outcome, problem)
        return [received for received in batch if not received.outcome.failure]

    def settle(self, outcomes: list[Outcome], pool: Executor) -> None:
        """Do once for a request what its instances leave: headers that others changed meanwhile, UIDs used twice.

        Parameters
        ----------
        outcomes : list of Outcome
            All of the request.
        pool : Executor
            Asks for the UIDs while the headers are looked at.
        """
        written = [outcome for outcome in outcomes if not outcome.failure]
        searched = list(self._searched)
        known = {place for places, _search in [*searched, *self._found] for place in places}
        if left := [outcome.place for outcome in written if outcome.place not in known]:
            searched.append((left, pool.submit(find_stored, self.couch, left, self.authorization)))
        for study in sorted({outcome.study for outcome in outcomes if outcome.rebuild}):
            self.headers.rebuild(study)
        # What was seen behind one write says nothing of another.
        self.headers.settle(self._seen if len(outcomes) == 1 else {})
        stored = [place for _places, search in searched for place in search.result()]
        stored += [place for _places, found in self._found for place in found]
        others = elsewhere([outcome.place for outcome in written], stored)
        for outcome in written:
            outcome.variants = self.headers.variants(outcome.merged)
            outcome.elsewhere = others.get(outcome.place, "")

    def _claim(self, received: Received, document_id: str) -> None:
        """Note which part of the request is the last with this UID: its content is what stays."""
        with self._lock:
            number, _digest = self._last.get(document_id, (-1, ""))
            if received.number > number:
                self._last[document_id] = (received.number, received.sha256)

    def _overtaken(self, received: Received, document_id: str, stored: str) -> bool:
        """Return whether what is stored comes from a later part of the same request."""
        with self._lock:
            number, digest = self._last.get(document_id, (-1, ""))
        return received.number < number and stored == digest

    @contextmanager
    def _telling(self, outcome: Outcome):
        """Turn what the database refuses into a failure of one instance."""
        try:
            yield
        except (CouchError, DicomWebError) as problem:
            self._tell(outcome, problem)
        except OSError as problem:  # of the folder, such as a full disk
            outcome.failure = OUT_OF_RESOURCES
            outcome.comment = f"not stored: {problem.strerror}"

    @staticmethod
    def _tell(outcome: Outcome, problem: CouchError | DicomWebError) -> None:
        outcome.failure = FAILURES.get(problem.status, PROCESSING_FAILURE)
        outcome.comment = f"not stored: {problem}"
        outcome.too_large = problem.status == 413
        outcome.refused = problem.status if problem.status in (401, 403) else 0

    def _write_together(self, ready: list[tuple[Received, dict]], alone: bool) -> list[tuple[Received, dict]]:
        """Write small documents with one request; return the pairs that were not, to be written one by one."""
        small, left = [], []
        for received, document in ready:
            if self.takes_part(received):
                written = orjson.dumps(self._with_bytes(received, document))
                if len(written) < SMALL_DOCUMENT:
                    small.append((received, document, written))
                    continue
            left.append((received, document))
        if small and alone:
            answers = [self._write_alone(*each) for each in small]
        elif small:
            answers = self.shared.write(self.authorization, [body for _received, _document, body in small])
        else:
            answers = []
        pairs = zip(small, answers, strict=True)
        return left + [(received, document) for (received, document, _body), ok in pairs if not ok]

    def _write_alone(self, received: Received, document: dict, body: bytes) -> bool:
        place = received.outcome.place
        headers = self.headers.written(received.outcome.merged)
        (written,) = self.shared.alone(self.authorization, [Alone(body, place[2], headers)])
        if written.ok:
            self._seen = written.revisions
            self._found.append(([place], written.stored))
        return written.ok

    @staticmethod
    def _with_bytes(received: Received, document: dict) -> dict:
        """Return a document with the bytes of its instance, where they go to the database."""
        if document["file"]["store"] != ATTACHED:
            return document
        received.file.seek(0)
        data = b64encode(received.file.read()).decode("ascii")
        return {**document, "_attachments": {ATTACHMENT: {"content_type": "application/dicom", "data": data}}}

    def _put(self, received: Received, document: dict) -> None:
        outcome = received.outcome
        replaced: dict | None = None
        for attempt in range(ATTEMPTS):
            try:
                self._write(received, document)
                if replaced is not None:
                    self._drop(replaced["file"], document["file"])
                    outcome.rebuild = _of_headers(replaced["dataset"]) != _of_headers(document["dataset"])
                return
            except CouchError as problem:
                if problem.status != 409 or attempt == ATTEMPTS - 1:
                    raise
            stored = self.couch.get(document["_id"], authorization=self.authorization)
            if stored is None:
                document.pop("_rev", None)
                replaced = None
            elif stored["file"]["sha256"] == received.sha256:
                outcome.comment = "already stored, the same bytes"
                self._drop(document["file"], stored["file"])
                return
            elif self._overtaken(received, document["_id"], stored["file"]["sha256"]):
                outcome.warning = COERCED
                outcome.comment = "a later instance of the request has the same UID and took its place"
                self._drop(document["file"], stored["file"])
                return
            elif not self.replace:
                outcome.failure, outcome.warning = DUPLICATE, 0
                outcome.comment = "an instance with this UID and other content is stored"
                self._drop(document["file"], stored["file"])
                return
            else:
                document["_rev"] = stored["_rev"]
                replaced = stored
                outcome.warning = COERCED
                outcome.comment = "an instance with this UID and other content was replaced"

    def _drop(self, file: dict, kept: dict) -> None:
        """Remove the bytes of `file` unless `kept` has the very same: a write without an answer may have succeeded."""
        if file["store"] != kept["store"]:
            self.bytes.discard(file)

    def _write(self, received: Received, document: dict) -> None:
        files = []
        if document["file"]["store"] == ATTACHED:
            files.append((ATTACHMENT, "application/dicom", received.file, received.size))
        headers, body = {"Content-Type": "application/json"}, orjson.dumps(document)
        if len(body) > LARGEST_DATASET:
            document, dataset = without_dataset(document)
            body = orjson.dumps(document)
            files.append((DATASET, "application/json", BytesIO(dataset), len(dataset)))
        if files:
            described = {
                name: {"follows": True, "content_type": kind, "length": size} for name, kind, _source, size in files
            }
            # Appended, not serialized again: a data set can be megabytes.
            text = body[:-1] + b',"_attachments":' + orjson.dumps(described) + b"}"
            headers, body = couch_multipart(text, [(source, size) for _name, _kind, source, size in files])
        self.couch.request(
            "PUT", segment(document["_id"]), body=body, headers=headers, authorization=self.authorization
        ).read()


def _unreadable(problem: Part10Error) -> Outcome:
    """Return what becomes of a file that cannot be stored, with what could be read of it."""
    outcome = Outcome(failure=problem.failure_reason, comment=problem.reason)
    if isinstance(problem, MissingIdentifier):
        known = problem.identifiers
        names = ("study_uid", "series_uid", "sop_instance_uid", "sop_class_uid")
        outcome.study, outcome.series, outcome.instance, outcome.sop_class = (known.get(name, "") for name in names)
        if not outcome.study and WITHOUT_STUDY.fullmatch(outcome.sop_class):
            outcome.failure = UNSUPPORTED_CLASS
            outcome.comment = "objects of this SOP Class belong to no study"
    return outcome


def make_document(read: Part10, size: int, sha256: str) -> dict:
    """Return the instance document of docs/documents.md, without its bytes."""
    file = {"store": ATTACHED, "transferSyntax": read.transfer_syntax, "size": size, "sha256": sha256}
    file["bulk"] = read.bulk
    if read.frames:
        file["frames"] = read.frames
    if read.deflated:
        file["deflated"] = True
    if not read.ordered:
        file["unordered"] = True
    return {
        "_id": f"{read.study_uid}:{read.series_uid}:{read.sop_instance_uid}",
        "type": "instance",
        "summary": summary(read.dataset),
        "dataset": read.dataset,
        "file": file,
        "stored": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "warnings": read.warnings,
    }


def without_dataset(document: dict) -> tuple[dict, bytes]:
    """Return the document with only what searches need in its data set, and the whole data set as JSON."""
    kept = STUDY_TAGS | SERIES_TAGS | ROW_TAGS
    small = {tag: value for tag, value in pick(document["dataset"], kept).items() if len(orjson.dumps(value)) < 65536}
    file = {**document["file"], "datasetAttachment": True}
    return {**document, "dataset": small, "file": file}, orjson.dumps(document["dataset"])


def _of_headers(dataset: dict) -> dict:
    """Return the attributes that an instance brings to its headers."""
    return pick(dataset, STUDY_TAGS | SERIES_TAGS | BESIDE_TAGS)


def summary(dataset: dict) -> str:
    """Return one line by which a person recognises an instance in a list of ids."""

    def first(tag: str) -> str:
        value = (dataset.get(tag, {}).get("Value") or [""])[0]
        if isinstance(value, dict):
            value = value.get("Alphabetic") or value.get("Ideographic") or value.get("Phonetic") or ""
        return "" if value is None else str(value)

    parts = [first("00080060"), first("00100010"), first("0008103E")]
    parts += [f"series {first('00200011') or '-'}", f"instance {first('00200013') or '-'}"]
    return " · ".join(part for part in parts if part)
