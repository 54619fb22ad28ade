"""Reading instances, their metadata and parts of their bytes from the database and the byte store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial
from hashlib import sha256
from os import SEEK_END
from typing import IO

import orjson

from dicouch.couch.client import Couch, Pending, answers, segment
from dicouch.couch.response import Answer
from dicouch.dicom.correct import Change, changes_of, correct_stored, mend
from dicouch.dicom.errors import NoSuchFrame
from dicouch.dicom.json_model import read_lines
from dicouch.dicom.native import cut_bits, swap, word_size
from dicouch.dicom.part10.byte_source import read_range
from dicouch.dicom.part10.find_frames import clip, frame_ranges
from dicouch.dicom.part10.inflate import open_inflated
from dicouch.dicom.syntaxes import EXPLICIT_BIG, PIXELS_BIG
from dicouch.errors import DicomWebError, only_metadata, resource_name
from dicouch.rewrite import requests
from dicouch.rewrite.requests import CouchRequest
from dicouch.store import ATTACHMENT, DATASET, NOWHERE
from dicouch.store.places import Bytes
from dicouch.store.ranges import cut_out, cut_ranges


def pixel_path(document: dict) -> str | None:
    """Return the path of the bulk value that holds the pixels of an instance, None when there is none."""
    bulk = document["file"].get("bulk", {})
    return next((tag for tag in ("7FE00010", "7FE00008", "7FE00009") if tag in bulk), None)


@dataclass(frozen=True)
class Stored:
    """An instance as the index knows it.

    Attributes
    ----------
    id
        Document id.
    file
        From the index ``store``, ``size``, ``transferSyntax``, ``sha256``, and mostly ``frames`` and their ``bulk``.
    changes
        What people fixed in it.
    ordered
        Whether the elements of the file are in ascending order.
    digest
        Of the attachment with the bytes, where it was told: its entity tag.
    number
        Instance Number, where the document told it.
    """

    id: str
    file: dict
    changes: tuple[Change, ...] = ()
    ordered: bool = True
    digest: str = ""
    number: float | None = None

    @property
    def is_here(self) -> bool:
        """Whether there are bytes: of some instances only the metadata came."""
        return self.file["store"] != NOWHERE

    @property
    def is_as_stored(self) -> bool:
        """Whether the stored bytes are what is sent."""
        return not self.changes and "mended" not in self.file and "recoded" not in self.file

    @cached_property
    def tag(self) -> str:
        """Return an entity tag (RFC 9110 8.8.3): other bytes have another, those of another correction, too."""
        told = "".join(f"{change.tag:08X}{change.at}{change.attribute}" for change in self.changes)
        if mended := self.file.get("mended"):
            told += str(mended)
        return sha256(f"{self.file['sha256']}{told}".encode()).hexdigest()[:32]

    @cached_property
    def path(self) -> str:
        """Return the resource's path below the DICOMweb root."""
        study, series, instance = self.id.split(":")
        return f"/studies/{study}/series/{series}/instances/{instance}"


def stored_in(document: dict) -> Stored:
    """Return an instance as its document tells, without what people fixed."""
    digest = document.get("_attachments", {}).get(ATTACHMENT, {}).get("digest", "")
    number = (document["dataset"].get("00200013", {}).get("Value") or [None])[0]
    number = number if isinstance(number, int | float) else None
    return Stored(document["_id"], document["file"], digest=digest.removeprefix("md5-"), number=number)


def stored_in_row(row: dict) -> Stored:
    """Return an instance as a row of the index tells, without what people fixed."""
    file = row["value"]["file"]
    return Stored(row["id"], file, digest=file.get("digest", "").removeprefix("md5-"))


class Changed(Exception):
    """The bytes are others than those that were expected."""


