"""One received instance: read, merged into its study's and series' headers, stored with its bytes."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import BytesIO
from typing import BinaryIO

import orjson

from shim.couch import Couch, CouchError, segment
from shim.errors import DicomWebError
from shim.levels import ROW_TAGS, SERIES_TAGS, STUDY_TAGS, pick
from shim.multipart_writer import (
    BodyPart,
    multipart_content_type,
    multipart_length,
    new_boundary,
    read_pieces,
    write_multipart,
)
from shim.part10 import Part10, Part10Error, read_part10
from shim.rewrite import DESIGN
from shim.store import ATTACHMENT, Bytes

# Failure and warning reasons (PS3.18 Table I.2-2, PS3.4 Table GG.4-2, PS3.7 C).
PROCESSING_FAILURE = 0x0110
OUT_OF_RESOURCES = 0xA700
WRONG_STUDY = 0xA901
COERCED = 0xB000
DISCARDED = 0xB006
MISMATCH = 0xB007

# A document larger than this keeps its data set in an attachment: CouchDB's limit is 8,000,000 bytes.
LARGEST_DATASET = 4_000_000
ATTEMPTS = 20


@dataclass
class Outcome:
    """What became of one instance of a request.

    Attributes
    ----------
    study, series, instance, sop_class : str
        Empty where they could not be read.
    failure : int
        Failure Reason (0008,1197), 0 when it is stored.
    warning : int
        Warning Reason (0008,1196), 0 for none.
    comment : str
        What a person is told.
    variants : list of str
        Tags whose values differ within the study or series.
    """

    study: str = ""
    series: str = ""
    instance: str = ""
    sop_class: str = ""
    failure: int = 0
    warning: int = 0
    comment: str = ""
    variants: list[str] = field(default_factory=list)


class Ingest:
    """Stores the instances of one request; its methods may be called from several threads.

    Parameters
    ----------
    couch : Couch
    store : Bytes
    study : str or None
        The study that the request names; instances of another are refused (PS3.18 10.5.1).
    authorization : str or None
        The client's own credentials.
    """

    def __init__(self, couch: Couch, store: Bytes, study: str | None = None, authorization: str | None = None):
        self.couch = couch
        self.bytes = store
        self.study = study
        self.authorization = authorization
        self._merged: dict[tuple, list[str]] = {}
        self._lock = threading.Lock()

    def store(self, file: BinaryIO, size: int, sha256: str) -> Outcome:
        """Store one Part 10 file.

        Parameters
        ----------
        file : file object
            Seekable; read from its beginning.
        size : int
            Bytes.
        sha256 : str
            Hexadecimal digest of the bytes.

        Returns
        -------
        Outcome
            Failures of this instance are told here, not raised.
        """
        try:
            read = read_part10(file, size)
        except Part10Error as problem:
            return Outcome(failure=problem.failure_reason, comment=problem.reason)
        outcome = Outcome(read.study_uid, read.series_uid, read.sop_instance_uid, read.sop_class_uid)
        if self.study is not None and read.study_uid != self.study:
            outcome.failure = WRONG_STUDY
            outcome.comment = f"the instance belongs to study {read.study_uid}"
            return outcome
        try:
            outcome.variants = self._merge_headers(read)
            self._put(read, file, size, sha256, outcome)
        except (CouchError, DicomWebError) as problem:
            status = problem.status
            outcome.failure = OUT_OF_RESOURCES if status in (413, 503, 507) else PROCESSING_FAILURE
            outcome.comment = f"not stored: {problem}"
        if not outcome.failure and not outcome.warning and read.warnings:
            outcome.warning = MISMATCH
            outcome.comment = "; ".join(read.warnings[:5])
        return outcome

    def _merge_headers(self, read: Part10) -> list[str]:
        """Bring the headers up to date, before the instance: one without instances is not listed after a crash."""
        modality = (read.dataset.get("00080060", {}).get("Value") or [""])[0]
        variants = []
        for kind, name, tags in (("study", "study", STUDY_TAGS), ("series", read.series_uid, SERIES_TAGS)):
            attributes = pick(read.dataset, tags)
            key = (kind, read.study_uid, read.series_uid, orjson.dumps(attributes, option=orjson.OPT_SORT_KEYS))
            with self._lock:
                known = self._merged.get(key)
            if known is None:
                body = {"series": read.series_uid, "modality": modality, "attributes": attributes}
                known = self._update(kind, f"{read.study_uid}:{name}", body)
                with self._lock:
                    self._merged[key] = known
            variants += known
        return variants

    def _update(self, kind: str, document_id: str, body: dict) -> list[str]:
        path = f"{DESIGN}/_update/{kind}/{segment(document_id)}"
        for attempt in range(ATTEMPTS):
            try:
                answer = self.couch.json("PUT", path, body=body, authorization=self.authorization)
                return answer["variants"]
            except CouchError as problem:
                # Another writer was first: merge into what it wrote.
                if problem.status != 409 or attempt == ATTEMPTS - 1:
                    raise
        return []

    def _put(self, read: Part10, file: BinaryIO, size: int, sha256: str, outcome: Outcome) -> None:
        document = make_document(read, size, sha256)
        attachments = []
        if self.bytes.folder is not None:
            document["file"]["store"] = self.bytes.folder.put(file, sha256)
        else:
            attachments.append((ATTACHMENT, "application/dicom", file, size))
        for attempt in range(ATTEMPTS):
            try:
                self._write(document, attachments)
                return
            except CouchError as problem:
                if problem.status != 409 or attempt == ATTEMPTS - 1:
                    raise
            stored = self.couch.get(document["_id"], authorization=self.authorization)
            if stored is None:
                document.pop("_rev", None)
            elif stored["file"]["sha256"] == sha256:
                return  # the same bytes again
            else:
                document["_rev"] = stored["_rev"]
                outcome.warning = COERCED
                outcome.comment = "an instance with this UID and other content was replaced"

    def _write(self, document: dict, attachments: list) -> None:
        files = list(attachments)
        text = orjson.dumps(document)
        if len(text) > LARGEST_DATASET:
            document, dataset = without_dataset(document)
            files.append(("dataset.json", "application/json", BytesIO(dataset), len(dataset)))
        described = {
            name: {"follows": True, "content_type": kind, "length": size} for name, kind, _source, size in files
        }
        if described:
            document = {**document, "_attachments": described}
        body = orjson.dumps(document)
        boundary = new_boundary()

        def parts() -> list[BodyPart]:
            pieces = (BodyPart({}, read_pieces(source, length), length) for _name, _kind, source, length in files)
            return [BodyPart({"Content-Type": "application/json"}, body), *pieces]

        self.couch.request(
            "PUT",
            segment(document["_id"]),
            body=lambda: write_multipart(parts(), boundary),
            headers={
                "Content-Type": multipart_content_type("application/json", boundary),
                "Content-Length": str(multipart_length(parts(), boundary)),
            },
            authorization=self.authorization,
        ).read()


def make_document(read: Part10, size: int, sha256: str) -> dict:
    """Return the instance document of docs/architecture.md, without its bytes."""
    file = {"store": "attachment", "transferSyntax": read.transfer_syntax, "size": size, "sha256": sha256}
    file["bulk"] = read.bulk
    if read.frames:
        file["frames"] = read.frames
    if read.deflated:
        file["deflated"] = True
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
