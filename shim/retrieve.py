"""Reading instances, their metadata and parts of their bytes from the database and the byte store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import chain

import orjson

from shim import rewrite
from shim.correct import Change, changes_of, correct_stored
from shim.couch import Couch
from shim.errors import DicomWebError
from shim.frames import EXPLICIT_BIG, frame_ranges
from shim.native import cut_bits, swap, word_size
from shim.part10.inflated import open_inflated
from shim.rewrite import CouchRequest
from shim.store import Bytes

# What the metadata list sends in place of an instance whose data set is an attachment; see ``lib/metadata.js``.
ELSEWHERE = b'{"datasetAttachment":"'


def describe(study: str, series: str | None = None, instance: str | None = None) -> str:
    """Return how an error names a resource."""
    if instance:
        return f"instance {instance} in series {series} of study {study}"
    return f"series {series} in study {study}" if series else f"study {study}"


def word_of(document: dict) -> int:
    """Return the bytes of a word of an instance's pixel data."""
    allocated = (document["dataset"].get("00280100", {}).get("Value") or [8])[0]
    for tag in ("7FE00010", "7FE00008", "7FE00009"):
        if tag in document["file"]["bulk"]:
            return word_size(document["file"]["bulk"][tag]["vr"], allocated)
    return 1


@dataclass(frozen=True)
class Stored:
    """An instance as the index knows it.

    Attributes
    ----------
    id : str
        Document id.
    file : dict
        At least ``store``, ``size`` and ``transferSyntax``; from the document also ``bulk`` and ``frames``.
    changes : tuple of Change
        What people fixed in it.
    """

    id: str
    file: dict
    changes: tuple[Change, ...] = ()

    @property
    def path(self) -> str:
        """Return the resource's path below the DICOMweb root."""
        study, series, instance = self.id.split(":")
        return f"/studies/{study}/series/{series}/instances/{instance}"


class Retriever:
    """Reads for one request.

    Parameters
    ----------
    couch : Couch
    store : Bytes
    authorization : str or None
        The client's own credentials.
    """

    def __init__(self, couch: Couch, store: Bytes, authorization: str | None = None):
        self.couch = couch
        self.store = store
        self.authorization = authorization

    def ask(self, request: CouchRequest):
        """Send a request; the answer's body is unread."""
        body = None if request.body is None else orjson.dumps(request.body)
        headers = {"Content-Type": "application/json"} if body else {}
        return self.couch.request(
            request.method,
            request.path,
            params=request.params,
            body=body,
            headers=headers,
            authorization=self.authorization,
        )

    def _json(self, request: CouchRequest):
        return orjson.loads(self.ask(request).read())

    def document(self, study: str, series: str, instance: str) -> dict:
        """Return an instance document.

        Raises
        ------
        DicomWebError
            404 if there is none.
        """
        found = self.couch.get(f"{study}:{series}:{instance}", authorization=self.authorization)
        if found is None or found.get("type") != "instance":
            raise DicomWebError(404, f"there is no {describe(study, series, instance)}")
        return found

    def instances(self, study: str, series: str | None, instance: str | None) -> list[Stored]:
        """Return the instances of a resource, in order of their numbers.

        Raises
        ------
        DicomWebError
            404 if there is none.
        """
        if series and instance:
            document = self.document(study, series, instance)
            found = [Stored(document["_id"], document["file"])]
        else:
            rows = self._json(rewrite.instances(study, series))["rows"]
            if not rows:
                raise DicomWebError(404, f"there is no {describe(study, series)}")
            found = [Stored(row["id"], row["value"]["file"]) for row in rows]
        corrected = self.corrections(study)
        if not any(correction.get("fixes") for correction in corrected):
            return found
        modified = self._json(rewrite.modifications(study, series, instance, corrected))
        return [replace(one, changes=changes_of(one.id, modified.get(one.id, ()), corrected)) for one in found]

    def corrections(self, study: str) -> list[dict]:
        """Return what the headers of a study say otherwise than some of its instances."""
        return [row["value"] for row in self._json(rewrite.corrections(study))["rows"]]

    def content(self, instance: Stored) -> tuple[int, Callable[[], Iterator[bytes]]]:
        """Return the size of an instance as it is answered, and what yields its bytes.

        What people fixed is laid over the stored file, of which only the head is read for it; see `shim.correct`.
        """
        if not instance.changes:
            return instance.file["size"], lambda: self.open(instance)
        return correct_stored(
            lambda start, end: self.open(instance, start, end), instance.file["size"], instance.changes
        )

    def open(self, instance: Stored, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Yield the bytes of an instance from `start` up to `end`."""
        return self.store.open(instance.id, instance.file, start, end, self.authorization)

    def read(self, document: dict, start: int, end: int) -> Iterator[bytes]:
        """Yield an instance's bytes from `start` up to `end`, which count in the inflated stream of a deflated one."""
        file = document["file"]
        if file.get("deflated"):
            with open_inflated(self.store.open(document["_id"], file, 0, None, self.authorization)) as inflated:
                inflated.seek(start)
                return iter((inflated.read(end - start),))
        return self.store.open(document["_id"], file, start, end, self.authorization)

    def frame(self, document: dict, number: int) -> tuple[int, Callable[[], Iterator[bytes]]]:
        """Return the size of frame `number` (from 1) and what yields its bytes.

        Compressed frames come as they are, native ones in Explicit VR Little Endian (PS3.18 8.7.3.5.2).

        Raises
        ------
        DicomWebError
            404 if the instance has no such frame.
        """
        file = document["file"]
        frames = file.get("frames") or {}
        if "bits" in frames and number <= frames["count"]:
            first, last = (number - 1) * frames["bits"], number * frames["bits"]
            start, end = frames["offset"] + first // 8, frames["offset"] + (last + 7) // 8
            whole = b"".join(self.read(document, start, end))
            value = cut_bits(whole, first % 8, frames["bits"])
            return len(value), lambda: iter((value,))
        ranges = frame_ranges(frames, number)
        size = sum(end - start for start, end in ranges)
        if file["transferSyntax"] == EXPLICIT_BIG:
            word = word_of(document)
            return size, lambda: swap(chain.from_iterable(self.read(document, *one) for one in ranges), word)
        return size, lambda: chain.from_iterable(self.read(document, *one) for one in ranges)

    def bulk(self, document: dict, value: dict) -> tuple[int, Callable[..., Iterator[bytes]]]:
        """Return the size of a bulk value and what yields its bytes, or those from a start up to an end."""
        offset, size = value["offset"], value["length"]

        def pieces(start: int = 0, end: int = size) -> Iterator[bytes]:
            return self.read(document, offset + start, offset + end)

        return size, pieces

    def metadata(self, study: str, series: str | None, instance: str | None, base: str) -> Iterator[bytes]:
        """Yield the JSON array of data sets piece by piece.

        Parameters
        ----------
        base : str
            Absolute URL of the DICOMweb root, for BulkDataURIs.
        """
        corrected = self.corrections(study)
        yield from self.ask(rewrite.metadata(study, series, instance, base, corrected)).chunks()
