"""Metadata-only documents: what a source knows of an instance whose file it has not.

They are written to the database itself, with the server's own modules: a store request has no way to say that an
instance has no bytes.
"""

from __future__ import annotations

from io import BytesIO

from dicouch.config import Config
from dicouch.couch.client import Couch
from dicouch.couch.memory import Memory
from dicouch.dicom.json_model import JsonDataset, first_value
from dicouch.dicom.part10 import Part10
from dicouch.dicom.part10.dictionary import label
from dicouch.dicom.uids import series_uid_problem, uid_problem
from dicouch.scripts.chronicle.convert import SERIES_UID, SOP_CLASS, UIDS, dataset_of
from dicouch.scripts.chronicle.report import ALREADY, KEPT, NOT_KEPT
from dicouch.store import NOWHERE
from dicouch.store.places import Bytes
from dicouch.write.document import make_document
from dicouch.write.headers import Headers
from dicouch.write.outcome import DUPLICATE, Outcome
from dicouch.write.put import Putter
from dicouch.write.received import Received

# Fields of a source's document that are kept elsewhere in ours.
ELSEWHERE = frozenset(("dataset", "type"))
NAMED = 20


class Keeper:
    """Writes metadata-only documents into the database that the server uses."""

    def __init__(self, couch: Couch, settings: Config) -> None:
        self._couch = couch
        self._store = Bytes.from_config(settings, couch)
        self._memory = Memory.of(couch, settings.remember)
        # Studies whose headers have values of what was replaced, also where an attempt ended before they were rebuilt.
        self._stale: set[str] = set()

    def keep(self, documents: list[dict]) -> list[tuple[str, str]]:
        """Keep what some documents of a source say; their headers are complete when this returns.

        Returns
        -------
        list of (str, str)
            Of each document `KEPT`, `ALREADY` where its file is there, or `NOT_KEPT` and why.

        Raises
        ------
        CouchError, DicomWebError
            When the database refuses, or does not answer.
        """
        headers = Headers(self._couch, self._memory)
        # The bytes of an instance are never replaced by less.
        putter = Putter(self._couch, self._store, replace=False, authorization=None)
        told = [self._one(document, headers, putter) for document in documents]
        while self._stale:
            study = self._stale.pop()
            try:
                headers.rebuild(study)
            except BaseException:
                self._stale.add(study)
                raise
        headers.settle({})
        return told

    def _one(self, source: dict, headers: Headers, putter: Putter) -> tuple[str, str]:
        if not isinstance(source.get("dataset"), dict):
            return NOT_KEPT, "it has no data set, so it is no instance"
        document, problem = document_of(source)
        if problem:
            return NOT_KEPT, problem
        stored = self._couch.get(document["_id"])
        if stored is not None and stored["file"]["store"] != NOWHERE:
            return ALREADY, ""
        if stored is not None and is_same(stored, document):
            return KEPT, ""
        study, series, instance = document["_id"].split(":")
        headers.merge([(study, series, document["dataset"])])
        received = Received(None, BytesIO(), 0, "", Outcome(study, series, instance), 1)
        putter.put(received, document)
        if received.outcome.rebuild:
            self._stale.add(study)
        return (ALREADY if received.outcome.failure == DUPLICATE else KEPT), ""


def document_of(source: dict) -> tuple[dict, str]:
    """Return the document of an instance whose file is not there, or why none can be made."""
    dataset, left_out = dataset_of(source["dataset"])
    uids = [str(first_value(dataset, tag) or "") for tag in UIDS]
    for tag, uid in zip(UIDS, uids, strict=True):
        if problem := series_uid_problem(uid) if tag == SERIES_UID else uid_problem(uid):
            return {}, f"its {label(int(tag, 16))} {problem}"
    made = make_document(_read(dataset, uids, _warnings(left_out)), 0, "")
    made["file"] = {"store": NOWHERE, "size": 0, "transferSyntax": "", "sha256": "", "bulk": {}}
    kept = {name: value for name, value in source.items() if name[:1] != "_" and name not in ELSEWHERE}
    made["source"] = {"id": source["_id"], **kept}
    return made, ""


def is_same(stored: dict, made: dict) -> bool:
    """Return whether a document says what another does that was made at another time."""
    return all(stored.get(name) == made[name] for name in ("dataset", "source", "warnings"))


def _read(dataset: JsonDataset, uids: list[str], warnings: list[str]) -> Part10:
    sop_class = str(first_value(dataset, SOP_CLASS) or "")
    study, series, instance = uids
    return Part10(study, series, instance, sop_class, "", dataset, {}, None, warnings=warnings)


def _warnings(left_out: list[str]) -> list[str]:
    if not left_out:
        return []
    named = ", ".join(left_out[:NAMED]) + (f" and {len(left_out) - NAMED} more" if len(left_out) > NAMED else "")
    return [f"The source of the metadata did not keep the values of {named}."]
