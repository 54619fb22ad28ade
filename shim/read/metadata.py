"""Metadata: data sets without bulk data (PS3.18 10.4.1.1.2).

An instance's metadata are its own data set, and the documents are read as they are. What a person fixed in the header
of study or series is laid over by the list of the design document (``lib/metadata``). The figures are in
docs/decisions/0020-metadata-are-read-as-documents.md.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field

import orjson

from dicouch.read import javascript
from dicouch.read.retrieve import Retriever
from dicouch.rewrite import requests

# What the list sends in place of an instance whose data set is an attachment; see ``lib/metadata``. Quotes inside
# JSON strings are escaped, so it can be nothing else.
ELSEWHERE = b'{"datasetAttachment":'
# Of what is made before the answer begins; a longer one begins before all of it is read.
LARGEST = 4 << 20
PIECE = 1 << 18
# A name that a JavaScript engine puts before all others (``lib/metadata``), and so a database that runs in one.
INDEX = re.compile(rb'"[1-9]\d{7}":')


@dataclass(frozen=True)
class Metadata:
    """The metadata of a resource as JSON, an array with a data set a line.

    Attributes
    ----------
    fingerprint : str
        Digest of the revisions of which they are made, or which were there before they were read.
    whole : bytes or None
        All of it, where that is little.
    rest : iterator of bytes
        Else.
    """

    fingerprint: str
    whole: bytes | None = None
    rest: Iterator[bytes] = field(default_factory=lambda: iter(()))

    @property
    def pieces(self) -> Iterator[bytes]:
        return self.rest if self.whole is None else iter((self.whole,))


def read(
    reader: Retriever, study: str, series: str | None, instance: str | None, base: str, most: int = LARGEST
) -> Metadata:
    """Return the metadata of a resource.

    Parameters
    ----------
    reader : Retriever
    study, series, instance : str
        UIDs; None for all.
    base : str
        Absolute URL of the DICOMweb root, for BulkDataURIs.
    most : int
        Bytes that may be kept before the answer begins.
    """
    uids = study, series, instance
    seen: list[str] = []
    made: list[bytes] = []
    size = 0
    with closing(reader.ask(requests.made_of(*uids, documents=True)).rows()) as rows:
        for row in rows:
            document = row.get("doc") or {}
            if corrects(document):
                return Metadata(digest_of(revisions(reader, *uids)), rest=render(reader, *uids, base))
            seen.append(revision(row))
            if document.get("type") == "instance":
                made.append(text_of(reader, document, base))
                size += len(made[-1])
                if size > most and not instance:
                    break
        else:
            return Metadata(digest_of(seen), b"[" + b",\n".join(made) + b"]\n")
    # The answer must not be older than its validator: what is sent is read behind the revisions, or is what they say.
    told = revisions(reader, *uids)
    if told[: len(seen)] != seen or (series is None and reader.corrections(study)):
        return Metadata(digest_of(told), rest=render(reader, *uids, base))
    return Metadata(digest_of(told), rest=_behind(reader, study, series, base, made, document["_id"]))


def revision(row: dict) -> str:
    """Return what of a row of ``_all_docs`` goes into a digest."""
    return f"{row.get('id')} {(row.get('value') or {}).get('rev')}\n"


def revisions(reader: Retriever, study: str, series: str | None, instance: str | None) -> list[str]:
    """Read id and revision of every document that the metadata of a resource are made of."""
    rows = reader.ask(requests.made_of(study, series, instance, documents=False)).rows()
    return [revision(row) for row in rows]


def digest_of(lines: Iterable[str]) -> str:
    """Return the digest of revisions."""
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line.encode())
    return digest.hexdigest()[:40]


def corrects(document: dict) -> bool:
    """Return whether a document is a header in which a person fixed something; see ``corrections_by_study``."""
    return document.get("type") in ("study", "series") and bool(document.get("fixes"))


def text_of(reader: Retriever, document: dict, base: str) -> bytes:
    """Return the data set of an instance document that nobody corrected."""
    if (document.get("file") or {}).get("datasetAttachment"):
        return attached(reader, document["_id"], base)
    text = orjson.dumps(document["dataset"])
    return absolute(orjson.dumps(in_order(document["dataset"])) if INDEX.search(text) else text, document["_id"], base)


def in_order(value: object) -> object:
    """Return a value of the DICOM JSON Model with attributes in ascending order (PS3.18 F.2.2)."""
    if isinstance(value, list):
        return [in_order(each) for each in value]
    if not isinstance(value, dict):
        return value
    names = sorted(value) if all(re.fullmatch("[0-9A-F]{8}", name) for name in value) else value
    return {name: in_order(value[name]) for name in names}


def absolute(text: bytes, document_id: str, base: str) -> bytes:
    """Return a data set with absolute BulkDataURIs."""
    study, series, instance = document_id.split(":")
    url = f"{base}/studies/{study}/series/{series}/instances/{instance}/bulkdata/"
    return text.replace(b'"BulkDataURI":"bulkdata/', b'"BulkDataURI":' + orjson.dumps(url)[:-1])


def _behind(
    reader: Retriever, study: str, series: str | None, base: str, pieces: list[bytes], last: str
) -> Iterator[bytes]:
    """Yield what is made already, and then what is made of the documents behind the last of these."""
    size, separator = PIECE, b"["
    with closing(reader.ask(requests.documents_from(study, series, last)).rows()) as rows:
        for row in rows:
            if size >= PIECE:
                yield separator + b",\n".join(pieces)
                pieces, size, separator = [], 0, b",\n"
            document = row.get("doc") or {}
            if document.get("type") == "instance" and row["id"] != last:
                pieces.append(text_of(reader, document, base))
                size += len(pieces[-1])
    yield (separator + b",\n".join(pieces) if pieces else b"") + b"]\n"


def render(reader: Retriever, study: str, series: str | None, instance: str | None, base: str) -> Iterator[bytes]:
    """Yield the JSON array of data sets as the list of the design document sends it, with corrections laid over."""
    corrected = reader.corrections(study)
    rest = b""
    for chunk in reader.ask(requests.metadata(study, series, instance, base, corrected)).chunks():
        lines, line_end, last = chunk.rpartition(b"\n")
        if not line_end:
            rest += chunk
            continue
        lines, rest = rest + lines + line_end, last
        if ELSEWHERE in lines:
            for line in lines.splitlines(keepends=True):
                yield _with_dataset(reader, line, base, corrected) if ELSEWHERE in line[:32] else line
        else:
            yield lines
    if rest:
        yield _with_dataset(reader, rest, base, corrected) if ELSEWHERE in rest[:32] else rest


def _with_dataset(reader: Retriever, line: bytes, base: str, corrected: list[dict]) -> bytes:
    """Put the data set of an attachment in the place of what the list sent for it."""
    start = line.index(b"{")
    end = line.rindex(b"}") + 1
    document_id = orjson.loads(line[start:end])["datasetAttachment"]
    if corrected:
        text = javascript.render(document_id, reader.dataset(document_id), base, corrected)
    else:
        text = attached(reader, document_id, base)
    return line[:start] + text + line[end:]


def attached(reader: Retriever, document_id: str, base: str) -> bytes:
    """Return the data set that is an attachment of an instance document that nobody corrected."""
    text = reader.dataset(document_id)
    if b"\n" in text:  # written by `as_lines`: in order
        return absolute(text.replace(b"\n", b""), document_id, base)
    dataset = orjson.loads(text)
    return absolute(orjson.dumps({tag: dataset[tag] for tag in sorted(dataset)}), document_id, base)


def split(pieces: Iterator[bytes]) -> Iterator[dict]:
    """Yield the data sets of a rendered array one by one; see `render`."""
    rest = b""
    for piece in pieces:
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            dataset = _dataset_of(line)
            if dataset is not None:
                yield dataset
    dataset = _dataset_of(rest)
    if dataset is not None:
        yield dataset


def _dataset_of(line: bytes) -> dict | None:
    line = line.strip().lstrip(b"[").rstrip(b",")
    line = line.removesuffix(b"]") if line.endswith(b"}]") or line == b"]" else line
    return orjson.loads(line) if line else None
