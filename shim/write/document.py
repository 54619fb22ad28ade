"""The document of an instance, as `docs/documents.md` describes it. Pure functions."""

from __future__ import annotations

import orjson

from dicouch.couch.changelog import now
from dicouch.dicom.json_model import as_lines
from dicouch.dicom.part10 import Part10
from dicouch.store import ATTACHED
from dicouch.tables import BESIDE_TAGS, ROW_TAGS, SERIES_TAGS, STUDY_TAGS, pick

# Bytes from which an attribute is left out of a document whose data set is an attachment.
LARGE_ATTRIBUTE = 64 * 1024


def make_document(read: Part10, size: int, sha256: str) -> dict:
    """Return the document of an instance, without its bytes."""
    file = {"store": ATTACHED, "transferSyntax": read.transfer_syntax, "size": size, "sha256": sha256}
    file["bulk"] = read.bulk
    if read.frames:
        file["frames"] = read.frames
    if read.deflated:
        file["deflated"] = True
    if not read.ordered:
        file["unordered"] = True
    if read.mended:
        file["mended"] = read.mended
    if read.recoded:
        file["recoded"] = True
    return {
        "_id": f"{read.study_uid}:{read.series_uid}:{read.sop_instance_uid}",
        "type": "instance",
        "summary": summary(read.dataset),
        "dataset": read.dataset,
        "file": file,
        "stored": now(),
        "warnings": read.warnings,
    }


def without_dataset(document: dict) -> tuple[dict, bytes]:
    """Return the document with only what searches need in its data set, and the whole data set as JSON."""
    kept = pick(document["dataset"], STUDY_TAGS | SERIES_TAGS | BESIDE_TAGS | ROW_TAGS)
    small = {tag: value for tag, value in kept.items() if len(orjson.dumps(value)) < LARGE_ATTRIBUTE}
    file = {**document["file"], "datasetAttachment": True}
    return {**document, "dataset": small, "file": file}, as_lines(document["dataset"])


def header_attributes(dataset: dict) -> dict:
    """Return the attributes that an instance brings to its headers."""
    return pick(dataset, STUDY_TAGS | SERIES_TAGS | BESIDE_TAGS)


def summary(dataset: dict) -> str:
    """Return one line by which a person recognises an instance in a list of ids."""

    def first(tag: str) -> str:
        value = (dataset.get(tag, {}).get("Value") or [""])[0]
        if isinstance(value, dict):
            value = value.get("Alphabetic") or value.get("Ideographic") or value.get("Phonetic") or ""
        if isinstance(value, float) and value.is_integer():
            value = int(value)  # as JavaScript writes it, lib/headers/summary.js
        return "" if value is None else str(value)

    date = first("00080020")
    if len(date) == 8 and date.isdigit():
        date = f"{date[:4]}-{date[4:6]}-{date[6:]}"
    parts = [first("00080060"), first("00100010"), first("00100020"), date, first("0008103E")]
    parts += [f"series {first('00200011') or '-'}", f"instance {first('00200013') or '-'}"]
    return " · ".join(part for part in parts if part)