class Retriever:
    """Reads for one request, with the client's own credentials."""

    def __init__(self, couch: Couch, store: Bytes, authorization: str | None = None) -> None:
        self.couch = couch
        self.store = store
        self.authorization = authorization
        # The entity tag that attachments must have.
        self.expected: str | None = None
        # Whether the headers said, when an instance was read, that nobody fixed anything in its series.
        self.unfixed = False
        # The last deflated file that was read, by document id and digest.
        self._inflated: tuple[tuple[str, str], IO[bytes]] | None = None

    def expect(self, tag: str | None) -> None:
        """Raise `Changed` when an attachment has another entity tag than this, before any of its bytes are given."""
        self.expected = tag

    def _check(self, tag: str) -> None:
        if self.expected not in (None, tag):
            raise Changed

    def start(self, request: CouchRequest) -> Pending:
        """Send a request whose answer is awaited later."""
        return self.couch.start_json(
            request.method, request.path, body=request.body, params=request.params, authorization=self.authorization
        )

    def ask(self, request: CouchRequest) -> Answer:
        """Send a request; the answer's body is unread."""
        return self.start(request).answer()

    def rows(self, request: CouchRequest) -> list[dict]:
        """Return the rows that answer a request."""
        return self.start(request).json()["rows"]

    def document(self, study: str, series: str, instance: str) -> dict:
        """Return the document of an instance that has bytes; `DicomWebError` 404 if there is none."""
        found = self.couch.get(f"{study}:{series}:{instance}", authorization=self.authorization)
        if found is None or found.get("type") != "instance":
            raise DicomWebError(404, f"there is no {resource_name(study, series, instance)}")
        if found["file"]["store"] == NOWHERE:
            raise only_metadata(study, series, instance)
        return found

    def behind(self, one: Stored, count: int) -> list[Stored]:
        """Return up to `count` instances of the series of one, from its number on, without what people fixed."""
        study, series, _instance = one.id.split(":")
        return [stored_in_row(row) for row in self.rows(requests.behind(study, series, one.number, count))]

    def whole(self, document: dict) -> dict:
        """Return an instance document with its whole data set, which may be in an attachment.

        What a trimmed data set lacks says nothing: who decides by an attribute asks for the whole one first.
        """
        if not document["file"].get("datasetAttachment"):
            return document
        file = {**document["file"], "datasetAttachment": False}
        return {**document, "file": file, "dataset": read_lines(self.dataset(document["_id"]))}

    def dataset(self, document_id: str) -> bytes:
        """Return the data set (DICOM JSON Model) that is an attachment of an instance document."""
        path = f"{segment(document_id)}/{DATASET}"
        return self.couch.request("GET", path, authorization=self.authorization).read()

    def instances(self, study: str, series: str | None, instance: str | None) -> list[Stored]:
        """Return the instances of a resource, in order of their numbers; `DicomWebError` 404 if there is none."""
        if series and instance:
            rows = self.rows(requests.with_headers(study, series, instance))
            document, *headers = (row.get("doc") or {} for row in rows)
            if document.get("type") != "instance":
                raise DicomWebError(404, f"there is no {resource_name(study, series, instance)}")
            found = [stored_in(document)]
            self.unfixed = not any(header.get("fixes") for header in headers)
            if self.unfixed:
                return found
            corrected = self.corrections(study)
        else:
            asked = requests.instances(study, series), requests.corrections(study)
            below, beside = answers(map(self.start, asked), lambda one: one.json())
            found = [stored_in_row(row) for row in below["rows"]]
            corrected = [row["value"] for row in beside["rows"]]
            if not found:
                raise DicomWebError(404, f"there is no {resource_name(study, series)}")
        if not corrected:
            return found
        modified = orjson.loads(self.ask(requests.modifications(study, series, instance, corrected)).read())
        for place, one in enumerate(found):
            if said := modified.get(one.id):
                changes = changes_of(one.id, said["tags"], corrected)
                found[place] = replace(one, changes=changes, ordered=said["ordered"])
        return found

    def corrections(self, study: str) -> list[dict]:
        """Return what people fixed in the headers of a study."""
        return [row["value"] for row in self.rows(requests.corrections(study))]

    def content(self, instance: Stored) -> tuple[int, Callable[..., Iterator[bytes]]]:
        """Return the size of an instance as it is answered, and what yields its bytes, or those of a range.

        What people fixed is laid over the stored file, of which only the head is read for it; see `dicom.correct`. So
        is what makes it a file in its transfer syntax.
        """
        stored = partial(self.open, instance)
        size: int = instance.file["size"]
        read: Callable[..., Iterator[bytes]] = stored
        if "mended" in instance.file:
            made = mend(instance.file["mended"], size)
            size, read = made.size, partial(made.chunks, stored)
        if not instance.changes:
            return size, read
        return correct_stored(read, size, instance.changes, ordered=instance.ordered)

    def open(self, instance: Stored, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Yield the bytes of an instance from `start` up to `end`."""
        return self.store.open(instance.id, instance.file, start, end, self.authorization, self._check)

    def read(self, document: dict, start: int, end: int) -> Iterator[bytes]:
        """Yield an instance's bytes from `start` up to `end`, which count in the inflated stream of a deflated one."""
        file = document["file"]
        if file.get("deflated"):
            return self._inflated_pieces(document, start, end)
        return self.store.open(document["_id"], file, start, end, self.authorization, self._check)

    def _inflated_pieces(self, document: dict, start: int, end: int) -> Iterator[bytes]:
        yield from read_range(self._open_inflated(document), start, end)

    def _open_inflated(self, document: dict) -> IO[bytes]:
        key = (document["_id"], document["file"]["sha256"])
        if self._inflated is None or self._inflated[0] != key:
            # One inflated file is kept for the rest of the request: its frames are read one by one.
            whole = self.store.open(document["_id"], document["file"], 0, None, self.authorization)
            self._inflated = (key, open_inflated(whole))
        return self._inflated[1]

    def inflated_size(self, document: dict) -> int:
        """Return the size (bytes) of the stream in which the ranges of an instance count."""
        if not document["file"].get("deflated"):
            return document["file"]["size"]
        return self._open_inflated(document).seek(0, SEEK_END)

    def frame(self, document: dict, number: int) -> tuple[int, Callable[..., Iterator[bytes]]]:
        """Return the size of frame `number` (from 1) and what yields its bytes, or those from a start up to an end.

        Compressed frames come as they are, native ones in Explicit VR Little Endian (PS3.18 8.7.3.5.2). `DicomWebError`
        404 if the instance has no such frame.
        """
        file = document["file"]
        frames = file.get("frames") or {}
        try:
            ranges = [] if "bits" in frames and number <= frames["count"] else frame_ranges(frames, number)
        except NoSuchFrame as problem:
            raise DicomWebError(404, problem.reason) from problem
        if "fragments" in frames:
            size = sum(end - start for start, end in ranges)
            return size, lambda first=0, last=size: self._fragments(document, clip(ranges, first, last))
        value = file["bulk"][pixel_path(document)]
        pieces = self.bulk(document, value)[1]
        if not ranges:
            first, last = (number - 1) * frames["bits"], number * frames["bits"]
            cut = cut_bits(b"".join(pieces(first // 8, (last + 7) // 8)), first % 8, frames["bits"])
            return len(cut), lambda first=0, last=None: iter((cut[first:last],))
        start, end = (position - value["offset"] for position in ranges[0])
        return end - start, lambda first=0, last=end - start: pieces(start + first, start + last)

    def _fragments(self, document: dict, ranges: list[tuple[int, int]]) -> Iterator[bytes]:
        """Yield the bytes of ascending ranges, read in one go: all that is between fragments is their headers."""
        if not ranges:
            return iter(())
        start, end = ranges[0][0], ranges[-1][1]
        whole = self.read(document, start, end)
        return whole if len(ranges) == 1 else cut_ranges(whole, start, ranges)

    def bulk(self, document: dict, value: dict) -> tuple[int, Callable[..., Iterator[bytes]]]:
        """Return the size of a bulk value and what yields its bytes, or those from a start up to an end.

        The bytes are in little-endian order (PS3.18 8.7.3.5.2).
        """
        offset, size = value["offset"], value["length"]
        word = self._word(document, value)

        def pieces(start: int = 0, end: int = size) -> Iterator[bytes]:
            if word == 1:
                return self.read(document, offset + start, offset + end)
            low, high = start - start % word, min(end + -end % word, size)
            whole = swap(self.read(document, offset + low, offset + high), word)
            return cut_out(whole, start - low, end - low)

        return size, pieces

    @staticmethod
    def _word(document: dict, value: dict) -> int:
        """Return how many bytes of a bulk value swap as one; 1 when it is in little-endian order already."""
        syntax = document["file"]["transferSyntax"]
        pixels = document["file"]["bulk"].get(pixel_path(document)) is value
        if value.get("encapsulated") or syntax != EXPLICIT_BIG and not (syntax in PIXELS_BIG and pixels):
            return 1
        allocated = (document["dataset"].get("00280100", {}).get("Value") or [8])[0]
        return word_size(value["vr"], allocated) if pixels else word_size(value["vr"])
